/* metrics.c: the figures of the process and of HTTP are made here; those of the upstreams, the batches
 * and the online requests are dispatch's. */
#include "api/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/routes.h"
#include "dispatch/dispatch.h"

static void head(struct buf *to, const char *name, const char *type, const char *help)
{
	buf_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* ---- the process: the names that Prometheus clients use everywhere ---- */

static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	uint64_t size = 0, resident = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%" SCNu64 " %" SCNu64, &size, &resident) != 2) // NOLINT(cert-err34-c)
		resident = 0;
	fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	uint64_t n = 0;

	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL) // NOLINT(concurrency-mt-unsafe)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n - 1; /* without the directory's own */
}

static double cpu_seconds(void)
{
	struct rusage used;

	if (getrusage(RUSAGE_SELF, &used) != 0)
		return 0;
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void write_process(struct buf *to, const char *version)
{
	struct rlimit fds = { 0 };

	head(to, "lowtide_build_info", "gauge", "The version of lowtide that runs.");
	buf_printf(to, "lowtide_build_info{version=\"%s\"} 1\n", version != NULL ? version : "");
	head(to, "process_resident_memory_bytes", "gauge", "Resident memory.");
	buf_printf(to, "process_resident_memory_bytes %" PRIu64 "\n", resident_bytes());
	head(to, "process_cpu_seconds_total", "counter", "User and system CPU time.");
	buf_printf(to, "process_cpu_seconds_total %.3f\n", cpu_seconds());
	head(to, "process_open_fds", "gauge", "Open file descriptors.");
	buf_printf(to, "process_open_fds %" PRIu64 "\n", open_fds());
	if (getrlimit(RLIMIT_NOFILE, &fds) != 0)
		return;
	head(to, "process_max_fds", "gauge", "File descriptors that may be open.");
	buf_printf(to, "process_max_fds %" PRIu64 "\n", (uint64_t)fds.rlim_cur);
}

/* ---- HTTP ---- */

static void write_answers(struct buf *to, const char *route, _Atomic uint64_t *counts)
{
	for (unsigned digit = 1; digit < 6; digit++) {
		uint64_t n = counts[digit];
		if (n > 0)
			buf_printf(to,
				   "lowtide_http_requests_total{route=\"%s\",code=\"%uxx\"} "
				   "%" PRIu64 "\n",
				   route, digit, n);
	}
}

static void write_http(struct buf *to, struct request *rq)
{
	const struct route *route;
	char name[96];

	head(to, "lowtide_http_connections", "gauge", "Open connections of clients.");
	buf_printf(to, "lowtide_http_connections %u\n", http_connections(rq->http));
	head(to, "lowtide_http_requests_total", "counter", "Requests answered.");
	for (unsigned i = 0; (route = route_of_number(i)) != NULL; i++) {
		snprintf(name, sizeof(name), "%s %s", route->method, route->path);
		write_answers(to, name, rq->api->answers[i]);
	}
	write_answers(to, "other", rq->api->answers[ROUTES_MAX]);
}

bool metrics_get(struct request *rq, struct http_response *r, struct error *err)
{
	(void)err;
	r->content_type = "text/plain; version=0.0.4; charset=utf-8";
	write_process(&r->body, rq->api->config.version);
	write_http(&r->body, rq);
	dispatch_metrics(pipeline_dispatch(rq->api->pipeline), &r->body);
	return true;
}

bool metrics_scheduling(struct request *rq, struct http_response *r, struct error *err)
{
	(void)err;
	dispatch_scheduling(pipeline_dispatch(rq->api->pipeline), &r->body);
	return true;
}

/* serve.c: joins the stages into a server, and takes them apart in the opposite order. */
#include "app/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/blobs.h"
#include "app/endpoints.h"
#include "app/nodes.h"
#include "app/notify.h"
#include "app/reload.h"
#include "app/version.h"
#include "base/id.h"
#include "base/sys.h"
#include "blob/bucket.h"
#include "cli/data_dir.h"
#include "cli/keys.h"
#include "client/client.h"
#include "history/history.h"
#include "redo/redo.h"
#include "terminal/report.h"
#include "terminal/signals.h"
#include "trace/tracer.h"

#define HTTP_THREADS 4
#define BODY_RATE_S 60 /* limits.body_rate is a mean over so long */

#define FIRST_ORG "default"

struct server {
	int listen_fd; /* -1: not listening, or taken over by `http` */
	int lock_fd;   /* -1: not locked */
	struct store *store;
	struct webhooks *webhooks;
	struct redo *redo;
	struct blobs *blobs;
	struct tracer *tracer; /* NULL: nothing is traced */
	struct history *history;
	struct node_identity node; /* of a node alone */
	struct pipeline *pipeline;
	struct api *api;
	struct http_server *http;
};

/* ---- start ---- */

/* The address is claimed before anything is made: a second start by mistake changes nothing. */
static bool listen_first(struct server *s, const struct config *c, struct error *err)
{
	if (http_listen(c->listen.host, c->listen.port, &s->listen_fd, err))
		return true;
	struct error why = *err;
	return fail(err, ERR_INVALID,
		    "%s; --listen HOST:PORT takes another address (port 0: any free one)",
		    why.message);
}

static bool first_key_print(const char *secret, struct error *err)
{
	printf("first start: API key of the organization '%s', shown only this once:\n%s\n",
	       FIRST_ORG, secret);
	return fflush(stdout) == 0 ||
	       fail_sys(err, errno, "printing the first API key on standard output");
}

/* The journal is read by others and keeps what it has: no key is made for it. */
static bool first_key_leave(const struct config *c, struct error *err)
{
	printf("first start: there is no API key yet, and none is shown in a journal; to make one: "
	       "lowtide key create --org " FIRST_ORG " --data %s\n",
	       c->data);
	return fflush(stdout) == 0 || fail_sys(err, errno, "writing to standard output");
}

static bool first_key_add(struct server *s, const char *chosen, struct error *err)
{
	struct error why;

	if (key_add(s->store, FIRST_ORG, chosen, false, &why))
		return true;
	if (why.kind == ERR_INVALID)
		return fail(err, ERR_INVALID, "%s in the environment: %s", FIRST_KEY_VARIABLE,
			    why.message);
	*err = why;
	return false;
}

/* A store without any key is new, and its server could not be used. The key is printed before it is
 * stored: a crash in between leaves a printed key that opens nothing, and the next start prints
 * another. The other order could leave a valid key that was never shown. */
static bool first_key(struct server *s, const struct config *c, struct error *err)
{
	const char *chosen = getenv(FIRST_KEY_VARIABLE);
	char secret[64];
	uint64_t keys;

	if (!store_key_count(s->store, &keys, err))
		return false;
	if (keys > 0)
		return true;
	if (chosen != NULL && chosen[0] != '\0')
		return first_key_add(s, chosen, err);
	if (output_is_journal(STDOUT_FILENO))
		return first_key_leave(c, err);
	id_secret(secret);
	bool good = first_key_print(secret, err);
	(void)failpoint("key.printed");
	good = good && key_add(s->store, FIRST_ORG, secret, false, err);
	explicit_bzero(secret, sizeof(secret));
	return good;
}

/* Descriptors are left for files and upstreams, however many clients come. */
static unsigned connections_max(const struct config *c)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || c->connections <= limit.rlim_cur / 4 * 3)
		return (unsigned)c->connections;
	unsigned most = (unsigned)(limit.rlim_cur / 4 * 3);
	log_info("serve.connections_bounded", kv_u64("at_most", most),
		 kv_u64("descriptors", limit.rlim_cur),
		 kv_u64("limits.connections", c->connections));
	return most > 0 ? most : 1;
}

/* ---- online requests: the server's guest loop is turned by the dispatch thread ---- */

static uint64_t guest_due_ms(void *ctx)
{
	return http_guest_due_ms(ctx);
}

static void guest_turn(void *ctx)
{
	http_guest_turn(ctx);
}

static void guest_leave(void *ctx)
{
	struct error err;

	if (!pipeline_guest(ctx, NULL, &err))
		log_fault("serve.guest_stays", &err);
}

static bool guest_come(struct server *s, struct error *err)
{
	const struct client_guest guest = { http_guest_fd(s->http), guest_due_ms, guest_turn,
					    s->http };

	return pipeline_guest(s->pipeline, &guest, err);
}

/* Clients that are in the queue already are taken from here on. */
static bool open_http(struct server *s, const struct config *c, struct error *err)
{
	struct http_config http = {
		.listening = &s->listen_fd,
		.threads = HTTP_THREADS,
		.connections_max = connections_max(c),
		.stream_idle_ms = c->client_timeout_s * 1000,
		.budget = pipeline_budget(s->pipeline),
		.deadlines = {
			.head_ms = c->head_timeout_s * 1000,
			.body_ms = BODY_RATE_S * UINT64_C(1000),
			.body_bytes_min = c->body_rate_bytes * BODY_RATE_S,
		},
		.app = api_http_app(),
		.ctx = s->api,
		.guest_leave = guest_leave,
		.guest_ctx = s->pipeline,
	};

	return http_server_open(&http, &s->http, err) && guest_come(s, err);
}

static bool open_webhooks(struct server *s, const struct config *c, struct error *err)
{
	struct webhooks_config config = config_webhooks(c);
	struct webhook_endpoint *endpoints;
	size_t n;

	bool ok = endpoints_make(c, s->store, &endpoints, &n, err);
	config.endpoints = endpoints;
	config.yields = config_is_node(c); /* until it is told that it leads: on_leads() */
	ok = ok && webhooks_open(&config, s->store, &s->webhooks, err);
	endpoints_free(endpoints, n);
	return ok;
}

static bool open_tracer(struct server *s, const struct config *c, struct error *err)
{
	struct client *client;

	if (c->tracing_endpoint == NULL)
		return true;
	return client_open(&client, err) &&
	       tracer_open(&(struct tracer_config){ .endpoint = c->tracing_endpoint,
						    .version = lowtide_version,
						    .sample = (unsigned)c->tracing_sample,
						    .client = client },
			   &s->tracer, err);
}

/* Of the nodes one delivers events. */
static void on_leads(void *ctx, bool leads)
{
	webhooks_yield(ctx, !leads);
}

/* Pipeline and API, and what both are given. */
static bool open_stages(struct server *s, const struct config *c,
			const struct pipeline_config *given, struct error *err)
{
	struct pipeline_config pipeline = *given;
	struct api_config api = config_api(c);

	pipeline.tracer = api.tracer = s->tracer;
	pipeline.history = api.history = s->history;
	pipeline.redo = s->redo;
	if (config_is_node(c)) {
		s->node.cluster.leads = on_leads;
		s->node.cluster.ctx = s->webhooks;
		pipeline.cluster = &s->node.cluster;
	}
	api.webhooks = s->webhooks;
	return pipeline_open(c->data, &pipeline, s->store, s->blobs, &s->pipeline, err) &&
	       api_open(&api, s->store, s->blobs, s->pipeline, &s->api, err);
}

/* A single server has its store to itself, and a node shares it. */
static bool join_store(struct server *s, const struct config *c, bool adopt, struct error *err)
{
	if (!config_is_node(c))
		return store_claim(s->store, err) && data_dir_join(c->data, s->store, adopt, err);
	return store_share(s->store, err) && data_dir_share(c->data, s->store, adopt, err) &&
	       node_identity_make(c, http_listening_port(s->listen_fd), &s->node, err);
}

static bool server_open(struct server *s, const struct config *c,
			const struct pipeline_config *pipeline, bool adopt, struct error *err)
{
	return listen_first(s, c, err) && data_dir_make(c->data, err) &&
	       data_dir_lock(c->data, &s->lock_fd, err) &&
	       (c->store != NULL || data_dir_check(c->data, adopt, err)) &&
	       store_open_at(&(struct store_place){ c->data, c->store }, &s->store, err) &&
	       join_store(s, c, adopt, err) && open_webhooks(s, c, err) &&
	       redo_open(c->data, &s->redo, err) &&
	       server_blobs_open(c, s->redo, adopt, &s->blobs, err) && open_tracer(s, c, err) &&
	       history_open(c->data, &s->history, err) && open_stages(s, c, pipeline, err) &&
	       first_key(s, c, err) && open_http(s, c, err);
}

/* For `systemctl status`; `more` is how it came to be so. */
static void tell_ready(const struct server *s, const struct config *c, const char *more)
{
	notify_ready("listens on %s, port %u%s", c->listen.host, http_server_port(s->http), more);
}

/* "http://127.0.0.1:8000": what people and scripts look for. */
static void print_ready(const struct server *s, const struct config *c)
{
	bool ipv6 = strchr(c->listen.host, ':') != NULL;

	printf("lowtide %s listens on http://%s%s%s:%u/v1, keeps its data in %s, sends to ",
	       lowtide_version, ipv6 ? "[" : "", c->listen.host, ipv6 ? "]" : "",
	       http_server_port(s->http), c->data);
	for (size_t i = 0; i < c->upstream_count; i++)
		printf("%s%s", i > 0 ? ", " : "", c->upstreams[i].url);
	printf("\n");
	fflush(stdout);
}

/* ---- end ---- */

/* Clients can ask how things are until the lines in flight have ended. */
static void server_drain(struct server *s)
{
	api_drain(s->api);
	pipeline_drain(s->pipeline);
	webhooks_drain(s->webhooks); /* what ends meanwhile is delivered still */
	http_server_quiesce(s->http);
}

/* Closes as much as was opened. Calls under way use the api, whose own thread uses the pipeline, and
 * the pipeline's workers use the stores: so in this order. The api goes after the pipeline and the
 * webhooks: their threads still end the calls whose clients have gone. */
static void server_close(struct server *s, const struct config *c)
{
	struct error err;

	if (s->blobs != NULL && c->blobs_url != NULL)
		blobs_bucket_give_up(s->blobs);
	http_server_close(s->http);
	api_stop(s->api);
	if (s->pipeline != NULL)
		pipeline_close(s->pipeline);
	webhooks_close(s->webhooks);
	api_close(s->api);
	history_close(s->history);
	tracer_close(s->tracer);
	if (s->blobs != NULL && !(config_is_node(c) ? data_dir_share_end(c->data, s->store, &err)
						    : data_dir_leave(c->data, s->store, &err)))
		log_fault("data.not_left", &err);
	if (s->blobs != NULL)
		blobs_close(s->blobs);
	redo_close(s->redo);
	if (s->store != NULL)
		store_close(s->store);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
}

static void reload_now(struct reload *reload, const struct server *s)
{
	notify_reloading();
	bool good = reload_run(reload);
	tell_ready(
		s, reload->running,
		good ? "; has read its configuration anew"
		     : "; the configuration read last has a mistake (see the log): nothing changed");
}

/* execution.drain, what clients get to read their answers, and closing. */
static uint64_t stop_at_most_s(const struct config *c)
{
	return c->drain_s + 60;
}

static void run_until_signal(struct server *s, const struct config *c,
			     const struct config_source *source)
{
	struct reload reload = { .running = c,
				 .source = source,
				 .store = s->store,
				 .webhooks = s->webhooks,
				 .pipeline = s->pipeline,
				 .api = s->api };
	int number;

	print_ready(s, c);
	log_info("serve.started", kv_str("data", c->data),
		 kv_u64("port", http_server_port(s->http)));
	tell_ready(s, c, "");
	while ((number = signals_wait(-1)) == SIGHUP)
		reload_now(&reload, s);
	reload_done(&reload);
	notify_stopping(stop_at_most_s(c));
	log_info("serve.draining", kv_str("signal", number == SIGINT ? "SIGINT" : "SIGTERM"),
		 kv_u64("at_most_s", c->drain_s));
	signals_end_at_once();
	server_drain(s);
}

int serve(struct config *config, const struct config_source *source, bool adopt)
{
	struct server s = { .listen_fd = -1, .lock_fd = -1 };
	struct pipeline_config pipeline = config_pipeline(config);
	struct error err;

	signals_block();
	signals_block_hangup();
	notify_status("opens %s", config->data);
	bool opened = server_open(&s, config, &pipeline, adopt, &err);
	if (opened)
		run_until_signal(&s, config, source);
	server_close(&s, config);
	if (!opened) {
		report(&err);
		return EXIT_FAULT;
	}
	log_info("serve.stopped", kv_str("data", config->data));
	return EXIT_GOOD;
}

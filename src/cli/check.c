/* check.c: the ingest pass and the verdict, on a file that stays where it is. */
#include "cli/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/utf8.h"
#include "cli/report.h"
#include "ingest/ingest.h"

/* ---- findings ---- */

/* A finding quotes the file, and a file may hold anything: control characters would move the
 * terminal's cursor or begin a line of their own. */
static void print_plain(const char *text, FILE *to)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n;) {
		bool valid;
		size_t step = utf8_step(text + i, n - i, &valid);
		unsigned char first = (unsigned char)text[i];
		bool control = first < 0x20 || first == 0x7f ||
			       (first == 0xc2 && step == 2 && (unsigned char)text[i + 1] < 0xa0);
		if (!valid || control)
			fputs("\xef\xbf\xbd", to); /* U+FFFD */
		else
			fwrite(text + i, 1, step, to);
		i += step;
	}
}

void finding_print(const char *path, const struct finding *finding, FILE *to)
{
	fprintf(to, "%s:%" PRIu64 ": %s: ", path, finding->line, finding->code);
	print_plain(finding->message, to);
	fputc('\n', to);
}

static void print_each(void *ctx, const struct finding *finding)
{
	finding_print(ctx, finding, stdout);
}

/* ---- summary ---- */

#define MODELS_SHOWN 5

static void print_models(const struct index_summary *s)
{
	unsigned shown = s->model_count < MODELS_SHOWN ? s->model_count : MODELS_SHOWN;

	if (s->model_count == 0)
		fputs("no model", stdout);
	else
		fputs(s->model_count == 1 && !s->model_overflow ? "model " : "models ", stdout);
	for (unsigned i = 0; i < shown; i++) {
		fputs(i > 0 ? ", " : "", stdout);
		print_plain(s->models[i], stdout);
	}
	if (s->model_overflow)
		printf(" and more than %u others", s->model_count - shown);
	else if (s->model_count > shown)
		printf(" and %u others", s->model_count - shown);
}

static void print_summary(const char *path, const struct index_summary *s, uint64_t bytes,
			  uint64_t findings)
{
	printf("%s: %" PRIu64 " line%s, ", path, s->lines, s->lines == 1 ? "" : "s");
	print_models(s);
	printf(", %" PRIu64 " bytes: ", bytes);
	if (findings == 0)
		puts("good");
	else
		printf("%" PRIu64 " finding%s\n", findings, findings == 1 ? "" : "s");
}

/* ---- one file, all files ---- */

static void index_drop(struct index **index)
{
	if (*index != NULL)
		index_close(*index);
}

static bool check_open(const char *path, int *ret_fd, uint64_t *ret_bytes, struct error *err)
{
	struct stat st;

	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*ret_fd < 0 || fstat(*ret_fd, &st) != 0)
		return fail_sys(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return fail(err, ERR_INVALID, "%s is not a regular file", path);
	*ret_bytes = (uint64_t)st.st_size;
	return true;
}

/* What an upload would be refused for. Its lines are judged all the same. */
static uint64_t check_size(const char *path, const struct ingest_limits *limits, uint64_t bytes)
{
	struct error refusal;

	if (ingest_size_check(limits, bytes, &refusal))
		return 0;
	finding_print(path,
		      &(struct finding){ .code = "file_too_large", .message = refusal.message },
		      stdout);
	return 1;
}

static bool check_file(char *path, const struct check_options *o, uint64_t *ret_findings,
		       struct error *err)
{
	struct ingest_limits limits = { .line_bytes = o->limits.line_bytes };
	AUTO(auto_close) int fd = -1;
	AUTO(index_drop) struct index *index = NULL;
	char sha256[65];
	uint64_t bytes = 0;

	if (!check_open(path, &fd, &bytes, err) ||
	    !ingest_file(NULL, fd, &limits, NULL, sha256, &index, err))
		return false;
	uint64_t too_large = check_size(path, &o->limits, bytes);
	if (!verdict_judge(index, fd, &o->rules, print_each, path, ret_findings, err))
		return false;
	*ret_findings += too_large;
	print_summary(path, index_summary(index), bytes, *ret_findings);
	return true;
}

int check_files(const struct check_options *options)
{
	int code = EXIT_GOOD;

	for (size_t i = 0; i < options->path_count; i++) {
		uint64_t findings = 0;
		struct error err;
		if (!check_file(options->paths[i], options, &findings, &err)) {
			fflush(stdout);
			report(&err);
			code = EXIT_USAGE;
		} else if (findings > 0 && code == EXIT_GOOD) {
			code = EXIT_FAULT;
		}
	}
	if (fflush(stdout) == 0)
		return code;
	perror("lowtide: writing standard output");
	return EXIT_USAGE;
}

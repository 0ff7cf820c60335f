/* check.c: what the server does with an upload and with a batch on it, on a file that stays where
 * it is: the name, the size, the ingest pass, the endpoint, the verdict. */
#include "cli/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/filename.h"
#include "base/attr.h"
#include "base/sys.h"
#include "ingest/ingest.h"
#include "terminal/file_kind.h"
#include "terminal/report.h"
#include "terminal/text.h"

#define STDIN_NAME "(standard input)"

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

/* ---- the file as a whole ---- */

static void add_whole(struct findings *f, const char *code, const char *message)
{
	findings_add(f, &(struct finding){ .code = code, .message = message });
}

/* The upload's own rule (contract 3.2). */
static void judge_name(struct findings *f)
{
	char name[512];
	struct error err;

	if (filename_read("file", f->path, name, sizeof(name), &err) && filename_check(name, &err))
		return;
	add_whole(f, "invalid_filename", err.message);
}

/* Its lines are judged all the same. */
static void judge_size(struct findings *f, uint64_t bytes, const struct ingest_limits *limits)
{
	struct error refusal;

	if (!ingest_size_check(limits, bytes, &refusal))
		add_whole(f, "file_too_large", refusal.message);
}

/* ---- the lines ---- */

static void count_one(void *ctx, const struct finding *finding)
{
	*(uint64_t *)ctx += finding->line > 0;
}

/* What the whole file is instead of JSONL, where most of its lines are bad; else NULL. */
static bool find_kind(const char **ret, const struct blob_reader *file, const struct index *index,
		      const struct verdict_rules *rules, struct error *err)
{
	AUTO(auto_free) char *beginning = malloc(FILE_KIND_BYTES);
	uint64_t count, bad_lines = 0;
	size_t n;

	if (beginning == NULL)
		return fail_memory(err);
	if (!blob_read_upto(file, 0, beginning, FILE_KIND_BYTES, &n, err))
		return false;
	*ret = file_kind((struct slice){ beginning, n });
	if (*ret == NULL)
		return true;
	if (!verdict_judge(index, file, rules, count_one, &bad_lines, &count, err))
		return false;
	if (bad_lines * 2 <= index_summary(index)->lines)
		*ret = NULL;
	return true;
}

bool check_judge(struct findings *f, const struct blob_reader *file, const struct index *index,
		 const struct verdict_rules *rules, struct error *err)
{
	uint64_t count;

	if (!find_kind(&f->kind, file, index, rules, err) ||
	    !verdict_judge(index, file, rules, findings_add, f, &count, err))
		return false;
	findings_end(f);
	return true;
}

/* ---- one file, all files ---- */

static void file_close(struct blob_reader **file)
{
	blob_reader_close(*file);
}

/* What comes on standard input may have to be read twice: a file without a name holds it. */
static bool stdin_keep(int *ret_fd, struct error *err)
{
	AUTO(auto_free) char *piece = malloc(FILE_KIND_BYTES);
	const char *directory = getenv("TMPDIR");
	char name[4096];
	ssize_t n;

	if (piece == NULL)
		return fail_memory(err);
	if (directory == NULL || directory[0] == '\0')
		directory = "/tmp";
	snprintf(name, sizeof(name), "%s/lowtide-check-XXXXXX", directory);
	*ret_fd = mkostemp(name, O_CLOEXEC);
	if (*ret_fd < 0 || unlink(name) != 0)
		return fail_sys(err, errno, "keeping standard input in %s (TMPDIR)", directory);
	while ((n = read(STDIN_FILENO, piece, FILE_KIND_BYTES)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_sys(err, errno, "reading standard input");
		if (!sys_write_all(*ret_fd, piece, (size_t)n))
			return fail_sys(err, errno, "keeping standard input in %s (TMPDIR)",
					directory);
	}
	return true;
}

static bool check_open(const char *path, bool from_stdin, struct blob_reader **ret,
		       struct error *err)
{
	AUTO(auto_close) int fd = -1;
	struct stat st;

	if (from_stdin) {
		if (!stdin_keep(&fd, err))
			return false;
	} else {
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0 || fstat(fd, &st) != 0)
		return fail_sys(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return fail(err, ERR_INVALID, "%s is not a regular file; - reads standard input",
			    path);
	return blob_reader_of_file(TAKE_FD(fd), path, ret, err);
}

static bool check_file(const struct check_options *o, const char *path, uint64_t *ret_findings,
		       struct error *err)
{
	bool from_stdin = strcmp(path, "-") == 0;
	struct findings f = { .path = from_stdin ? STDIN_NAME : path, .to = stdout, .all = o->all };
	struct ingest_limits limits = { .line_bytes = o->limits.line_bytes };
	AUTO(file_close) struct blob_reader *file = NULL;
	AUTO(auto_index_close) struct index *index = NULL;
	char sha256[65];

	if (!check_open(path, from_stdin, &file, err) ||
	    !ingest_file(NULL, file, &limits, NULL, sha256, &index, err))
		return false;
	if (!from_stdin)
		judge_name(&f);
	judge_size(&f, blob_bytes(file), &o->limits);
	if (!check_judge(&f, file, index, &o->rules, err))
		return false;
	print_summary(f.path, index_summary(index), blob_bytes(file), f.count);
	*ret_findings = f.count;
	return true;
}

int check_files(const struct check_options *options)
{
	int code = EXIT_GOOD;

	for (size_t i = 0; i < options->path_count; i++) {
		uint64_t findings = 0;
		struct error err;
		if (!check_file(options, options->paths[i], &findings, &err)) {
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

/* request_file.c: see request_file.h. What is said of a line is json_fault's, of a whole file
 * file_kind's; what neither knows is the server's to judge. */
#include "terminal/request_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/json_fault.h"
#include "base/sys.h"
#include "terminal/file_kind.h"

#define ENDPOINT_USUAL "/v1/chat/completions"
#define BEGINNING_BYTES (64u << 10)
#define LINE_BYTES_MAX (16u << 20) /* a longer first line is left to the server */
#define PIECE_BYTES (256u << 10)

/* ---- lines of the beginning ---- */

struct first_lines {
	struct slice rest;
	bool whole; /* the beginning is all of the file: its last line needs no end */
	uint64_t number;
};

/* False: none is left that is whole. */
static bool line_next(struct first_lines *l, struct slice *ret)
{
	const char *lf = l->rest.n > 0 ? memchr(l->rest.p, '\n', l->rest.n) : NULL;
	size_t n = lf != NULL ? (size_t)(lf - l->rest.p) : l->rest.n;

	if (l->rest.n == 0 || (lf == NULL && !l->whole))
		return false;
	*ret = (struct slice){ l->rest.p, n };
	n += lf != NULL;
	l->rest = (struct slice){ l->rest.p + n, l->rest.n - n };
	l->number++;
	return true;
}

static bool is_blank(struct slice line)
{
	for (size_t i = 0; i < line.n; i++)
		if (memchr(" \t\r", line.p[i], 3) == NULL)
			return false;
	return true;
}

static struct first_lines lines_of(struct slice text, bool whole)
{
	struct first_lines l = { text, whole, 0 };

	if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
		l.rest = (struct slice){ text.p + 3, text.n - 3 };
	return l;
}

/* ---- what is wrong with it ---- */

static bool refuse(const struct request_file *in, struct slice beginning, struct slice line,
		   uint64_t number, struct error *err)
{
	const char *kind = file_kind(beginning);
	struct json_fault fault;

	if (kind != NULL)
		return fail(err, ERR_INVALID, "%s cannot be a batch. %s", in->path, kind);
	if (memchr(line.p, '\0', line.n) != NULL)
		return fail(err, ERR_INVALID,
			    "%s is no text: a batch is JSONL, a JSON object a line, each with "
			    "custom_id and body",
			    in->path);
	if (json_fault_find(line, &fault))
		return fail(err, ERR_INVALID,
			    "%s is no JSONL: line %llu is no JSON, %s (column %zu); `lowtide check "
			    "FILE` finds every such line",
			    in->path, (unsigned long long)number, fault.reason, fault.column);
	return fail(
		err, ERR_INVALID,
		"%s is no JSONL of requests: line %llu is JSON, but no object with custom_id and "
		"body",
		in->path, (unsigned long long)number);
}

static bool is_object(struct slice line)
{
	struct json j;
	struct slice text;

	json_init(&j, line);
	return json_peek(&j) == JSON_OBJECT && json_skip(&j, &text) && json_end(&j);
}

static bool judge(const struct request_file *in, struct slice beginning, bool whole,
		  struct error *err)
{
	struct first_lines l = lines_of(beginning, whole);
	struct slice line;

	while (line_next(&l, &line))
		if (!is_blank(line))
			return is_object(line) || refuse(in, beginning, line, l.number, err);
	if (whole)
		return fail(err, ERR_INVALID,
			    "%s is empty: a batch has a line for each request, a JSON object with "
			    "custom_id and body",
			    in->path);
	return true;
}

/* ---- the endpoint ---- */

static bool url_of(struct slice line, char *to, size_t size)
{
	struct slice key, value;
	struct json j;

	to[0] = '\0';
	json_init(&j, line);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &key)) {
		bool is_url = json_key_is(key, "url");
		if (!json_skip(&j, &value))
			return false;
		if (!is_url || value.n < 2 || value.p[0] != '"')
			continue;
		size_t n = json_decode((struct slice){ value.p + 1, value.n - 2 }, to, size - 1);
		to[n < size ? n : 0] = '\0'; /* no endpoint is so long */
	}
	return to[0] != '\0';
}

static void endpoint_find(struct request_file *in, struct slice beginning, bool whole)
{
	struct first_lines l = lines_of(beginning, whole);
	struct slice line;

	while (line_next(&l, &line))
		if (url_of(line, in->endpoint, sizeof(in->endpoint)))
			return;
}

/* ---- looking at it ---- */

static bool beginning_read(const struct request_file *in, struct buf *to, struct error *err)
{
	uint64_t most = BEGINNING_BYTES;

	while (to->n < in->size && to->n < most) {
		uint64_t left = in->size - to->n;
		size_t n = (size_t)(left < BEGINNING_BYTES ? left : BEGINNING_BYTES);
		if (!buf_reserve(to, n))
			return fail_memory(err);
		if (!sys_pread_all(in->fd, to->p + to->n, n, (off_t)to->n))
			return fail_sys(err, errno, "reading %s", in->path);
		to->n += n;
		if (memchr(to->p, '\n', to->n) == NULL)
			most = LINE_BYTES_MAX;
	}
	return true;
}

static bool look(struct request_file *in, struct error *err)
{
	AUTO(buf_free) struct buf beginning = BUF(LINE_BYTES_MAX + BEGINNING_BYTES);

	if (!beginning_read(in, &beginning, err))
		return false;
	bool whole = beginning.n == in->size;
	if (!judge(in, buf_slice(&beginning), whole, err))
		return false;
	endpoint_find(in, buf_slice(&beginning), whole);
	return true;
}

/* ---- opening ---- */

/* Standard input, in a file that goes with the process. */
static bool spool(struct request_file *in, struct error *err)
{
	const char *directory = getenv("TMPDIR");
	AUTO(auto_free) char *piece = malloc(PIECE_BYTES);
	ssize_t n;

	if (piece == NULL)
		return fail_memory(err);
	if (directory == NULL || directory[0] == '\0')
		directory = "/tmp";
	in->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (in->fd < 0)
		return fail_sys(err, errno, "making a file in %s (TMPDIR) for standard input",
				directory);
	while ((n = read(STDIN_FILENO, piece, PIECE_BYTES)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_sys(err, errno, "reading standard input");
		if (!sys_write_all(in->fd, piece, (size_t)n))
			return fail_sys(err, errno,
					"copying standard input to %s (TMPDIR names another place)",
					directory);
		in->size += (uint64_t)n;
	}
	return true;
}

/* The name without folders, as the server wants it: in .jsonl, or without a dot. */
static void name_make(struct request_file *in, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = in->is_stdin ? "stdin.jsonl" : slash != NULL ? slash + 1 : path;
	const char *dot = strrchr(name, '.');
	bool good = dot == NULL || strcasecmp(dot, ".jsonl") == 0;

	snprintf(in->name, sizeof(in->name), "%.200s%s", name, good ? "" : ".jsonl");
}

static bool open_file(struct request_file *in, struct error *err)
{
	in->fd = open(in->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (in->fd < 0 && errno == ENOENT)
		return fail(err, ERR_INVALID, "there is no file %s", in->path);
	if (in->fd < 0 || fstat(in->fd, &in->st) != 0)
		return fail_sys(err, errno, "opening %s", in->path);
	if (S_ISDIR(in->st.st_mode))
		return fail(err, ERR_INVALID,
			    "%s is a directory: give a file of requests (`lowtide prepare %s -o "
			    "in.jsonl` makes one of the texts in it)",
			    in->path, in->path);
	if (!S_ISREG(in->st.st_mode))
		return fail(err, ERR_INVALID, "%s is no file: pipe it in (lowtide submit - < %s)",
			    in->path, in->path);
	in->size = (uint64_t)in->st.st_size;
	return true;
}

bool request_file_open(const char *path, struct request_file *ret, struct error *err)
{
	*ret = REQUEST_FILE_CLOSED;
	ret->is_stdin = strcmp(path, "-") == 0;
	ret->path = ret->is_stdin ? "standard input" : path;
	name_make(ret, path);
	if ((ret->is_stdin ? spool(ret, err) : open_file(ret, err)) && look(ret, err))
		return true;
	request_file_close(ret);
	return false;
}

const char *request_file_endpoint(const struct request_file *in, const char *asked)
{
	if (asked != NULL)
		return asked;
	return in != NULL && in->endpoint[0] != '\0' ? in->endpoint : ENDPOINT_USUAL;
}

void request_file_close(struct request_file *in)
{
	if (in->fd >= 0)
		close(in->fd);
	in->fd = -1;
}

bool request_file_unchanged(const struct request_file *in, struct error *err)
{
	struct stat now;

	if (in->is_stdin)
		return true;
	if (fstat(in->fd, &now) != 0)
		return fail_sys(err, errno, "looking at %s", in->path);
	if (now.st_size == in->st.st_size && now.st_mtim.tv_sec == in->st.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == in->st.st_mtim.tv_nsec)
		return true;
	return fail(
		err, ERR_INVALID,
		"%s was written to while it was sent, and no batch was made: call again when it "
		"is whole",
		in->path);
}

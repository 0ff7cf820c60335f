/* run_files.c: see run_files.h. The comment "crash:" says what a kill right there leaves. */
#include "cli/run_files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/part.h"
#include "base/sys.h"

#define STATE_VERSION 1
#define STREAM_PIECE (256u << 10)

/* ---- names ---- */

static char *errors_path(const char *output)
{
	static const char suffix[] = ".jsonl";
	size_t n = strlen(output);
	char *path;

	if (n > sizeof(suffix) && strcmp(output + n - (sizeof(suffix) - 1), suffix) == 0)
		n -= sizeof(suffix) - 1;
	return asprintf(&path, "%.*s.errors.jsonl", (int)n, output) < 0 ? NULL : path;
}

static bool is_stdout(const char *output)
{
	static const char *const names[] = { "-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(output, names[i]) == 0)
			return true;
	return false;
}

/* What is not there yet becomes a file. */
static bool output_kind(const char *output, bool *ret_stream, struct error *err)
{
	struct stat st;

	*ret_stream = is_stdout(output);
	if (*ret_stream || stat(output, &st) != 0 || S_ISREG(st.st_mode))
		return true;
	*ret_stream = S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode);
	if (S_ISDIR(st.st_mode))
		return fail(err, ERR_INVALID,
			    "-o: %s is a directory; name the file in it, such as %s%sout.jsonl",
			    output, output, output[strlen(output) - 1] == '/' ? "" : "/");
	return *ret_stream || fail(err, ERR_INVALID,
				   "-o: %s is neither a file nor what can be written to as a "
				   "stream",
				   output);
}

bool run_paths_make(const char *input, const char *output, const char *errors,
		    struct run_paths *ret, struct error *err)
{
	bool stream;

	*ret = (struct run_paths){ 0 };
	if (output[0] == '\0')
		return fail(err, ERR_INVALID, "-o: the name is empty");
	if (!output_kind(output, &stream, err))
		return false;
	const char *beside = stream ? input : output;
	*ret = (struct run_paths){
		.input = strdup(input),
		.output = strdup(output),
		.errors = errors != NULL ? strdup(errors) : errors_path(beside),
		.stream = stream,
	};
	if (asprintf(&ret->work, "%s.lowtide", beside) < 0)
		ret->work = NULL;
	if (asprintf(&ret->state, "%s.lowtide/run.json", beside) < 0)
		ret->state = NULL;
	if (ret->input != NULL && ret->output != NULL && ret->errors != NULL && ret->work != NULL &&
	    ret->state != NULL)
		return true;
	run_paths_done(ret);
	return fail_memory(err);
}

bool run_same_file(const char *a, const char *b)
{
	struct stat at, bt;

	return stat(a, &at) == 0 && stat(b, &bt) == 0 && at.st_dev == bt.st_dev &&
	       at.st_ino == bt.st_ino;
}

void run_paths_done(struct run_paths *p)
{
	free(p->input);
	free(p->output);
	free(p->errors);
	free(p->work);
	free(p->state);
	*p = (struct run_paths){ 0 };
}

/* fsyncs the directory that `path` stands in. */
static bool sync_parent(const char *path, struct error *err)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	if (!sys_sync_dir(dirname(copy)))
		return fail_sys(err, errno, "syncing the directory of %s", path);
	return true;
}

/* ---- run.json ---- */

static void json_release(json_t **json)
{
	json_decref(*json);
}

static bool state_text(const json_t *json, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text != NULL && slice_copy(slice_of(text), to, size);
}

static bool state_read(const json_t *json, struct run_state *ret)
{
	const json_t *bytes = json_object_get(json, "input_bytes");
	const json_t *modified = json_object_get(json, "input_modified_ns");

	ret->input.bytes = (uint64_t)json_integer_value(bytes);
	ret->input.modified_ns = json_integer_value(modified);
	ret->limit = (uint64_t)json_integer_value(json_object_get(json, "limit")); /* 0: none */
	return json_integer_value(json_object_get(json, "version")) == STATE_VERSION &&
	       json_is_integer(bytes) && json_is_integer(modified) &&
	       state_text(json, "input_sha256", ret->input.sha256, sizeof(ret->input.sha256)) &&
	       state_text(json, "endpoint", ret->endpoint, sizeof(ret->endpoint)) &&
	       state_text(json, "file_id", ret->file_id, sizeof(ret->file_id)) &&
	       state_text(json, "batch_id", ret->batch_id, sizeof(ret->batch_id));
}

bool run_state_load(const char *path, struct run_state *ret, bool *ret_found, struct error *err)
{
	json_error_t why;

	*ret_found = false;
	if (access(path, F_OK) != 0)
		return errno == ENOENT || errno == ENOTDIR || fail_sys(err, errno, "%s", path);
	AUTO(json_release) json_t *json = json_load_file(path, 0, &why);
	if (json == NULL || !state_read(json, ret))
		return fail(err, ERR_INVALID,
			    "%s is not of this version of lowtide; remove its directory to start "
			    "over",
			    path);
	*ret_found = true;
	return true;
}

static bool state_write(const char *path, const json_t *json, struct error *err)
{
	AUTO(auto_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || json_dumpfd(json, fd, JSON_INDENT(2)) != 0 || sys.fsync(fd) != 0)
		return fail_sys(err, errno, "writing %s", path);
	return true;
}

bool run_state_save(const struct run_paths *p, const struct run_state *s, struct error *err)
{
	char temporary[PATH_MAX];
	AUTO(json_release)
	json_t *json = json_pack("{s:i, s:I, s:I, s:I, s:s, s:s, s:s, s:s}", "version",
				 STATE_VERSION, "input_bytes", (json_int_t)s->input.bytes,
				 "input_modified_ns", (json_int_t)s->input.modified_ns, "limit",
				 (json_int_t)s->limit, "input_sha256", s->input.sha256, "endpoint",
				 s->endpoint, "file_id", s->file_id, "batch_id", s->batch_id);

	if (json == NULL)
		return fail_memory(err);
	if (snprintf(temporary, sizeof(temporary), "%s.new", p->state) >= PATH_MAX)
		return fail_sys(err, ENAMETOOLONG, "%s", p->work);
	if (!state_write(temporary, json, err))
		return false;
	/* crash, until here: no state, so the next call starts over; nothing has been sent. */
	if (sys.rename(temporary, p->state) != 0)
		return fail_sys(err, errno, "renaming %s", temporary);
	return sync_parent(p->state, err);
}

/* ---- results ---- */

/* Results are as readable as any file that the user makes: blobs are not. */
static bool open_up(int fd)
{
	mode_t mask = umask(0);

	umask(mask);
	return fchmod(fd, 0666 & ~mask) == 0;
}

static bool copy_all(int from, int to)
{
	ssize_t n;

	while ((n = sendfile(to, from, NULL, 1u << 30)) > 0)
		;
	return n == 0;
}

/* To another file system: a copy beside the target, which then takes its name. */
static bool copy_result(int from, const char *to, struct error *err)
{
	char temporary[PATH_MAX];

	if (snprintf(temporary, sizeof(temporary), "%s.new", to) >= PATH_MAX)
		return fail_sys(err, ENAMETOOLONG, "%s", to);
	AUTO(auto_close) int fd = -1;
	if (!part_open(temporary, &fd, err))
		return false;
	/* of a call that was killed; and sendfile() appends to nothing */
	if (sys.ftruncate(fd, 0) != 0 || fcntl(fd, F_SETFL, 0) != 0 || !copy_all(from, fd))
		return fail_sys(err, errno, "copying the results to %s", temporary);
	return part_finish(fd, temporary, to, err);
}

static bool move_result(const char *from, const char *to, struct error *err)
{
	AUTO(auto_close) int fd = open(from, O_RDONLY | O_CLOEXEC);

	/* crash: it has been moved already. */
	if (fd < 0 && errno == ENOENT && access(to, F_OK) == 0)
		return true;
	if (fd < 0 || sys.fsync(fd) != 0 || !open_up(fd))
		return fail_sys(err, errno, "reading the results in %s", from);
	if (sys.rename(from, to) == 0)
		return true;
	if (errno == EXDEV)
		return copy_result(fd, to, err);
	return fail_sys(err, errno, "moving the results to %s", to);
}

static bool make_empty(const char *path, struct error *err)
{
	AUTO(auto_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0 || sys.fsync(fd) != 0)
		return fail_sys(err, errno, "creating %s", path);
	return true;
}

bool run_result_place(const struct run_paths *p, const char *id, const char *to, bool always,
		      struct error *err)
{
	char from[PATH_MAX];

	if (id[0] != '\0') {
		if (snprintf(from, sizeof(from), "%s/files/%s.jsonl", p->work, id) >= PATH_MAX)
			return fail_sys(err, ENAMETOOLONG, "%s", p->work);
		if (!move_result(from, to, err))
			return false;
	} else if (always) {
		if (!make_empty(to, err))
			return false;
	} else if (unlink(to) != 0 && errno != ENOENT) { /* an earlier run's, and --force */
		return fail_sys(err, errno, "removing %s", to);
	}
	return sync_parent(to, err);
}

/* The descriptor of the stream; standard output's is a copy, so that either may be closed. A pipe
 * opens when it has a reader. */
static int stream_open(const char *output)
{
	return is_stdout(output) ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
				 : open(output, O_WRONLY | O_CLOEXEC | O_NOCTTY);
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t written = sys.write(fd, p, n);
		if (written >= 0) {
			p += written;
			n -= (size_t)written;
		} else if (errno == EAGAIN) { /* another program has made it non-blocking */
			struct pollfd room = { .fd = fd, .events = POLLOUT };
			(void)poll(&room, 1, -1);
		} else if (errno != EINTR) {
			return false;
		}
	}
	return true;
}

/* A read and a write for each piece: not every stream takes sendfile(). */
static bool stream_copy(int from, int to)
{
	AUTO(auto_free) char *piece = malloc(STREAM_PIECE);
	ssize_t n;

	if (piece == NULL)
		return false;
	while ((n = read(from, piece, STREAM_PIECE)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || !write_all(to, piece, (size_t)n))
			return false;
	}
	return true;
}

bool run_result_stream(const struct run_paths *p, const char *id, struct error *err)
{
	char from[PATH_MAX];

	AUTO(auto_close) int out = stream_open(p->output);
	if (out < 0)
		return fail_sys(err, errno, "opening %s", p->output);
	if (id[0] == '\0')
		return true;
	if (snprintf(from, sizeof(from), "%s/files/%s.jsonl", p->work, id) >= PATH_MAX)
		return fail_sys(err, ENAMETOOLONG, "%s", p->work);
	AUTO(auto_close) int in = open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0 || !stream_copy(in, out))
		return fail_sys(err, errno,
				"writing the answers to %s (the same command writes them again)",
				p->output);
	return true;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

bool run_work_remove(const struct run_paths *p, struct error *err)
{
	if (unlink(p->state) != 0 && errno != ENOENT)
		return fail_sys(err, errno, "removing %s", p->state);
	/* crash, from here on: a directory without state, which the next call clears away. */
	if (!sync_parent(p->state, err))
		return false;
	if (nftw(p->work, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
		return fail_sys(err, errno, "removing %s", p->work);
	return true;
}

/* answer_table.c: an entry of the table is the line's place: offset in `a`; length, file and
 * marks in `b`. */
#include "rows/answer_table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/sys.h"
#include "rows/id_table.h"
#include "rows/text.h"

#define PIECE_BYTES (1u << 20)
#define LINE_BYTES_MAX (1u << 30)
#define LINE_BYTES_USUAL 512u /* so many lines are expected */

/* Of `b`. */
#define MARK_GOOD (UINT64_C(1) << 62)
#define MARK_USED (UINT64_C(1) << 63)
#define FILE_SHIFT 32
#define FILE_MASK 0xffu

struct answer_table {
	const char *const *paths;
	size_t count;
	int fds[ANSWER_FILES_MAX];
	struct id_table *table;
	uint64_t ids, used;

	struct buf line, id; /* of the last call */
	struct row_answer answer;
};

/* ---- lines of a file, in turn ---- */

struct result_lines {
	const struct answer_table *a;
	size_t file;
	struct buf held;
	size_t at;       /* of `held`: where the next line begins */
	uint64_t offset; /* of the file: where `held` begins */
	uint64_t line;   /* number of the last one, from 1 */
	bool ended;
};

static bool lines_more(struct result_lines *l, struct error *err)
{
	ssize_t got;

	if (l->at > 0)
		memmove(l->held.p, l->held.p + l->at, l->held.n - l->at);
	l->held.n -= l->at;
	l->offset += l->at;
	l->at = 0;
	if (!buf_reserve(&l->held, PIECE_BYTES))
		return l->held.no_memory
			       ? fail_memory(err)
			       : fail(err, ERR_INVALID, "%s:%" PRIu64 ": the line is too long",
				      l->a->paths[l->file], l->line + 1);
	do
		got = read(l->a->fds[l->file], l->held.p + l->held.n, l->held.cap - l->held.n);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return fail_sys(err, errno, "reading %s", l->a->paths[l->file]);
	l->held.n += (size_t)got;
	l->ended = got == 0;
	return true;
}

/* The next line without its LF; ret->p NULL: there is none. */
static bool lines_next(struct result_lines *l, struct slice *ret, uint64_t *ret_offset,
		       struct error *err)
{
	for (;;) {
		size_t left = l->held.n - l->at;
		const char *start = left > 0 ? l->held.p + l->at : NULL;
		const char *lf = left > 0 ? memchr(start, '\n', left) : NULL;

		if (lf == NULL && !l->ended) {
			if (!lines_more(l, err))
				return false;
			continue;
		}
		*ret = (struct slice){ start, lf != NULL ? (size_t)(lf - start) : left };
		*ret_offset = l->offset + l->at;
		l->at += ret->n + (lf != NULL);
		l->line++;
		return true;
	}
}

static bool is_blank(struct slice line)
{
	return line.n == 0 || (line.n == 1 && line.p[0] == '\r');
}

/* ---- the table ---- */

static bool id_decode(struct answer_table *a, struct slice raw, struct slice *ret,
		      struct error *err)
{
	buf_clear(&a->id);
	if (!buf_reserve(&a->id, raw.n + 1))
		return fail_memory(err);
	a->id.n = json_decode(raw, a->id.p, raw.n);
	*ret = buf_slice(&a->id);
	return true;
}

static bool fail_line(const struct result_lines *l, struct error *err)
{
	return fail(err, ERR_INVALID,
		    "%s:%" PRIu64
		    ": this is no line of a result file: one has custom_id, response and "
		    "error",
		    l->a->paths[l->file], l->line);
}

static bool fail_twice(const struct result_lines *l, struct slice id, struct error *err)
{
	char shown[TEXT_SHOWN_BYTES];

	return fail(err, ERR_INVALID,
		    "%s:%" PRIu64
		    ": a line before has an answer for the custom_id '%s', too: are the "
		    "results of two batches in one file?",
		    l->a->paths[l->file], l->line, text_show(id, shown));
}

static bool line_add(struct answer_table *a, const struct result_lines *l, struct slice line,
		     uint64_t offset, struct error *err)
{
	uint64_t where = (uint64_t)l->file << FILE_SHIFT | line.n;
	struct slice raw, id;
	struct id_entry there;
	bool known;

	if (!answer_id(line, &raw) || !answer_read(line, &a->answer))
		return fail_line(l, err);
	if (a->answer.failed)
		return fail_memory(err);
	where |= a->answer.good ? MARK_GOOD : 0;
	if (!id_decode(a, raw, &id, err) ||
	    !id_table_add(a->table, id, offset, where, &known, &there, err))
		return false;
	a->ids += !known;
	if (!known || !a->answer.good)
		return true;
	return (there.b & MARK_GOOD) != 0 ? fail_twice(l, id, err)
					  : id_table_set(a->table, offset, where, err);
}

static bool file_read(struct answer_table *a, size_t file, struct error *err)
{
	struct result_lines l = { .a = a, .file = file, .held = BUF(LINE_BYTES_MAX) };
	struct slice line;
	uint64_t offset;
	bool good = true;

	while (good) {
		good = lines_next(&l, &line, &offset, err);
		if (!good || line.p == NULL)
			break;
		good = is_blank(line) || line_add(a, &l, line, offset, err);
	}
	buf_free(&l.held);
	return good;
}

static bool files_open(struct answer_table *a, uint64_t *ret_bytes, struct error *err)
{
	struct stat st;

	*ret_bytes = 0;
	for (size_t i = 0; i < a->count; i++) {
		a->fds[i] = open(a->paths[i], O_RDONLY | O_CLOEXEC);
		if (a->fds[i] < 0 || fstat(a->fds[i], &st) != 0)
			return fail(err, ERR_INVALID, "%s: %s", a->paths[i],
				    strerrordesc_np(errno));
		if (!S_ISREG(st.st_mode))
			return fail(
				err, ERR_INVALID,
				"%s is not a regular file: its lines are read again, in the order "
				"of the documents",
				a->paths[i]);
		*ret_bytes += (uint64_t)st.st_size;
	}
	return true;
}

bool answer_table_open(const char *const *paths, size_t n, const char *directory,
		       struct answer_table **ret, struct error *err)
{
	struct answer_table *a = calloc(1, sizeof(*a));
	uint64_t bytes;

	if (a == NULL)
		return fail_memory(err);
	*a = (struct answer_table){
		.paths = paths,
		.count = n,
		.line = BUF(LINE_BYTES_MAX),
		.id = BUF(LINE_BYTES_MAX),
		.answer = ANSWER_EMPTY,
	};
	for (size_t i = 0; i < ANSWER_FILES_MAX; i++)
		a->fds[i] = -1;
	bool good = files_open(a, &bytes, err) &&
		    id_table_open(directory, bytes / LINE_BYTES_USUAL, &a->table, err);
	for (size_t i = 0; i < n && good; i++)
		good = file_read(a, i, err);
	if (good) {
		*ret = a;
		return true;
	}
	answer_table_close(a);
	return false;
}

void answer_table_close(struct answer_table *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < ANSWER_FILES_MAX; i++)
		if (a->fds[i] >= 0)
			close(a->fds[i]);
	id_table_close(a->table);
	buf_free(&a->line);
	buf_free(&a->id);
	answer_done(&a->answer);
	free(a);
}

/* ---- by custom_id ---- */

static bool line_get(struct answer_table *a, const struct id_entry *e, struct error *err)
{
	size_t n = e->b & UINT32_MAX;
	size_t file = e->b >> FILE_SHIFT & FILE_MASK;

	buf_clear(&a->line);
	if (!buf_reserve(&a->line, n))
		return fail_memory(err);
	if (!sys_pread_all(a->fds[file], a->line.p, n, (off_t)e->a))
		return fail_sys(err, errno, "reading %s", a->paths[file]);
	a->line.n = n;
	bool read = answer_read(buf_slice(&a->line), &a->answer);
	if (read && a->answer.failed)
		return fail_memory(err);
	return read || fail(err, ERR_INVALID, "%s has changed while it was read", a->paths[file]);
}

bool answer_table_get(struct answer_table *a, struct slice custom_id, const struct row_answer **ret,
		      bool *ret_again, struct error *err)
{
	struct id_entry e;
	bool known;

	*ret = NULL;
	*ret_again = false;
	if (!id_table_find(a->table, custom_id, &known, &e, err))
		return false;
	if (!known)
		return true;
	*ret_again = (e.b & MARK_USED) != 0;
	*ret = &a->answer;
	if (!*ret_again && !id_table_set(a->table, e.a, e.b | MARK_USED, err))
		return false;
	a->used += !*ret_again;
	return line_get(a, &e, err);
}

uint64_t answer_table_count(const struct answer_table *a)
{
	return a->ids;
}

uint64_t answer_table_used(const struct answer_table *a)
{
	return a->used;
}

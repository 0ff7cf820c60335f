/* questions.c: see questions.h. */
#include "terminal/questions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/json.h"
#include "base/sys.h"
#include "terminal/line_feed.h"
#include "terminal/result_line.h"

#define ID_BYTES 1024u /* an id is 512 bytes at most */
#define PIECE_BYTES (256u << 10)

struct question {
	uint64_t hash, at;
};

/* Of the decoded id: "\u0061" is "a". */
static uint64_t hash_of(struct slice raw)
{
	char id[ID_BYTES];
	size_t n = json_decode(raw, id, sizeof(id));

	return XXH3_64bits(id, n < sizeof(id) ? n : sizeof(id));
}

static int compare(const void *a, const void *b)
{
	const struct question *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

struct questions_reading {
	struct questions *q;
	uint64_t at;
};

static bool on_line(void *ctx, struct slice line, struct error *err)
{
	struct questions_reading *r = ctx;
	struct questions *q = r->q;
	struct result_line l;
	uint64_t at = r->at;

	r->at += line.n + 1;
	if (!result_line_read(line, &l) || l.custom_id.n == 0)
		return true; /* a blank line, or one that was no request */
	if (q->count == q->cap) {
		size_t cap = q->cap == 0 ? 1024 : 2 * q->cap;
		struct question *more = reallocarray(q->list, cap, sizeof(*more));
		if (more == NULL)
			return fail_memory(err);
		q->list = more;
		q->cap = cap;
	}
	q->list[q->count++] = (struct question){ hash_of(l.custom_id), at };
	return true;
}

static bool read_all(struct questions *q, struct error *err)
{
	struct questions_reading reading = { q, 0 };
	AUTO(line_feed_free) struct line_feed feed = LINE_FEED(on_line, &reading);
	AUTO(auto_free) char *piece = malloc(PIECE_BYTES);
	ssize_t n;

	if (piece == NULL)
		return fail_memory(err);
	/* the mark at the beginning, where there is one, is no part of the first line */
	if (pread(q->fd, piece, 3, 0) == 3 && memcmp(piece, "\xef\xbb\xbf", 3) == 0) {
		reading.at = 3;
		if (lseek(q->fd, 3, SEEK_SET) < 0)
			return fail_sys(err, errno, "reading %s", q->path);
	}
	while ((n = read(q->fd, piece, PIECE_BYTES)) != 0) {
		if (n < 0)
			return fail_sys(err, errno, "reading %s", q->path);
		if (!line_feed_add(&feed, (struct slice){ piece, (size_t)n }, err))
			return false;
	}
	return line_feed_end(&feed, err);
}

bool questions_open(struct questions *q, const char *path, struct error *err)
{
	struct stat st;

	*q = (struct questions){ .path = path, .line = BUF(LINE_FEED_BYTES_MAX) };
	q->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (q->fd < 0 || fstat(q->fd, &st) != 0)
		return fail_sys(err, errno, "--merge: opening %s", path);
	if (!S_ISREG(st.st_mode))
		return fail(err, ERR_INVALID, "--merge: %s is no file: it is read more than once",
			    path);
	if (!read_all(q, err))
		return false;
	if (q->count == 0)
		return fail(
			err, ERR_INVALID,
			"--merge: %s has no line with a custom_id: it is the file that the batch "
			"was made of",
			path);
	qsort(q->list, q->count, sizeof(*q->list), compare);
	return true;
}

void questions_close(struct questions *q)
{
	if (q->path != NULL && q->fd >= 0)
		close(q->fd);
	free(q->list);
	buf_free(&q->line);
	*q = (struct questions){ .fd = -1 };
}

/* ---- finding one ---- */

/* The first of that hash; q->count: there is none. */
static size_t first_of(const struct questions *q, uint64_t hash)
{
	size_t low = 0, high = q->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (q->list[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The line at `at`, without its LF, into q->line. */
static bool line_read(struct questions *q, uint64_t at, struct slice *ret, struct error *err)
{
	buf_clear(&q->line);
	for (;;) {
		if (!buf_reserve(&q->line, PIECE_BYTES))
			return fail_memory(err);
		ssize_t n = pread(q->fd, q->line.p + q->line.n, PIECE_BYTES,
				  (off_t)(at + q->line.n));
		if (n < 0)
			return fail_sys(err, errno, "reading %s", q->path);
		const char *lf = memchr(q->line.p + q->line.n, '\n', (size_t)n);
		q->line.n += (size_t)n;
		if (lf != NULL || n == 0) {
			*ret = (struct slice){ q->line.p,
					       lf != NULL ? (size_t)(lf - q->line.p) : q->line.n };
			return true;
		}
	}
}

/* *ret: the body; n == 0: there is none. */
static bool body_find(struct questions *q, struct slice custom_id, struct slice *ret,
		      struct error *err)
{
	uint64_t hash = hash_of(custom_id);
	struct slice line;
	struct result_line l;

	*ret = (struct slice){ NULL, 0 };
	for (size_t i = first_of(q, hash); i < q->count && q->list[i].hash == hash; i++) {
		if (!line_read(q, q->list[i].at, &line, err))
			return false;
		if (!result_line_read(line, &l) || !json_same_string(l.custom_id, custom_id))
			continue;
		*ret = l.body;
		return true;
	}
	return true;
}

bool questions_merge(struct questions *q, struct slice line, struct buf *to, struct error *err)
{
	struct result_line l;
	struct slice body;

	if (!result_line_read(line, &l))
		return fail(err, ERR_UPSTREAM, "a line of the results is no JSON object: %.60s",
			    line.n > 0 ? "it is damaged" : "it is empty");
	if (!body_find(q, l.custom_id, &body, err))
		return false;
	q->missing += body.n == 0;
	buf_add(to, (struct slice){ line.p, l.end });
	buf_text(to, ",\"request\":");
	buf_add(to, body.n > 0 ? body : SLICE("null"));
	buf_char(to, '}');
	return !to->failed || fail_memory(err);
}

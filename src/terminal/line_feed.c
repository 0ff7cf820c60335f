/* line_feed.c: see line_feed.h. */
#include "terminal/line_feed.h"

#include <string.h>

void line_feed_free(struct line_feed *f)
{
	buf_free(&f->part);
}

static bool hand_on(struct line_feed *f, struct slice line, struct error *err)
{
	if (f->part.n == 0)
		return f->line(f->ctx, line, err);
	buf_add(&f->part, line);
	bool good = !f->part.failed ? f->line(f->ctx, buf_slice(&f->part), err) : fail_memory(err);
	buf_clear(&f->part);
	return good;
}

bool line_feed_add(struct line_feed *f, struct slice piece, struct error *err)
{
	const char *lf;

	while (piece.n > 0 && (lf = memchr(piece.p, '\n', piece.n)) != NULL) {
		size_t n = (size_t)(lf - piece.p);
		if (!hand_on(f, (struct slice){ piece.p, n }, err))
			return false;
		piece = (struct slice){ lf + 1, piece.n - n - 1 };
	}
	buf_add(&f->part, piece);
	return !f->part.failed || fail_memory(err);
}

bool line_feed_end(struct line_feed *f, struct error *err)
{
	return f->part.n == 0 || hand_on(f, SLICE(""), err);
}

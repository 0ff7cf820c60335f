/* frame.c: see frame.h. */
#include "terminal/frame.h"

#include <errno.h>
#include <unistd.h>

#include "base/sys.h"
#include "terminal/signals.h"
#include "terminal/text.h"

void frame_open(struct frame *f, int fd)
{
	*f = (struct frame){ .fd = fd, .shown = BUF(FRAME_BYTES_MAX) };
}

void frame_close(struct frame *f)
{
	buf_free(&f->shown);
}

/* The first line of *rest, which goes on behind it. */
static struct slice line_next(struct slice *rest)
{
	const char *end = memchr(rest->p, '\n', rest->n);
	size_t n = end != NULL ? (size_t)(end - rest->p) : rest->n;
	struct slice line = { rest->p, n };

	n += end != NULL;
	*rest = (struct slice){ rest->p + n, rest->n - n };
	return line;
}

/* Colours take no room, and all of them are kept, so that none is left on. */
static void put_line(struct buf *to, struct slice line, size_t columns)
{
	while (line.n > 0) {
		const char *escape = memchr(line.p, '\033', line.n);
		struct slice text = { line.p, escape != NULL ? (size_t)(escape - line.p) : line.n };
		columns -= text_cut(to, text, columns);
		line = (struct slice){ line.p + text.n, line.n - text.n };
		const char *end = memchr(line.p, 'm', line.n);
		size_t n = end != NULL ? (size_t)(end - line.p) + 1 : line.n;
		buf_append(to, line.p, n);
		line = (struct slice){ line.p + n, line.n - n };
	}
	buf_text(to, "\033[K\n");
}

static size_t lines_of(struct slice text)
{
	size_t n = 0;

	while (text.n > 0) {
		line_next(&text);
		n++;
	}
	return n;
}

/* *ret_lines: how many these are. */
static void put_lines(struct buf *to, struct slice text, size_t columns, size_t rows,
		      size_t *ret_lines)
{
	size_t all = lines_of(text), room = rows - 1; /* the cursor's line is below them */
	size_t whole = all <= room ? all : room - 1;

	for (size_t i = 0; i < whole; i++)
		put_line(to, line_next(&text), columns);
	*ret_lines = whole;
	if (whole == all)
		return;
	char rest[64];
	snprintf(rest, sizeof(rest), "… %zu more lines", all - whole);
	put_line(to, slice_of(rest), columns);
	++*ret_lines;
}

void frame_draw(struct frame *f, struct slice text, size_t columns, size_t rows)
{
	AUTO(buf_free) struct buf drawn = BUF(FRAME_BYTES_MAX), all = BUF(FRAME_BYTES_MAX + 64);
	size_t lines;

	put_lines(&drawn, text, columns, rows >= 2 ? rows : 2, &lines);
	if (drawn.failed || slice_eq(buf_slice(&drawn), buf_slice(&f->shown)))
		return;
	if (f->lines > 0)
		buf_printf(&all, "\033[%zuA", f->lines);
	buf_add(&all, buf_slice(&drawn));
	buf_text(&all, "\033[J");
	if (all.failed)
		return;
	if (!sys_write_all(f->fd, all.p, all.n))
		signals_reader_gone(errno);
	f->lines = lines;
	buf_free(&f->shown);
	f->shown = drawn;
	drawn = (struct buf){ 0 };
}

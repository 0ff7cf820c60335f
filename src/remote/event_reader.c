/* event_reader.c: see event_reader.h. */
#include "remote/event_reader.h"

#include <string.h>

void event_reader_init(struct event_reader *e)
{
	*e = (struct event_reader){ .line = BUF(EVENT_BYTES_MAX), .data = BUF(EVENT_BYTES_MAX) };
}

void event_reader_free(struct event_reader *e)
{
	buf_free(&e->line);
	buf_free(&e->data);
}

static void event_begin(struct event_reader *e)
{
	buf_clear(&e->data);
	e->name[0] = '\0';
	e->begun = false;
	e->handed_on = false;
}

void event_reader_restart(struct event_reader *e)
{
	buf_clear(&e->line);
	e->after_cr = false;
	event_begin(e);
}

static void field_take(struct event_reader *e, struct slice name, struct slice value)
{
	if (slice_is(name, "data")) {
		if (e->data.n > 0 || e->begun)
			buf_char(&e->data, '\n');
		buf_add(&e->data, value);
		e->begun = true;
	} else if (slice_is(name, "event")) {
		(void)slice_copy(value, e->name, sizeof(e->name));
	} else if (slice_is(name, "id")) {
		(void)slice_copy(value, e->id, sizeof(e->id));
	}
}

/* True: the line ends an event that has data. */
static bool line_take(struct event_reader *e)
{
	struct slice line = buf_slice(&e->line);

	if (line.n == 0 && e->begun)
		return true;
	if (line.n == 0) {
		event_begin(e);
		return false;
	}
	const char *colon = memchr(line.p, ':', line.n);
	if (colon == line.p)
		return false; /* a comment */
	size_t n = colon != NULL ? (size_t)(colon - line.p) : line.n;
	struct slice value = { line.p + n, 0 };
	if (colon != NULL)
		value = (struct slice){ colon + 1, line.n - n - 1 };
	if (value.n > 0 && value.p[0] == ' ')
		value = (struct slice){ value.p + 1, value.n - 1 };
	field_take(e, (struct slice){ line.p, n }, value);
	return false;
}

/* Takes a line's bytes from `piece`, or what there is of them. True: the line is whole. */
static bool line_read(struct event_reader *e, struct slice *piece)
{
	size_t n = 0;

	if (e->after_cr && piece->n > 0 && piece->p[0] == '\n')
		*piece = (struct slice){ piece->p + 1, piece->n - 1 };
	e->after_cr = false; /* no piece is empty */
	while (n < piece->n && piece->p[n] != '\n' && piece->p[n] != '\r')
		n++;
	buf_append(&e->line, piece->p, n);
	bool whole = n < piece->n;
	if (whole)
		e->after_cr = piece->p[n++] == '\r';
	*piece = (struct slice){ piece->p + n, piece->n - n };
	return whole;
}

bool event_reader_next(struct event_reader *e, struct slice *piece, bool *ret_event)
{
	*ret_event = false;
	if (e->handed_on)
		event_begin(e);
	while (piece->n > 0 && !e->handed_on) {
		bool whole = line_read(e, piece);
		if (e->line.failed)
			return false;
		if (!whole)
			break;
		e->handed_on = line_take(e);
		buf_clear(&e->line);
		if (e->data.failed)
			return false;
	}
	*ret_event = e->handed_on;
	return true;
}

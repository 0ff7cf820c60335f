/* event_text.c: see event_text.h. An object has no line break, so it is one `data:` line. */
#include "api/event_text.h"

#include <inttypes.h>
#include <stdlib.h>

#define EVENT_BYTES_MAX (16u << 20)

struct event_text *event_text_new(const struct batch *row, bool counts, struct budget_use *use)
{
	struct event_text *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->refs = 1;
	t->bytes = BUF_OF(EVENT_BYTES_MAX, use);
	t->changed = row->changed;
	t->counts = counts;
	t->status = row->status;
	if (!counts)
		buf_printf(&t->bytes, "id: %" PRId64 "\n", row->changed);
	buf_text(&t->bytes, "event: batch\ndata: ");
	t->json_at = t->bytes.n;
	return t;
}

bool event_text_seal(struct event_text *t)
{
	t->json_n = t->bytes.n - t->json_at;
	buf_text(&t->bytes, "\n\n");
	if (!t->bytes.failed)
		return true;
	event_text_unref(t);
	return false;
}

struct event_text *event_text_ref(struct event_text *t)
{
	t->refs++;
	return t;
}

void event_text_unref(struct event_text *t)
{
	if (t == NULL || --t->refs > 0)
		return;
	buf_free(&t->bytes);
	free(t);
}

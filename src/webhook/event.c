/* event.c: a table of the types. */
#include "webhook/event.h"

#include "base/attr.h"

static const struct {
	enum batch_status status;
	const char *name;
} types[] = {
	{ BATCH_COMPLETED, "batch.completed" },
	{ BATCH_FAILED, "batch.failed" },
	{ BATCH_EXPIRED, "batch.expired" },
	{ BATCH_CANCELLED, "batch.cancelled" },
};

const char *event_type_name(enum batch_status status)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].status == status)
			return types[i].name;
	return NULL;
}

unsigned event_type_of(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (slice_is(name, types[i].name))
			return 1u << types[i].status;
	return 0;
}

void event_types_write(struct buf *to, unsigned mask)
{
	const char *between = "";

	buf_char(to, '[');
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if ((mask >> types[i].status & 1) == 0)
			continue;
		buf_printf(to, "%s\"%s\"", between, types[i].name);
		between = ",";
	}
	buf_char(to, ']');
}

void event_types_describe(struct buf *to)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		buf_printf(to, "%s'%s'", i > 0 ? ", " : "", types[i].name);
}

void event_write(struct buf *to, const struct event *e)
{
	buf_printf(to,
		   "{\"object\":\"event\",\"id\":\"%s\",\"type\":\"%s\",\"created_at\":%lld,"
		   "\"data\":{\"id\":\"%s\"}}",
		   e->id, event_type_name(e->type), (long long)e->at, e->batch);
}

/* context.c: see context.h. */
#include "trace/context.h"

#include "base/hex.h"
#include "base/id.h"

#define FLAG_SAMPLED 1u
#define VERSION_INVALID 0xffu

void trace_hex(const uint8_t *bytes, size_t n, char *to)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		to[2 * i] = digits[bytes[i] >> 4];
		to[2 * i + 1] = digits[bytes[i] & 15];
	}
	to[2 * n] = '\0';
}

static bool span_id_is_set(const struct trace_context *c)
{
	static const uint8_t zero[SPAN_ID_BYTES];

	return memcmp(c->span_id, zero, sizeof(zero)) != 0;
}

/* Of version 00 nothing follows; what follows of a later one begins with a dash. */
static bool end_is_good(struct slice text, unsigned version)
{
	if (text.n == TRACEPARENT_BYTES)
		return true;
	return version > 0 && text.p[TRACEPARENT_BYTES] == '-';
}

bool trace_context_read(struct slice text, struct trace_context *ret)
{
	uint8_t version, flags;

	*ret = (struct trace_context){ 0 };
	if (text.n < TRACEPARENT_BYTES || text.p[2] != '-' || text.p[35] != '-' ||
	    text.p[52] != '-')
		return false;
	struct trace_context c = { 0 };
	if (!hex_read(text.p, &version, 1) || version == VERSION_INVALID ||
	    !hex_read(text.p + 3, c.trace_id, TRACE_ID_BYTES) ||
	    !hex_read(text.p + 36, c.span_id, SPAN_ID_BYTES) || !hex_read(text.p + 53, &flags, 1))
		return false;
	if (!end_is_good(text, version) || !trace_context_is_set(&c) || !span_id_is_set(&c))
		return false;
	c.sampled = (flags & FLAG_SAMPLED) != 0;
	*ret = c;
	return true;
}

void trace_context_write(const struct trace_context *c, char to[static TRACEPARENT_BYTES + 1])
{
	memcpy(to, "00-", 3);
	trace_hex(c->trace_id, TRACE_ID_BYTES, to + 3);
	to[35] = '-';
	trace_hex(c->span_id, SPAN_ID_BYTES, to + 36);
	memcpy(to + 52, c->sampled ? "-01" : "-00", 4);
}

/* One in 2^64 is none: it is made another. */
static void span_id_settle(struct trace_context *c)
{
	if (!span_id_is_set(c))
		c->span_id[0] = 1;
}

struct trace_context trace_context_new(const struct trace_context *parent)
{
	struct trace_context c = { .sampled = true };

	if (parent != NULL && trace_context_is_set(parent))
		c = *parent;
	else
		random_bytes(c.trace_id, sizeof(c.trace_id));
	random_bytes(c.span_id, sizeof(c.span_id));
	span_id_settle(&c);
	return c;
}

struct trace_context trace_context_of(const char *id, const struct trace_context *parent)
{
	struct trace_context c = trace_context_new(parent);
	size_t n = strlen(id), digits = 2 * TRACE_ID_BYTES;
	uint8_t bytes[TRACE_ID_BYTES];

	if (n < digits || !hex_read(id + n - digits, bytes, sizeof(bytes)))
		return c;
	for (size_t i = 0; i < SPAN_ID_BYTES; i++)
		c.span_id[i] = bytes[i] ^ bytes[SPAN_ID_BYTES + i];
	span_id_settle(&c);
	if (parent != NULL && trace_context_is_set(parent))
		return c;
	memcpy(c.trace_id, bytes, sizeof(bytes));
	if (!trace_context_is_set(&c))
		c.trace_id[0] = 1;
	return c;
}

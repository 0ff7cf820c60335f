/* override.c: see override.h. */
#include "batch/override.h"

#include <stdlib.h>
#include <string.h>

struct override_member {
	struct slice key; /* raw, without quotes */
	struct slice value;
	enum json_type type;
};

struct override {
	unsigned n;
	uint64_t bytes;
	struct override_member members[OVERRIDE_MEMBERS_MAX];
	char text[];
};

/* A key without escapes is compared as it stands. */
static bool key_same(struct slice a, struct slice b)
{
	if (slice_eq(a, b))
		return true;
	return (memchr(a.p, '\\', a.n) != NULL || memchr(b.p, '\\', b.n) != NULL) &&
	       json_same_string(a, b);
}

/* The number of the member, o->n if it is not there. */
static unsigned member_of(const struct override *o, struct slice key)
{
	unsigned i = 0;

	while (i < o->n && !key_same(o->members[i].key, key))
		i++;
	return i;
}

/* False: it is no object, or has too many members. */
static bool text_read(struct override *o)
{
	struct json j;
	struct override_member m;

	json_init(&j, slice_of(o->text));
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &m.key)) {
		m.type = json_peek(&j);
		if (!json_skip(&j, &m.value))
			return false;
		unsigned at = member_of(o, m.key);
		o->n += at == o->n;
		if (at == OVERRIDE_MEMBERS_MAX)
			return false;
		o->members[at] = m;
	}
	for (unsigned i = 0; i < o->n; i++)
		o->bytes += o->members[i].value.n;
	return json_end(&j);
}

struct override *override_new(const char *text, unsigned *ret_n)
{
	size_t n = strlen(text);
	struct override *o = calloc(1, sizeof(*o) + n + 1);

	*ret_n = 0;
	if (o == NULL)
		return NULL;
	memcpy(o->text, text, n + 1);
	bool ok = text_read(o);
	*ret_n = o->n;
	if (ok)
		return o;
	free(o);
	return NULL;
}

void override_free(struct override *o)
{
	free(o);
}

enum json_type override_member(const struct override *o, const char *name, struct slice *ret_value)
{
	unsigned at = o != NULL ? member_of(o, slice_of(name)) : 0;

	if (o == NULL || at == o->n)
		return JSON_BAD;
	*ret_value = o->members[at].value;
	return o->members[at].type;
}

char *override_text(const struct override *o, const char *name)
{
	struct slice value;

	if (override_member(o, name, &value) != JSON_STRING)
		return NULL;
	char *text = malloc(value.n); /* decoding never makes it longer */
	if (text != NULL)
		text[json_decode((struct slice){ value.p + 1, value.n - 2 }, text, value.n - 1)] =
			'\0';
	return text;
}

uint64_t override_bytes(const struct override *o)
{
	return o->bytes;
}

/* ---- in a body ---- */

static void members_add(const struct override *o, const bool *there, bool first, struct buf *to)
{
	for (unsigned i = 0; i < o->n; i++) {
		if (there[i])
			continue;
		if (!first)
			buf_char(to, ',');
		first = false;
		buf_char(to, '"');
		buf_add(to, o->members[i].key);
		buf_text(to, "\":");
		buf_add(to, o->members[i].value);
	}
}

bool override_apply(const struct override *o, struct slice body, struct buf *to)
{
	bool there[OVERRIDE_MEMBERS_MAX] = { false }, first = true;
	const char *kept = body.p; /* what stands before it is in `to` */
	struct slice key, value;
	struct json j;

	json_init(&j, body);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	const char *last = body.p + json_offset(&j); /* behind the last member, or the brace */
	while (json_member(&j, &key)) {
		if (!json_skip(&j, &value))
			return false;
		unsigned at = member_of(o, key);
		const char *before = last;
		first = false;
		last = value.p + value.n;
		if (at == o->n)
			continue;
		if (there[at]) { /* with the comma before it */
			buf_append(to, kept, (size_t)(before - kept));
		} else {
			buf_append(to, kept, (size_t)(value.p - kept));
			buf_add(to, o->members[at].value);
		}
		there[at] = true;
		kept = last;
	}
	if (!json_end(&j))
		return false;
	buf_append(to, kept, (size_t)(last - kept));
	members_add(o, there, first, to);
	buf_append(to, last, (size_t)(body.p + body.n - last));
	return !to->failed;
}

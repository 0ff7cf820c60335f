/* webhook_members.c: the checks stand in the order name, url, event_types; the first that fails is
 * reported. */
#include "api/webhook_members.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/members.h"
#include "base/buf.h"
#include "webhook/event.h"
#include "webhook/target.h"

enum { NAME, URL, EVENT_TYPES, MEMBER_COUNT };

static bool fail_body(struct error *err)
{
	return fail(err, ERR_INVALID, "We could not parse the JSON body of your request.");
}

/* The text of a string member, which fits in `to` and holds no NUL. */
static bool read_text(const struct member *m, char *to, size_t size, struct error *err)
{
	AUTO(auto_free) char *text = NULL;
	size_t n;

	if (!member_require(m, JSON_STRING, err) || !member_text(m, &text, &n, err))
		return false;
	if (n >= size)
		return fail_param(err, m->name, "string_above_max_length",
				  "Invalid '%s': string too long.", m->name);
	if (n == 0 || !slice_copy((struct slice){ text, n }, to, size))
		return fail_param(err, m->name, "invalid_value",
				  "Invalid value for '%s': a text that is not empty is expected.",
				  m->name);
	return true;
}

/* Unicode characters: each begins with a byte that is not 10xxxxxx. */
static size_t characters(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xC0) != 0x80;
	return n;
}

static bool read_name(const struct member *m, struct webhook_members *ret, struct error *err)
{
	if (!read_text(m, ret->name, sizeof(ret->name), err))
		return false;
	size_t n = characters(ret->name);
	return n <= WEBHOOK_NAME_CHARACTERS ||
	       fail_param(err, m->name, "string_above_max_length",
			  "Invalid 'name': string too long. Expected a string with maximum length "
			  "%d, but got a string with length %zu instead.",
			  WEBHOOK_NAME_CHARACTERS, n);
}

static bool read_url(const struct member *m, bool allow_private, struct webhook_members *ret,
		     struct error *err)
{
	if (!read_text(m, ret->url, sizeof(ret->url), err))
		return false;
	const char *refusal = target_refusal(ret->url, allow_private);
	return refusal == NULL ||
	       fail_param(err, m->name, "invalid_value", "Invalid value for 'url': %s", refusal);
}

/* ---- types of events ---- */

static bool fail_event_type(const char *param, struct slice given, struct error *err)
{
	AUTO(buf_free) struct buf types = BUF(512);

	event_types_describe(&types);
	if (types.failed)
		return fail_memory(err);
	return fail_param(err, param, "invalid_value",
			  "Invalid value: '%.*s'. Supported values are: %.*s.",
			  given.n > 100 ? 100 : (int)given.n, given.p,
			  SLICE_ARG(buf_slice(&types)));
}

/* Of a JSON string, with its quotes. */
static bool read_type(const char *param, struct slice string, unsigned *ret, struct error *err)
{
	struct member m = { .type = JSON_STRING, .text = string };
	AUTO(auto_free) char *text = NULL;
	size_t n;

	if (!member_text(&m, &text, &n, err))
		return false;
	*ret = event_type_of((struct slice){ text, n });
	return *ret != 0 || fail_event_type(param, (struct slice){ text, n }, err);
}

static bool read_event_types(const struct member *m, struct webhook_members *ret, struct error *err)
{
	struct slice value;
	struct json j;
	unsigned type;

	if (!member_require(m, JSON_ARRAY, err))
		return false;
	json_init(&j, m->text);
	json_next(&j);
	while (json_element(&j)) {
		enum json_type kind = json_peek(&j);
		if (!json_skip(&j, &value))
			return fail(err, ERR_INTERNAL, "A checked array could not be read again.");
		if (kind != JSON_STRING)
			return fail_type(err, m->name, JSON_STRING, kind, value);
		if (!read_type(m->name, value, &type, err))
			return false;
		ret->event_types |= type;
	}
	return ret->event_types != 0 ||
	       fail_param(err, m->name, "invalid_value",
			  "Invalid value for 'event_types': at least one is expected.");
}

/* ---- bodies ---- */

bool webhook_members_read(struct slice body, bool all, bool allow_private,
			  struct webhook_members *ret, struct error *err)
{
	struct member m[MEMBER_COUNT] = {
		[NAME].name = "name",
		[URL].name = "url",
		[EVENT_TYPES].name = "event_types",
	};

	*ret = (struct webhook_members){ .event_types = 0 };
	if (!members_find(body, m, MEMBER_COUNT))
		return fail_body(err);
	if ((all || !member_absent(&m[NAME])) && !read_name(&m[NAME], ret, err))
		return false;
	if ((all || !member_absent(&m[URL])) && !read_url(&m[URL], allow_private, ret, err))
		return false;
	return (!all && member_absent(&m[EVENT_TYPES])) ||
	       read_event_types(&m[EVENT_TYPES], ret, err);
}

bool webhook_keep_old_read(struct slice body, bool *ret, struct error *err)
{
	struct member m = { .name = "keep_old_secret_active_for_24_hours" };

	*ret = true;
	if (body.n == 0)
		return true;
	if (!members_find(body, &m, 1))
		return fail_body(err);
	if (member_absent(&m) || m.type == JSON_TRUE)
		return true;
	*ret = false;
	return m.type == JSON_FALSE || fail_type(err, m.name, JSON_TRUE, m.type, m.text);
}

bool webhook_event_type_read(struct slice body, enum batch_status otherwise, enum batch_status *ret,
			     struct error *err)
{
	struct member m = { .name = "event_type" };
	unsigned type = 0;

	*ret = otherwise;
	if (body.n == 0)
		return true;
	if (!members_find(body, &m, 1))
		return fail_body(err);
	if (member_absent(&m))
		return true;
	if (!member_require(&m, JSON_STRING, err) || !read_type(m.name, m.text, &type, err))
		return false;
	*ret = (enum batch_status)__builtin_ctz(type);
	return true;
}

bool webhook_body_check(struct slice body, struct error *err)
{
	return body.n == 0 || members_find(body, NULL, 0) || fail_body(err);
}

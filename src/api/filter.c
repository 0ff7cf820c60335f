/* filter.c */
#include "api/filter.h"

#include <stdio.h>

#include "api/number.h"
#include "base/buf.h"
#include "base/utf8.h"

struct reading {
	struct batch_filter *to;
	struct error *err;
	bool good;
};

/* ---- status ---- */

static bool fail_status(struct error *err, struct slice given)
{
	AUTO(buf_free) struct buf all = BUF(512);

	for (unsigned i = 0; i < BATCH_STATUS_COUNT; i++)
		buf_printf(&all, "%s'%s'", i > 0 ? ", " : "",
			   batch_status_name((enum batch_status)i));
	if (all.failed)
		return fail_memory(err);
	return fail_param(err, "status", "invalid_value",
			  "Invalid value: '%.*s'. Supported values are: %.*s, and several of them "
			  "parted by commas.",
			  given.n > 100 ? 100 : (int)given.n, given.p, SLICE_ARG(buf_slice(&all)));
}

static bool read_statuses(struct batch_query *q, const char *text, struct error *err)
{
	enum batch_status status;

	for (;;) {
		struct slice one = { text, strcspn(text, ",") };
		if (!batch_status_from_name(one, &status))
			return fail_status(err, one);
		q->statuses |= 1u << status;
		if (text[one.n] == '\0')
			return true;
		text += one.n + 1;
	}
}

/* ---- time ---- */

static bool read_time(const char *name, const char *text, int64_t *ret, struct error *err)
{
	return number_read(name, slice_of(text), 0, INT64_MAX, ret, err);
}

/* 0 stands for "any time" in the query; nothing was made before 1 either. */
static bool read_before(const char *text, int64_t *ret, struct error *err)
{
	if (!read_time("created_before", text, ret, err))
		return false;
	if (*ret == 0)
		*ret = 1;
	return true;
}

/* ---- metadata ---- */

/* Unicode characters; false: the text is no UTF-8. */
static bool count_characters(const char *text, size_t *ret)
{
	size_t n = strlen(text);
	bool valid = true;

	*ret = 0;
	for (size_t i = 0; i < n && valid; (*ret)++)
		i += utf8_step(text + i, n - i, &valid);
	return valid;
}

static bool fail_name(struct error *err, const char *name)
{
	return fail_param(err, "metadata", "invalid_value",
			  "Invalid filter: '%.100s'. It is written metadata[KEY]=VALUE, in UTF-8.",
			  name);
}

/* What stands between the first bracket and the last. */
static bool read_key(const char *name, char *to, size_t size, struct error *err)
{
	const char *key = name + strlen("metadata[");
	size_t n = strlen(key), characters;

	if (n == 0 || key[n - 1] != ']')
		return fail_name(err, name);
	struct slice text = { key, n - 1 };
	bool fits = slice_copy(text, to, size);
	if (fits && !count_characters(to, &characters))
		return fail_name(err, name);
	if (fits && characters <= METADATA_KEY_CHARACTERS_MAX)
		return true;
	return fail_param(err, "metadata", "property_name_above_max_length",
			  "Invalid 'metadata': property name too long. Expected a property name "
			  "with maximum length %d.",
			  METADATA_KEY_CHARACTERS_MAX);
}

static bool check_value(const char *key, const char *value, struct error *err)
{
	char path[sizeof("metadata.") + METADATA_KEY_CHARACTERS_MAX * 4];
	size_t characters;

	snprintf(path, sizeof(path), "metadata.%s", key);
	if (!count_characters(value, &characters))
		return fail_param(err, path, "invalid_value", "Invalid '%s': it is no UTF-8.",
				  path);
	return characters <= METADATA_VALUE_CHARACTERS_MAX ||
	       fail_param(err, path, "string_above_max_length",
			  "Invalid '%s': string too long. Expected a string with maximum length "
			  "%d, but got a string with length %zu instead.",
			  path, METADATA_VALUE_CHARACTERS_MAX, characters);
}

static bool read_label(struct batch_filter *to, const char *name, const char *value,
		       struct error *err)
{
	unsigned at = to->query.label_count;

	if (at == BATCH_LABELS_MAX)
		return fail_param(err, "metadata", "object_above_max_properties",
				  "Invalid 'metadata': too many properties. Expected at most %u.",
				  BATCH_LABELS_MAX);
	if (!read_key(name, to->keys[at], sizeof(to->keys[at]), err) ||
	    !check_value(to->keys[at], value, err))
		return false;
	to->labels[at] = (struct batch_label){ to->keys[at], value };
	to->query.label_count++;
	return true;
}

/* ---- all of it ---- */

void filter_begin(struct batch_filter *f)
{
	f->query = (struct batch_query){ .labels = f->labels };
}

bool filter_add(struct batch_filter *to, const char *name, const char *value, struct error *err)
{
	if (strcmp(name, "status") == 0 || strcmp(name, "status[]") == 0)
		return read_statuses(&to->query, value, err);
	if (strcmp(name, "created_after") == 0)
		return read_time(name, value, &to->query.created_after, err);
	if (strcmp(name, "created_before") == 0)
		return read_before(value, &to->query.created_before, err);
	if (strncmp(name, "metadata[", strlen("metadata[")) == 0)
		return read_label(to, name, value, err);
	return strcmp(name, "metadata") != 0 || fail_name(err, name);
}

static void on_argument(void *ctx, const char *name, const char *value)
{
	struct reading *r = ctx;

	r->good = r->good && filter_add(r->to, name, value, r->err);
}

bool filter_read(const struct http_request *q, struct batch_filter *ret, struct error *err)
{
	struct reading r = { .to = ret, .err = err, .good = true };

	filter_begin(ret);
	http_each_query(q, on_argument, &r);
	return r.good;
}

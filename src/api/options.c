/* options.c: one row a member: how its value is read, in the order of contract 11.1's table. */
#include "api/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/number.h"
#include "base/attr.h"
#include "batch/opening.h"
#include "batch/override.h"

#define ERROR_VALUE_BYTES 200 /* of what a client gave, in a message */
#define MODEL_BYTES 256       /* of a name, with its quotes */
#define TOKENS_MAX INT64_C(1000000000000000000)

static bool fail_value(const struct member *m, const char *supported, struct error *err)
{
	int n = m->text.n > ERROR_VALUE_BYTES ? ERROR_VALUE_BYTES : (int)m->text.n;

	return fail_param(err, m->path, "invalid_value",
			  "Invalid value for '%s': %.*s. Supported values are: %s.", m->path, n,
			  m->text.p, supported);
}

/* One of two words; *ret: whether it is the second. */
static bool read_choice(const struct member *m, const char *first, const char *second, bool *ret,
			struct error *err)
{
	struct slice word = { m->text.p + 1, m->text.n - 2 };
	char supported[64];

	if (m->type != JSON_STRING)
		return fail_type(err, m->path, JSON_STRING, m->type, m->text);
	*ret = json_key_is(word, second);
	if (*ret || json_key_is(word, first))
		return true;
	snprintf(supported, sizeof(supported), "'%s' and '%s'", first, second);
	return fail_value(m, supported, err);
}

static bool read_on_invalid_line(const struct member *m, struct batch_options *o, struct error *err)
{
	return read_choice(m, "fail", "skip", &o->skip_invalid, err);
}

static bool read_output_order(const struct member *m, struct batch_options *o, struct error *err)
{
	return read_choice(m, "input", "completion", &o->by_completion, err);
}

static bool read_mixed_models(const struct member *m, struct batch_options *o, struct error *err)
{
	o->mixed_models = m->type == JSON_TRUE;
	return m->type == JSON_TRUE || m->type == JSON_FALSE ||
	       fail_type(err, m->path, JSON_TRUE, m->type, m->text);
}

static bool read_whole(const struct member *m, int64_t most, uint64_t *ret, struct error *err)
{
	int64_t n;

	if (m->type != JSON_NUMBER)
		return fail_type(err, m->path, JSON_NUMBER, m->type, m->text);
	if (!number_read(m->path, m->text, 1, most, &n, err))
		return false;
	*ret = (uint64_t)n;
	return true;
}

static bool read_max_attempts(const struct member *m, struct batch_options *o, struct error *err)
{
	return read_whole(m, INT32_MAX, &o->max_attempts, err);
}

static bool read_line_timeout(const struct member *m, struct batch_options *o, struct error *err)
{
	return read_whole(m, INT32_MAX, &o->line_timeout_s, err);
}

static bool read_canary(const struct member *m, struct batch_options *o, struct error *err)
{
	return read_whole(m, INT32_MAX, &o->canary, err);
}

static bool read_not_before(const struct member *m, struct batch_options *o, struct error *err)
{
	uint64_t at_s = 0;

	/* The last second of the year 9999: milliseconds by mistake are beyond it. */
	if (!read_whole(m, INT64_C(253402300799), &at_s, err))
		return false;
	o->not_before = (int64_t)at_s;
	return true;
}

static bool read_hours(const struct member *m, struct batch_options *o, struct error *err)
{
	AUTO(auto_free) char *text = NULL;
	struct batch_hours hours;
	struct opening opening; /* whether there is such a zone */
	size_t n;

	if (m->type != JSON_STRING)
		return fail_type(err, m->path, JSON_STRING, m->type, m->text);
	if (!member_text(m, &text, &n, err))
		return false;
	bool good = batch_hours_read((struct slice){ text, n }, &hours) &&
		    slice_copy((struct slice){ text, n }, o->hours, sizeof(o->hours));
	if (good && !opening_read(o, &opening, &good, err))
		return false;
	if (good)
		return true;
	return fail_value(m,
			  "two times of day, with a zone or without, such as '22:00-06:00' or "
			  "'22:00-06:00 Europe/Berlin' (a name of the tz database)",
			  err);
}

static bool read_token_budget(const struct member *m, struct batch_options *o, struct error *err)
{
	return read_whole(m, TOKENS_MAX, &o->token_budget, err);
}

/* A switch that is refused in a line, too (contract 7.1). */
static bool check_off(const struct member *m, const struct override *o, const char *name,
		      struct error *err)
{
	struct slice value;
	enum json_type type = override_member(o, name, &value);

	return type == JSON_BAD || type == JSON_FALSE || type == JSON_NULL ||
	       fail_param(err, m->path, "invalid_value",
			  "Invalid value for '%s': '%s' can only be false in a batch.", m->path,
			  name);
}

static bool check_model(const struct member *m, const struct override *o, struct error *err)
{
	struct slice value;
	enum json_type type = override_member(o, "model", &value);

	if (type == JSON_BAD || (type == JSON_STRING && value.n > 2 && value.n < MODEL_BYTES))
		return true;
	return fail_param(err, m->path, type == JSON_STRING ? "invalid_value" : "invalid_type",
			  "Invalid value for '%s': 'model' has to be the name of a model.",
			  m->path);
}

static bool check_override(const struct member *m, const char *text, struct error *err)
{
	unsigned n;
	struct override *o = override_new(text, &n);

	if (o == NULL && n <= OVERRIDE_MEMBERS_MAX)
		return fail_memory(err); /* it is an object: it was read as one */
	if (o == NULL)
		return fail_param(err, m->path, "object_above_max_properties",
				  "Invalid '%s': too many members, where %u are allowed.", m->path,
				  OVERRIDE_MEMBERS_MAX);
	bool ok = check_model(m, o, err) && check_off(m, o, "stream", err) &&
		  check_off(m, o, "background", err);
	override_free(o);
	return ok;
}

static bool read_override(const struct member *m, struct batch_options *o, struct error *err)
{
	if (m->type != JSON_OBJECT)
		return fail_type(err, m->path, JSON_OBJECT, m->type, m->text);
	if (m->text.n > OVERRIDE_BYTES_MAX)
		return fail_param(err, m->path, "string_above_max_length",
				  "Invalid '%s': %zu bytes of JSON, where %u are allowed.", m->path,
				  m->text.n, OVERRIDE_BYTES_MAX);
	o->override = malloc(m->text.n + 1);
	if (o->override == NULL)
		return fail_memory(err);
	o->override[json_copy_one_line(m->text, o->override)] = '\0';
	return check_override(m, o->override, err);
}

static const struct {
	const char *name, *path;
	bool (*read)(const struct member *m, struct batch_options *o, struct error *err);
} rows[] = {
	{ "on_invalid_line", "lowtide.on_invalid_line", read_on_invalid_line },
	{ "mixed_models", "lowtide.mixed_models", read_mixed_models },
	{ "output_order", "lowtide.output_order", read_output_order },
	{ "max_attempts", "lowtide.max_attempts", read_max_attempts },
	{ "line_timeout_s", "lowtide.line_timeout_s", read_line_timeout },
	{ "canary", "lowtide.canary", read_canary },
	{ "not_before", "lowtide.not_before", read_not_before },
	{ "hours", "lowtide.hours", read_hours },
	{ "token_budget", "lowtide.token_budget", read_token_budget },
	{ "override", "lowtide.override", read_override },
};

bool options_read(const struct member *lowtide, struct batch_options *ret, struct error *err)
{
	struct member m[ARRAY_LEN(rows)] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		m[i] = (struct member){ .name = rows[i].name, .path = rows[i].path };
	if (member_absent(lowtide))
		return true;
	if (!member_require(lowtide, JSON_OBJECT, err))
		return false;
	if (!members_find(lowtide->text, m, ARRAY_LEN(m)))
		return fail(err, ERR_INTERNAL, "A checked object could not be read again.");
	for (size_t i = 0; i < ARRAY_LEN(m); i++)
		if (!member_absent(&m[i]) && !rows[i].read(&m[i], ret, err))
			return false;
	return true;
}

void options_content(const struct batch_options *o, struct buf *to)
{
	buf_printf(to, "%d%d%d", o->skip_invalid, o->mixed_models, o->by_completion);
	buf_printf(to, " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRIu64, o->max_attempts,
		   o->line_timeout_s, o->canary, o->not_before, o->token_budget);
	buf_append(to, o->hours, strlen(o->hours) + 1);
	if (o->override != NULL)
		buf_text(to, o->override);
}

/* create.c: the checks stand in the order of contract 5.2's table; the first that fails is
 * reported. */
#include "api/create.h"

#include <stdio.h>

#include "api/expiry.h"
#include "api/members.h"
#include "api/metadata.h"
#include "api/options.h"
#include "batch/endpoint.h"

enum { INPUT_FILE_ID, ENDPOINT, WINDOW, METADATA, OUTPUT_EXPIRES_AFTER, LOWTIDE, MEMBER_COUNT };

/* The text of a string member, ready for a message and for comparing. */
struct text {
	char *p;
	size_t n;
};

static void text_done(struct text *t)
{
	free(t->p);
}

static struct slice text_slice(const struct text *t)
{
	return (struct slice){ t->p, t->n };
}

static bool read_endpoint(struct slice given, enum profile profile, struct batch *ret,
			  struct error *err)
{
	const char *path = endpoint_path(given);
	AUTO(buf_free) struct buf refusal = BUF(1024);

	/* Shown to the client as it was given (contract 7.1). */
	if (path != NULL && endpoint_in_profile(path, profile))
		return slice_copy(given, ret->endpoint, sizeof(ret->endpoint));
	endpoint_refusal(given, profile, &refusal);
	if (refusal.failed)
		return fail_memory(err);
	return fail_param(err, "endpoint", "invalid_value", "%.*s", SLICE_ARG(buf_slice(&refusal)));
}

static bool read_window(struct slice given, const struct window_rule *rule, struct batch *ret,
			uint64_t *ret_window_s, struct error *err)
{
	char allowed[160];

	if (window_parse(given, rule, ret_window_s) &&
	    slice_copy(given, ret->completion_window, sizeof(ret->completion_window)))
		return true;
	window_describe(rule, allowed, sizeof(allowed));
	return fail_param(err, "completion_window", "invalid_value",
			  "Invalid value: '%.*s'. Supported values are: %s.",
			  given.n > 200 ? 200 : (int)given.n, given.p, allowed);
}

/* Any text may be asked for, and is shown as it was; but what no id can be is refused at once. */
static bool read_input_file_id(struct slice given, struct batch *ret, struct error *err)
{
	if (given.n > 0 && slice_copy(given, ret->input_file_id, sizeof(ret->input_file_id)))
		return true;
	return fail_param(err, "input_file_id", "invalid_value",
			  "Invalid value for 'input_file_id': this is not the id of a file.");
}

static bool read_metadata(const struct member *m, struct batch *ret, struct error *err)
{
	if (member_absent(m))
		return true;
	return member_require(m, JSON_OBJECT, err) && metadata_read(m->text, &ret->metadata, err);
}

bool create_read(struct slice body, const struct api_config *config, struct batch *ret,
		 uint64_t *ret_window_s, struct error *err)
{
	struct member m[MEMBER_COUNT] = {
		[INPUT_FILE_ID].name = "input_file_id",
		[ENDPOINT].name = "endpoint",
		[WINDOW].name = "completion_window",
		[METADATA].name = "metadata",
		[OUTPUT_EXPIRES_AFTER].name = "output_expires_after",
		[LOWTIDE].name = "lowtide",
	};
	AUTO(text_done) struct text id = { 0 }, endpoint = { 0 }, window = { 0 };

	if (!members_find(body, m, MEMBER_COUNT))
		return fail(err, ERR_INVALID, "We could not parse the JSON body of your request.");
	return member_require(&m[INPUT_FILE_ID], JSON_STRING, err) &&
	       member_require(&m[ENDPOINT], JSON_STRING, err) &&
	       member_require(&m[WINDOW], JSON_STRING, err) &&
	       member_text(&m[INPUT_FILE_ID], &id.p, &id.n, err) &&
	       member_text(&m[ENDPOINT], &endpoint.p, &endpoint.n, err) &&
	       member_text(&m[WINDOW], &window.p, &window.n, err) &&
	       read_endpoint(text_slice(&endpoint), config->profile, ret, err) &&
	       read_window(text_slice(&window), &config->windows, ret, ret_window_s, err) &&
	       read_metadata(&m[METADATA], ret, err) &&
	       expiry_member(&m[OUTPUT_EXPIRES_AFTER], "output_expires_after.anchor",
			     "output_expires_after.seconds", &ret->output_expires_after_s, err) &&
	       options_read(&m[LOWTIDE], &ret->options, err) &&
	       read_input_file_id(text_slice(&id), ret, err);
}

static bool text_inherit(char **to, const char *from, struct error *err)
{
	if (from == NULL)
		return true;
	*to = strdup(from);
	return *to != NULL || fail_memory(err);
}

static bool read_window_again(const struct member *m, const struct api_config *config,
			      const struct batch *parent, struct batch *ret, uint64_t *ret_window_s,
			      struct error *err)
{
	AUTO(text_done) struct text window = { 0 };

	if (member_absent(m))
		return read_window(slice_of(parent->completion_window), &config->windows, ret,
				   ret_window_s, err);
	return member_require(m, JSON_STRING, err) && member_text(m, &window.p, &window.n, err) &&
	       read_window(text_slice(&window), &config->windows, ret, ret_window_s, err);
}

static bool read_options_again(const struct member *m, const struct batch *parent,
			       struct batch *ret, struct error *err)
{
	if (!member_absent(m))
		return options_read(m, &ret->options, err);
	ret->options = parent->options;
	ret->options.override = NULL;
	return text_inherit(&ret->options.override, parent->options.override, err);
}

bool create_read_again(struct slice body, const struct api_config *config,
		       const struct batch *parent, struct batch *ret, uint64_t *ret_window_s,
		       struct error *err)
{
	struct member m[] = {
		{ .name = "completion_window" },
		{ .name = "metadata" },
		{ .name = "lowtide" },
	};

	if (body.n > 0 && !members_find(body, m, ARRAY_LEN(m)))
		return fail(err, ERR_INVALID, "We could not parse the JSON body of your request.");
	memcpy(ret->endpoint, parent->endpoint, sizeof(ret->endpoint));
	ret->output_expires_after_s = parent->output_expires_after_s;
	if (!read_window_again(&m[0], config, parent, ret, ret_window_s, err))
		return false;
	if (!(member_absent(&m[1]) ? text_inherit(&ret->metadata, parent->metadata, err)
				   : read_metadata(&m[1], ret, err)))
		return false;
	return read_options_again(&m[2], parent, ret, err);
}

/* Each part ends in a NUL, which none of them holds. */
void create_content(const struct batch *b, struct buf *to)
{
	const char *parts[] = { b->input_file_id, b->endpoint, b->completion_window,
				b->metadata != NULL ? b->metadata : "" };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		buf_append(to, parts[i], strlen(parts[i]) + 1);
	buf_printf(to, "%lld ", (long long)b->output_expires_after_s);
	options_content(&b->options, to);
}

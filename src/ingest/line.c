/* line.c: what one input line says about itself. One pass: the JSON scanner validates the line
 * while this file looks at the members that matter, those of the line and those of its body. */
#include "ingest/line.h"

#include <xxhash.h>

#include "base/attr.h"
#include "base/json.h"
#include "batch/weight.h"

/* The members of a line, and of a body, that count. */
enum line_member { LINE_CUSTOM_ID, LINE_METHOD, LINE_URL, LINE_BODY };
static const struct slice line_members[] = {
	[LINE_CUSTOM_ID] = SLICE("custom_id"),
	[LINE_METHOD] = SLICE("method"),
	[LINE_URL] = SLICE("url"),
	[LINE_BODY] = SLICE("body"),
};

enum body_member {
	BODY_MODEL,
	BODY_MESSAGES,
	BODY_STREAM,
	BODY_BACKGROUND,
	BODY_INPUT,
	BODY_PROMPT,
	BODY_TOOLS,
	BODY_SYSTEM,
	BODY_SAMPLING,
};
static const struct slice body_members[] = {
	[BODY_MODEL] = SLICE("model"),
	[BODY_MESSAGES] = SLICE("messages"),
	[BODY_STREAM] = SLICE("stream"),
	[BODY_BACKGROUND] = SLICE("background"),
	[BODY_INPUT] = SLICE("input"),
	[BODY_PROMPT] = SLICE("prompt"),
	[BODY_TOOLS] = SLICE("tools"),
	[BODY_SYSTEM] = SLICE("system"), /* of /v1/messages */
	/* the rest are the sampling parameters, in the order in which a finding looks for them */
	[BODY_SAMPLING] = SLICE("temperature"),
	SLICE("top_p"),
	SLICE("n"),
	SLICE("presence_penalty"),
	SLICE("frequency_penalty"),
};

/* Number of `key` in `names`, `count` if it is not there. Keys are hardly ever written with
 * escapes: those are looked at only after plain comparison has found nothing. */
static size_t member_find(struct slice key, const struct slice *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (slice_eq(key, names[i]))
			return i;
	if (key.n > 0 && memchr(key.p, '\\', key.n) != NULL)
		for (size_t i = 0; i < count; i++)
			if (json_same_string(key, names[i]))
				return i;
	return count;
}

static struct slice unquoted(struct slice string)
{
	return (struct slice){ string.p + 1, string.n - 2 };
}

/* Reads the value at hand whole; false if it is not JSON (the scanner keeps that in mind). */
static bool value_read(struct json *j, enum json_type *ret_type, struct slice *ret_text)
{
	*ret_type = json_peek(j);
	return json_skip(j, ret_text);
}

/* Each of these reads one member's value. It first forgets what an earlier member of that name
 * said: the last one counts. A value of null is as good as no member at all. */

static void custom_id_scan(struct json *j, struct line_facts *facts)
{
	enum json_type type;
	struct slice text;

	facts->flags &= ~(uint32_t)(LINE_CUSTOM_ID_MISSING | LINE_CUSTOM_ID_NOT_STRING |
				    LINE_CUSTOM_ID_LENGTH);
	facts->custom_id = (struct slice){ NULL, 0 };
	if (!value_read(j, &type, &text))
		return;
	if (type == JSON_NULL) {
		facts->flags |= LINE_CUSTOM_ID_MISSING;
	} else if (type != JSON_STRING) {
		facts->flags |= LINE_CUSTOM_ID_NOT_STRING;
	} else {
		facts->custom_id = unquoted(text);
		/* decoded text is never longer than raw text: short ones need no decoding */
		if (facts->custom_id.n == 0 ||
		    (facts->custom_id.n > CUSTOM_ID_MAX_BYTES &&
		     json_decode(facts->custom_id, NULL, 0) > CUSTOM_ID_MAX_BYTES))
			facts->flags |= LINE_CUSTOM_ID_LENGTH;
	}
}

static void method_scan(struct json *j, struct line_facts *facts)
{
	enum json_type type;
	struct slice text;

	facts->flags &= ~(uint32_t)(LINE_METHOD_MISSING | LINE_METHOD_NOT_POST);
	facts->method = (struct slice){ NULL, 0 };
	if (!value_read(j, &type, &text))
		return;
	if (type == JSON_NULL) {
		facts->flags |= LINE_METHOD_MISSING;
		return;
	}
	facts->method = type == JSON_STRING ? unquoted(text) : text;
	if (type != JSON_STRING || !json_key_is(facts->method, "POST"))
		facts->flags |= LINE_METHOD_NOT_POST;
}

static void url_scan(struct json *j, struct line_facts *facts)
{
	enum json_type type;
	struct slice text;

	facts->flags &= ~(uint32_t)LINE_URL_MISSING;
	facts->url = (struct slice){ NULL, 0 };
	if (!value_read(j, &type, &text))
		return;
	if (type == JSON_NULL)
		facts->flags |= LINE_URL_MISSING;
	else
		facts->url = type == JSON_STRING ? unquoted(text) : SLICE("");
}

static void model_scan(struct json *j, struct line_facts *facts)
{
	enum json_type type;
	struct slice text;

	facts->flags |= LINE_MODEL_MISSING;
	facts->model = (struct slice){ NULL, 0 };
	if (!value_read(j, &type, &text) || type != JSON_STRING || text.n == 2)
		return;
	facts->flags &= ~(uint32_t)LINE_MODEL_MISSING;
	facts->model = unquoted(text);
}

/* Sets the facts as they are before any body was read. */
static void body_forget(struct line_facts *facts)
{
	facts->flags &= ~(uint32_t)(LINE_BODY_MISSING | LINE_BODY_NOT_OBJECT | LINE_STREAM |
				    LINE_BACKGROUND | LINE_SAMPLING);
	facts->flags |= LINE_MODEL_MISSING | LINE_MESSAGES_MISSING;
	facts->body = facts->model = (struct slice){ NULL, 0 };
	facts->sampling = NULL;
	facts->inputs = 1;
	facts->texts = (struct line_texts){ 0 };
	facts->prefix = (struct prefix){ 0 };
}

/* The hash, going on from `hash`, of the bytes from `from` to `to` of two texts on end. */
static uint64_t range_hash(struct slice first, struct slice second, size_t from, size_t to,
			   uint64_t hash)
{
	size_t split = first.n < from ? from : first.n < to ? first.n : to;

	if (split > from)
		hash = XXH3_64bits_withSeed(first.p + from, split - from, hash);
	if (to > split)
		hash = XXH3_64bits_withSeed(second.p + (split - first.n), to - split, hash);
	return hash;
}

/* A level begins where the one below ended, with the hash of that as seed: no byte is read
 * twice. */
void line_prefix(const struct line_texts *texts, struct prefix *ret)
{
	struct slice prompt = texts->messages.n > 0 ? texts->messages
			      : texts->prompt.n > 0 ? texts->prompt
						    : texts->input;
	size_t from = 0, bytes = texts->system.n + prompt.n;
	uint64_t hash = 0;

	if (bytes < PREFIX_BYTES(0))
		return; /* most lines of most files */
	if (texts->tools.n > 0)
		hash = XXH3_64bits(texts->tools.p, texts->tools.n);
	for (unsigned level = 0; level < PREFIX_LEVELS && bytes >= PREFIX_BYTES(level); level++) {
		hash = range_hash(texts->system, prompt, from, PREFIX_BYTES(level), hash);
		ret->hash[level] = (uint32_t)hash != 0 ? (uint32_t)hash : 1;
		from = PREFIX_BYTES(level);
	}
}

/* A switch that sets `flag` unless it is off: false or null. */
static void switch_scan(struct json *j, enum line_flag flag, struct line_facts *facts)
{
	enum json_type type;
	struct slice text;

	facts->flags &= ~(uint32_t)flag;
	if (value_read(j, &type, &text) && type != JSON_NULL && type != JSON_FALSE)
		facts->flags |= flag;
}

/* Reads a value that may be of any kind; one of null is not remembered. */
static enum json_type text_scan(struct json *j, struct slice *ret_text)
{
	enum json_type type;

	if (!value_read(j, &type, ret_text) || type == JSON_NULL)
		*ret_text = (struct slice){ NULL, 0 };
	return type;
}

static void input_scan(struct json *j, struct line_facts *facts, struct slice *ret_text)
{
	enum json_type type = json_peek(j);
	size_t from = json_offset(j);

	facts->inputs = inputs_count(j);
	*ret_text = (struct slice){ NULL, 0 };
	if (type != JSON_NULL)
		*ret_text = (struct slice){ j->start + from, json_offset(j) - from };
}

/* The members of the object at hand. */
static void body_members_scan(struct json *j, struct line_facts *facts)
{
	enum json_type type;
	struct slice key, text;
	struct line_texts *texts = &facts->texts;
	unsigned sampling = 0; /* a bit for each parameter that is there and not null */

	json_next(j);
	while (json_member(j, &key)) {
		size_t member = member_find(key, body_members, ARRAY_LEN(body_members));

		switch (member) {
		case BODY_MODEL:
			model_scan(j, facts);
			break;
		case BODY_INPUT:
			input_scan(j, facts, &texts->input);
			break;
		case BODY_MESSAGES:
			facts->flags &= ~(uint32_t)LINE_MESSAGES_MISSING;
			if (text_scan(j, &texts->messages) == JSON_NULL)
				facts->flags |= LINE_MESSAGES_MISSING;
			break;
		case BODY_PROMPT:
			text_scan(j, &texts->prompt);
			break;
		case BODY_TOOLS:
			text_scan(j, &texts->tools);
			break;
		case BODY_SYSTEM:
			text_scan(j, &texts->system);
			break;
		case BODY_STREAM:
			switch_scan(j, LINE_STREAM, facts);
			break;
		case BODY_BACKGROUND:
			switch_scan(j, LINE_BACKGROUND, facts);
			break;
		case ARRAY_LEN(body_members):
			json_skip(j, &text);
			break;
		default:
			if (!value_read(j, &type, &text))
				return;
			unsigned bit = 1U << (member - BODY_SAMPLING);

			sampling &= ~bit;
			if (type != JSON_NULL)
				sampling |= bit;
		}
	}
	if (sampling != 0) {
		facts->flags |= LINE_SAMPLING;
		facts->sampling = body_members[BODY_SAMPLING + __builtin_ctz(sampling)].p;
	}
	if (!j->bad)
		line_prefix(texts, &facts->prefix);
}

static void body_scan(struct json *j, struct line_facts *facts)
{
	enum json_type type = json_peek(j);
	struct slice text;

	body_forget(facts);
	if (type == JSON_OBJECT) {
		size_t from = json_offset(j);

		body_members_scan(j, facts);
		facts->body = (struct slice){ j->start + from, json_offset(j) - from };
	} else if (json_skip(j, &text)) {
		facts->flags |= type == JSON_NULL ? LINE_BODY_MISSING : LINE_BODY_NOT_OBJECT;
	}
}

/* Nothing is known of the line but `fault`. */
static struct line_facts unreadable(enum line_flag fault)
{
	return (struct line_facts){ .flags = fault, .inputs = 1 };
}

void line_scan(struct slice line, struct line_facts *ret)
{
	struct json j;
	struct slice key, text;

	json_init(&j, line);
	if (json_peek(&j) != JSON_OBJECT) {
		bool valid = json_skip(&j, &text) && json_end(&j);

		*ret = unreadable(valid ? LINE_NOT_OBJECT : LINE_NOT_JSON);
		return;
	}
	*ret = (struct line_facts){ 0 };
	body_forget(ret);
	ret->flags |= LINE_CUSTOM_ID_MISSING | LINE_METHOD_MISSING | LINE_URL_MISSING |
		      LINE_BODY_MISSING;
	json_next(&j);
	while (json_member(&j, &key)) {
		switch (member_find(key, line_members, ARRAY_LEN(line_members))) {
		case LINE_CUSTOM_ID:
			custom_id_scan(&j, ret);
			break;
		case LINE_METHOD:
			method_scan(&j, ret);
			break;
		case LINE_URL:
			url_scan(&j, ret);
			break;
		case LINE_BODY:
			body_scan(&j, ret);
			break;
		default:
			json_skip(&j, &text);
		}
	}
	if (!json_end(&j))
		*ret = unreadable(LINE_NOT_JSON);
}

/* answer_text.c: the line is validated once, whole; then members are looked for by name. */
#include "rows/answer_text.h"

#include <inttypes.h>

#include "base/json.h"
#include "rows/text.h"

#define ERROR_TEXT_BYTES 4096u /* of a message or a body, in a cell */

void answer_done(struct row_answer *a)
{
	buf_free(&a->text);
	buf_free(&a->error);
}

bool answer_id(struct slice line, struct slice *ret_raw)
{
	struct json j;
	struct slice key, value;

	json_init(&j, line);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &key) && json_skip(&j, &value)) {
		if (!json_key_is(key, "custom_id") || value.p[0] != '"')
			continue;
		*ret_raw = (struct slice){ value.p + 1, value.n - 2 };
		return true;
	}
	return false;
}

/* ---- members of valid JSON ---- */

static bool is_kind(struct slice value, char first)
{
	return value.n > 0 && value.p[0] == first;
}

/* n == 0: there is none, or `object` is no object. Of several, the last. */
static struct slice member(struct slice object, const char *name)
{
	struct slice key, value, found = { 0 };
	struct json j;

	if (!is_kind(object, '{'))
		return found;
	json_init(&j, object);
	json_next(&j);
	while (json_member(&j, &key) && json_skip(&j, &value))
		if (json_key_is(key, name))
			found = value;
	return found;
}

static bool string_is(struct slice value, const char *text)
{
	return is_kind(value, '"') && json_key_is((struct slice){ value.p + 1, value.n - 2 }, text);
}

/* Enters an array; elements come by json_element() and json_skip(). False: it is none. */
static bool array_enter(struct slice array, struct json *j)
{
	json_init(j, array);
	return is_kind(array, '[') && json_next(j) == JSON_ARRAY;
}

static struct slice first_of(struct slice array)
{
	struct slice one = { 0 };
	struct json j;

	if (array_enter(array, &j) && json_element(&j))
		(void)json_skip(&j, &one);
	return one;
}

/* ---- errors ---- */

/* A string as its text, anything else as JSON; cut. */
static void error_add(struct row_answer *a, struct slice value)
{
	char text[ERROR_TEXT_BYTES];
	size_t n;

	if (is_kind(value, '"')) {
		n = json_decode((struct slice){ value.p + 1, value.n - 2 }, text, sizeof(text));
		value = (struct slice){ text, n < sizeof(text) ? n : sizeof(text) };
	}
	if (value.n > sizeof(text))
		value.n = sizeof(text);
	value.n = text_valid(value); /* not in the middle of a character */
	buf_add(&a->error, value);
}

static void error_pair(struct row_answer *a, struct slice code, struct slice message)
{
	if (code.n > 0 && !is_kind(code, 'n'))
		error_add(a, code);
	if (message.n == 0 || is_kind(message, 'n'))
		return;
	if (a->error.n > 0)
		buf_text(&a->error, ": ");
	error_add(a, message);
}

/* "404 model_not_found: The model ...": of an answer that is no 2xx. */
static void error_of_response(struct row_answer *a, uint64_t status, struct slice body)
{
	struct slice error = member(body, "error");
	struct slice code = member(error, "code"), message = member(error, "message");

	buf_printf(&a->error, "%" PRIu64, status);
	if (is_kind(code, '"')) {
		buf_char(&a->error, ' ');
		error_add(a, code);
	}
	if (message.n == 0 && is_kind(error, '"'))
		message = error;
	if (message.n == 0)
		message = member(body, "message");
	if (message.n == 0)
		message = member(body, "detail");
	error_pair(a, (struct slice){ 0 }, message.n > 0 ? message : body);
}

/* ---- answers ---- */

/* The texts of the elements with that type, put together as one JSON string. */
static bool texts_join(struct row_answer *a, struct slice array, const char *type)
{
	struct slice one;
	struct json j;
	bool any = false;

	if (!array_enter(array, &j))
		return false;
	while (json_element(&j) && json_skip(&j, &one)) {
		struct slice text = member(one, "text");

		if (!string_is(member(one, "type"), type) || !is_kind(text, '"'))
			continue;
		buf_append(&a->text, text.p + 1, text.n - 2);
		any = true;
	}
	return any;
}

/* A message of a chat, or a choice of a completion. */
static struct slice choice_value(struct slice choice)
{
	struct slice message = member(choice, "message");
	struct slice content = member(message, "content"), calls = member(message, "tool_calls");

	if (message.n == 0)
		return member(choice, "text");
	if ((content.n == 0 || is_kind(content, 'n') || string_is(content, "")) &&
	    first_of(calls).n > 0)
		return calls;
	return content;
}

static void choices_value(struct row_answer *a, struct slice choices, struct slice first)
{
	struct slice one;
	struct json j;

	if (json_array_count(choices) == 1) {
		a->value = choice_value(first);
		return;
	}
	buf_char(&a->text, '[');
	if (array_enter(choices, &j)) {
		while (json_element(&j) && json_skip(&j, &one)) {
			struct slice value = choice_value(one);
			if (a->text.n > 1)
				buf_char(&a->text, ',');
			buf_add(&a->text, value.n > 0 ? value : SLICE("null"));
		}
	}
	buf_char(&a->text, ']');
	a->value = buf_slice(&a->text);
}

/* Of an answer whose texts stand in a list: those of Responses are a level further down. */
static bool list_value(struct row_answer *a, struct slice body)
{
	struct slice output = member(body, "output"), one;
	struct json j;
	bool any = false;

	buf_char(&a->text, '"');
	if (array_enter(output, &j)) {
		while (json_element(&j) && json_skip(&j, &one))
			any = texts_join(a, member(one, "content"), "output_text") || any;
	} else {
		any = texts_join(a, member(body, "content"), "text");
	}
	buf_char(&a->text, '"');
	a->value = buf_slice(&a->text);
	return any;
}

static void body_value(struct row_answer *a, struct slice body)
{
	struct slice choices = member(body, "choices"), choice = first_of(choices);
	struct slice data = member(body, "data");
	struct slice embedding = member(first_of(data), "embedding");

	if (choice.n > 0) {
		choices_value(a, choices, choice);
	} else if (embedding.n > 0 && json_array_count(data) == 1) {
		a->value = embedding;
	} else if (!list_value(a, body)) {
		a->value = body;
	}
}

/* No text, and a refusal in its place. */
static bool refusal_find(struct row_answer *a, struct slice body)
{
	struct slice choices = member(body, "choices");
	struct slice refusal = member(member(first_of(choices), "message"), "refusal");

	if ((a->value.n > 0 && !is_kind(a->value, 'n')) || !is_kind(refusal, '"'))
		return false;
	error_pair(a, SLICE("\"refusal\""), refusal);
	return true;
}

static void response_read(struct row_answer *a, struct slice response)
{
	struct slice body = member(response, "body");
	uint64_t status = 0;

	if (!json_u64(member(response, "status_code"), &status) || status < 200 || status > 299) {
		error_of_response(a, status, body);
		return;
	}
	body_value(a, body);
	if (refusal_find(a, body)) {
		a->value = SLICE("");
		return;
	}
	a->good = true;
	if (a->value.n == 0 || is_kind(a->value, 'n'))
		a->value = SLICE("\"\"");
}

bool answer_read(struct slice line, struct row_answer *ret)
{
	struct slice text;
	struct json j;

	ret->good = false;
	ret->value = SLICE("");
	buf_clear(&ret->text);
	buf_clear(&ret->error);
	json_init(&j, line);
	if (json_peek(&j) != JSON_OBJECT || !json_skip(&j, &text) || !json_end(&j))
		return false;
	struct slice error = member(text, "error"), response = member(text, "response");
	if (is_kind(error, '{'))
		error_pair(ret, member(error, "code"), member(error, "message"));
	else if (is_kind(response, '{'))
		response_read(ret, response);
	else
		return false;
	if (!ret->good && ret->error.n == 0)
		buf_text(&ret->error, "unknown");
	ret->failed = ret->text.failed || ret->error.failed;
	return true;
}

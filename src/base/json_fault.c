/* json_fault.c: drives the scanner until it stops, and looks at where. Each place has one grammar
 * rule that can be broken there: a value, a key, a colon, or what parts members and elements. */
#include "base/json_fault.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/json.h"
#include "base/utf8.h"

#define WORD_SHOWN 20 /* bytes of a word that is quoted */

/* The text from the place of the fault on. */
struct fault_place {
	const char *p, *end;
	struct json_fault *fault;
};

static const char *space_end(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p;
}

static void PRINTF_LIKE(2, 3) because(struct fault_place *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(at->fault->reason, sizeof(at->fault->reason), format, args);
	va_end(args);
}

static void cut(struct fault_place *at, const char *inside)
{
	at->p = at->end;
	at->fault->kind = JSON_FAULT_CUT;
	because(at, "the line ends inside %s", inside);
}

/* "x", "U+0001": the character at hand, as it can be shown. */
static void character(const struct fault_place *at, char to[static 16])
{
	bool valid;
	size_t n = utf8_step(at->p, (size_t)(at->end - at->p), &valid);
	unsigned char first = (unsigned char)*at->p;

	if (valid && n == 1 && (first < 0x20 || first == 0x7f))
		snprintf(to, 16, "U+%04X", first);
	else if (valid)
		snprintf(to, 16, "%.*s", (int)n, at->p);
	else
		snprintf(to, 16, "byte 0x%02X", first);
}

static size_t word_length(const struct fault_place *at)
{
	size_t n = 0;

	while (at->p + n < at->end && ((at->p[n] | 0x20) >= 'a' && (at->p[n] | 0x20) <= 'z'))
		n++;
	return n;
}

/* A value begins with a letter, and is none of JSON's three words. */
static void wrong_word(struct fault_place *at)
{
	static const struct {
		const char *word, *meant;
	} python[] = { { "None", "null" }, { "True", "true" }, { "False", "false" } };
	struct slice word = { at->p, word_length(at) };

	if (slice_is(word, "NaN") || slice_is(word, "Infinity")) {
		at->fault->kind = JSON_FAULT_NAN;
		because(at, "%.*s is no number in JSON", SLICE_ARG(word));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(python); i++)
		if (slice_is(word, python[i].word)) {
			because(at, "%s is Python; JSON has %s", python[i].word, python[i].meant);
			return;
		}
	because(at, "'%.*s%s' is no value; a text stands in double quotes",
		word.n < WORD_SHOWN ? (int)word.n : WORD_SHOWN, word.p,
		word.n > WORD_SHOWN ? "..." : "");
}

/* at->p is at the opening quote of a string that is none. */
static void wrong_string(struct fault_place *at)
{
	char what[16];
	bool valid;

	for (at->p++; at->p < at->end;) {
		size_t n = utf8_step(at->p, (size_t)(at->end - at->p), &valid);
		character(at, what);
		if (!valid) {
			because(at, "%s is not UTF-8", what);
			return;
		}
		if (n == 1 && (unsigned char)*at->p < 0x20) {
			because(at, "the control character %s stands in a text unescaped", what);
			return;
		}
		if (*at->p == '\\') {
			struct slice escape = { at->p, (size_t)(at->end - at->p) };
			size_t length = escape.n > 1 && at->p[1] == 'u' ? 6 : 2;
			char quoted[10] = "\"";
			if (escape.n < length)
				break;
			snprintf(quoted, sizeof(quoted), "\"%.*s\"", (int)length, escape.p);
			struct json j;
			json_init(&j, slice_of(quoted));
			if (json_next(&j) != JSON_STRING || !json_end(&j)) {
				because(at, "a backslash is followed by what is no escape");
				return;
			}
			n = length;
		}
		at->p += n;
	}
	cut(at, "a text");
}

static void wrong_number(struct fault_place *at)
{
	struct fault_place word = { at->p + (*at->p == '-'), at->end, at->fault };
	const char *digits = word.p;

	while (digits < at->end && *digits >= '0' && *digits <= '9')
		digits++;
	if (*at->p == '-' && slice_is((struct slice){ word.p, word_length(&word) }, "Infinity"))
		wrong_word(&word);
	else if (digits == at->end)
		cut(at, "a number");
	else
		because(at, "this is no number in JSON");
}

static void wrong_value(struct fault_place *at, unsigned depth)
{
	char what[16];

	if (at->p == at->end) {
		cut(at, depth > 0 ? "an object or array" : "a value");
		return;
	}
	character(at, what);
	if ((*at->p == '{' || *at->p == '[') && depth >= JSON_DEPTH_MAX)
		because(at, "objects and arrays are nested more than %u deep", JSON_DEPTH_MAX);
	else if (*at->p == '"')
		wrong_string(at);
	else if (*at->p == '-' || (*at->p >= '0' && *at->p <= '9'))
		wrong_number(at);
	else if (*at->p == '\'')
		because(at, "a text stands in single quotes; JSON has double ones");
	else if (word_length(at) > 0)
		wrong_word(at);
	else
		because(at, "%s stands where a value must", what);
}

/* What must be the first of an object's members, or a comma and another, or its end, is not.
 * `first`: no member stands before. */
static void wrong_member(struct fault_place *at, bool first)
{
	char what[16];
	bool comma = false;

	if (!first && at->p < at->end && *at->p == ',') {
		comma = true;
		at->p = space_end(at->p + 1, at->end);
	}
	if (at->p == at->end) {
		cut(at, "an object");
		return;
	}
	character(at, what);
	if (!first && !comma)
		because(at, "%s stands where a comma or } must", what);
	else if (*at->p == '}')
		because(at, "a comma is followed by }");
	else if (*at->p == '\'')
		because(at, "a name stands in single quotes; JSON has double ones");
	else if (*at->p != '"')
		because(at, "%s stands where a name in double quotes must", what);
	else {
		struct json j;
		struct slice name;
		json_init(&j, (struct slice){ at->p, (size_t)(at->end - at->p) });
		if (!json_skip(&j, &name)) {
			wrong_string(at);
			return;
		}
		at->p = space_end(at->p + name.n, at->end);
		if (at->p == at->end) {
			cut(at, "an object");
			return;
		}
		character(at, what);
		because(at, "%s stands where a colon must", what);
	}
}

static void wrong_element(struct fault_place *at)
{
	char what[16];

	if (at->p == at->end) {
		cut(at, "an array");
		return;
	}
	character(at, what);
	because(at, "%s stands where a comma or ] must", what);
}

static void wrong_rest(struct fault_place *at)
{
	if (*at->p == ',' && space_end(at->p + 1, at->end) == at->end) {
		at->fault->kind = JSON_FAULT_END_COMMA;
		because(at, "a comma follows the object");
		return;
	}
	because(at, "%s",
		*at->p == '{' ? "a second object stands in the same line"
			      : "something follows the value");
}

static bool in_object(const struct json *j)
{
	unsigned top = j->depth - 1;

	return (j->objects[top / 64] >> (top % 64) & 1) != 0;
}

/* Reads on to the fault and tells it; false if there is none. */
static bool walk(struct json *j, struct fault_place *at)
{
	struct slice key;

	json_next(j);
	while (!j->bad && j->depth > 0) {
		bool object = in_object(j), first = j->first;
		at->p = space_end(j->p, j->end);
		bool more = object ? json_member(j, &key) : json_element(j);
		if (j->bad && object)
			wrong_member(at, first);
		else if (j->bad)
			wrong_element(at);
		if (j->bad)
			return true;
		if (more)
			json_next(j);
	}
	at->p = space_end(j->p, j->end);
	if (j->bad)
		wrong_value(at, j->depth);
	else if (at->p < at->end)
		wrong_rest(at);
	else
		return false;
	return true;
}

static size_t column_of(struct slice text, const char *p)
{
	size_t column = 1;
	bool valid;

	for (const char *c = text.p; c < p; column++)
		c += utf8_step(c, (size_t)(text.p + text.n - c), &valid);
	return column;
}

bool json_fault_find(struct slice text, struct json_fault *ret)
{
	struct json j;

	*ret = (struct json_fault){ 0 };
	json_init(&j, text);
	struct fault_place at = { j.start, j.end, ret };
	if (!walk(&j, &at))
		return false;
	ret->column = column_of((struct slice){ j.start, text.n }, at.p);
	return true;
}

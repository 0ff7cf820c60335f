/* json.h: a pull scanner over JSON text that lies in memory: strict RFC 8259, no allocation.
 *
 * Every input line and every upstream answer goes through this scanner. So it validates (grammar,
 * UTF-8, escapes), says where each value stands, and costs a fixed number of bytes whatever the
 * text holds: depth is counted in a bit stack, JSON_DEPTH_MAX levels, deeper text is an error.
 * Control characters inside strings are errors. A lone surrogate escape (\ud800) is accepted, as
 * JSON's grammar does.
 *
 *	struct json j;
 *	json_init(&j, text);
 *	if (json_next(&j) == JSON_OBJECT)
 *		while (json_member(&j, &key)) {         // key: raw, between its quotes
 *			if (json_key_is(key, "model")) ...   // now json_next() reads the value
 *			else if (!json_skip(&j, &value)) break;
 *		}
 *	if (!json_end(&j)) ...                          // anything wrong anywhere: false
 *
 * An error is sticky: every later call reports JSON_BAD or false. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define JSON_DEPTH_MAX 1024

enum json_type {
	JSON_BAD,    /* not JSON, too deep, or the text ended */
	JSON_OBJECT, /* just entered */
	JSON_ARRAY,  /* just entered */
	JSON_STRING,
	JSON_NUMBER,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
};

struct json {
	const char *start, *p, *end;
	unsigned depth;
	bool bad;
	bool first;         /* right after an opening bracket */
	struct slice value; /* text of the scalar last read; strings with their quotes */
	uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit set: that level is an object */
};

void json_init(struct json *j, struct slice text);

/* What kind of value is at hand, without reading it; json_offset() then is where it begins. A wrong
 * one may still show as JSON_NUMBER, or as the literal it begins like. */
enum json_type json_peek(struct json *j);

/* Reads the value at hand. For a string, number or literal `j->value` is its text; for an object or
 * array the scanner is now inside it. */
enum json_type json_next(struct json *j);

/* In an object: steps to the next member and gives its raw key (escapes as they stand, no quotes);
 * false at the closing brace (then the object has been left) or on an error. */
bool json_member(struct json *j, struct slice *ret_key);

/* In an array: true when another element is at hand; false at the closing bracket, or an error. */
bool json_element(struct json *j);

/* Validates and skips the whole value at hand; `*ret_text` is its text from first to last byte. */
bool json_skip(struct json *j, struct slice *ret_text);

/* True if the one value was read whole, only white space follows, and nothing was wrong. */
bool json_end(struct json *j);

/* Where the scanner stands: byte offset in the text. */
size_t json_offset(const struct json *j);

/* `p` is behind the opening quote of a string: behind its closing one; NULL: it is not valid, or does
 * not end before `end`. */
const char *json_string_end(const char *p, const char *end);

/* Compares a raw key or string (without quotes), escapes decoded, with `text`. */
bool json_key_is(struct slice raw, const char *text);
/* Compares two raw strings (without quotes), escapes decoded: "\u0061" is "a". */
bool json_same_string(struct slice a, struct slice b);

/* Decodes a raw string (without quotes) into `to`, at most `size` bytes; returns the bytes that the
 * whole needs (so > size means cut off). Lone surrogates become U+FFFD. Safe on any bytes. */
size_t json_decode(struct slice raw, char *to, size_t size);

/* A non-negative integer that fits; false for anything else (fractions, exponents, negative). */
bool json_u64(struct slice number, uint64_t *ret);
/* The same, however the number is written: 10, 10.0 and 1e1 are ten. */
bool json_whole(struct slice number, uint64_t *ret);

/* Copies validated JSON `text` to `to` (text.n bytes at most) without CR and LF; returns bytes.
 * `to` does not overlap it. JSON strings cannot hold raw CR or LF, so those removed stand between
 * tokens (contract 8.2). */
size_t json_copy_one_line(struct slice text, char *to);

/* Number of elements of the array that `text` (validated JSON) is; 0 if it is no array. */
size_t json_array_count(struct slice text);

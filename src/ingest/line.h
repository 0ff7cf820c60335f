/* line.h: one input line -> the facts that a batch depends on (contract 7.1).
 * Reads the bytes once, allocates nothing, judges nothing that depends on the batch. */
#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "batch/prefix.h"

/* What was found. Of CUSTOM_ID_*, METHOD_*, URL_*, BODY_*, MODEL_* the absence of all bits means
 * that the member is there and as it should be. */
enum line_flag {
	LINE_NOT_JSON = 1 << 0, /* or not UTF-8 */
	LINE_NOT_OBJECT = 1 << 1,
	LINE_TOO_LONG = 1 << 2, /* over the limit on bytes; nothing else is known */
	LINE_CUSTOM_ID_MISSING = 1 << 3,
	LINE_CUSTOM_ID_NOT_STRING = 1 << 4,
	LINE_CUSTOM_ID_LENGTH = 1 << 5, /* empty, or over 512 bytes of UTF-8 */
	LINE_METHOD_MISSING = 1 << 6,
	LINE_METHOD_NOT_POST = 1 << 7, /* another string, or no string */
	LINE_URL_MISSING = 1 << 8,     /* else `url` is its text; no string counts as ""  */
	LINE_BODY_MISSING = 1 << 9,
	LINE_BODY_NOT_OBJECT = 1 << 10,
	LINE_MODEL_MISSING = 1 << 11,    /* or no string, or empty */
	LINE_MESSAGES_MISSING = 1 << 12, /* absent or null */
	LINE_STREAM = 1 << 13,           /* "stream" is neither absent, false nor null */
	LINE_SAMPLING = 1 << 14,         /* temperature, top_p, n or a penalty is set */
	LINE_DUPLICATE_ID = 1 << 15,     /* set by the index, not by line_scan */
	LINE_BACKGROUND = 1 << 16,       /* "background" is neither absent, false nor null */
};
#define LINE_FLAG_BITS 18 /* that an index has room for */

#define CUSTOM_ID_MAX_BYTES 512
#define LINE_BYTES_MOST (UINT64_C(1) << 31) /* where no limit is set: offsets in it are 32 bits */

/* The body's texts that make its prefix, as values of JSON; {NULL,0}: missing, or null. */
struct line_texts {
	struct slice messages, prompt, input, tools, system;
};

struct line_facts {
	uint32_t flags;
	struct slice custom_id; /* raw, between its quotes; in the line */
	struct slice body;      /* from `{` to `}`; in the line */
	struct slice url;       /* raw, between its quotes; {NULL,0} if missing */
	struct slice model;     /* likewise */
	struct slice method;    /* likewise; of a value that is no string, its text */
	const char *sampling;   /* static: the first parameter behind LINE_SAMPLING, or NULL */
	uint32_t inputs;        /* elements of body.input if an array of non-numbers, else 1 */
	struct line_texts texts;
	struct prefix prefix; /* of the body's prompt, after its tools; batch/prefix.h */
};

/* `line` is without its LF (a CR before it may stand). Of a member given twice the last counts, as
 * JSON parsers do; one that is null counts as missing. */
void line_scan(struct slice line, struct line_facts *ret);
/* Fills in those of all levels that the texts are long enough for; *ret is all 0. */
void line_prefix(const struct line_texts *texts, struct prefix *ret);

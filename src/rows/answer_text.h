/* answer_text.h: what a line of a result file (contract 9) says, for a cell of a table. Pure.
 *
 *	chat, completions     the text of the choice; an array of them, where there are several; the
 *	                      tool calls as JSON, where there is no text
 *	responses, messages   its texts, one behind the other
 *	embeddings            the vector
 *	anything else         the whole body */
#pragma once

#include "base/buf.h"
#include "base/error.h"

struct row_answer {
	bool good;          /* there is an answer; else `error` says why not */
	struct slice value; /* JSON, a string if it is a text; "" if not `good` */
	struct buf text;    /* where `value` is put together, if it does not stand in the line */
	struct buf error;   /* "code: message", UTF-8 */
	bool failed;        /* memory was out: none of it counts */
};

#define ANSWER_EMPTY ((struct row_answer){ .text = BUF(1u << 30), .error = BUF(64u << 10) })
void answer_done(struct row_answer *a);

/* The custom_id of a result line, as it stands between its quotes. False: it has none that is a
 * string, or is no object up to there. */
bool answer_id(struct slice line, struct slice *ret_raw);
/* `value` is valid as long as the line is. False: this is no result line. */
MUST_USE bool answer_read(struct slice line, struct row_answer *ret);

/* answer.h: what the body of an upstream's 2xx says: whether it is an answer at all (contract 8.3),
 * and which tokens it took (8.2). One pass of the JSON scanner. Pure; any thread. */
#pragma once

#include "base/slice.h"
#include "batch/batch.h"

enum answer_fault {
	ANSWER_GOOD,
	ANSWER_EMPTY,
	ANSWER_NOT_JSON,
	ANSWER_NO_OBJECT,    /* a number, a list, null … */
	ANSWER_EMPTY_OBJECT, /* {} */
	ANSWER_ERROR,      /* a member `error` that is an object or a text, "object": "error", or as
			    * /v1/messages has it "type": "error" */
	ANSWER_DETAIL,     /* {"detail": …} alone, as FastAPI says no */
	ANSWER_NO_CHOICES, /* "choices": [] */
	ANSWER_ABORTED,    /* a choice whose finish_reason is `error` or `abort` */
	ANSWER_UNFINISHED, /* a Responses object: failed, cancelled, in_progress, queued */
};

struct answer_facts {
	enum answer_fault fault;
	bool json; /* valid, of whatever kind */
	struct usage usage;
};

/* `body` as it came; a UTF-8 BOM before it does no harm. */
void answer_scan(struct slice body, struct answer_facts *ret);
/* `body` without a UTF-8 BOM before it. */
struct slice answer_text(struct slice body);
/* The first `max` bytes of `text`, not cutting a UTF-8 sequence. */
struct slice answer_head(struct slice text, size_t max);
/* What is wrong, as a sentence: "The upstream's answer says that it failed". */
const char *answer_fault_words(enum answer_fault fault);

/* Token counts looked for near either end of an answer too long to be scanned where it arrives:
 * good enough for shares and speeds. Zeros: not found. */
void answer_tokens_find(struct slice body, struct usage *ret);

/* The message of an error answer, `error.message`, `message`, `detail` or `error`, else its
 * beginning: decoded, in one line, cut to fit (`size` <= 1024). "" if there is none. */
void answer_message(struct slice body, char *to, size_t size);
/* Whether `error.code`, `error.type`, `code`, `type` or `__type` of an error answer is one of
 * `words` (NULL-ended, matched as a whole or behind a '#' or '.', whatever its case). */
bool answer_code_is(struct slice body, const char *const *words);

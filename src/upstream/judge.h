/* judge.h: whose fault the end of an attempt is: the table of contract 8.3, for lines and online
 * requests alike. What follows for the line is in dispatch/trials.h, for the upstream in
 * upstream/breaker.h and upstream/throttle.h. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "batch/outcome.h"
#include "client/client.h"

/* The end of an attempt, of a line or of an online request: judge.c judges it, and all that learn
 * from the end are given it. Made once, on the stack of the function that is told of the end. All
 * slices are borrowed. */
struct attempt_end {
	enum exchange_end how;
	uint64_t sent_us, ended_us;
	int status;        /* of the answer, as far as one came; 0: none */
	struct slice body; /* of an answer that is no 2xx, its beginning at least; may be empty */
	struct slice content_type;
	struct slice error_type;          /* x-amzn-errortype */
	const struct answer_facts *facts; /* of a 2xx; NULL: its body was not read */
	struct usage tokens;              /* by the usage of a 2xx; 0: not given, or not read */
	int64_t wait_ms;                  /* that it asks for (wait.h); <= 0: none */
	const char *by_way;               /* what its words begin with (client.h); NULL: nothing */
	const char *detail;               /* the client's sentence, "" or NULL: none */
};

enum blame {
	BLAME_NOBODY,      /* done */
	BLAME_LINE,        /* the line's: final */
	BLAME_SERVER,      /* the upstream's until it is well; then the line's */
	BLAME_UNREACHABLE, /* likewise, and sure: no line can get there */
	BLAME_BUSY,        /* never the line's: it is throttled, or, while nothing is well, down */
	BLAME_THROTTLED,   /* never the line's: too much was asked */
	BLAME_OPERATOR,    /* never the line's: key, quota, certificate */
	BLAME_PATH, /* never the line's: no line of this model has been well there: path, model */
};

struct judgement {
	enum blame blame;
	bool retry_at_once;       /* on another connection: it says nothing of the upstream */
	enum outcome_fault fault; /* what the line ends with, if it does */
	const char *message;      /* static, or NULL: the fault's own */
};

/* `been_well`: some line of this model has been answered well there. */
struct judgement attempt_judge(const struct attempt_end *e, bool been_well);
/* Whether it speaks for the upstream: it answered well, or refused a request for its content. */
bool blame_is_well(enum blame blame);

/* Writes what the upstream said, in words for people: "HTTP 503: Loading model", or the client's
 * sentence. `secret`, if not NULL, is blotted out of it. */
void attempt_words(const struct attempt_end *e, const char *secret, char *to, size_t size);

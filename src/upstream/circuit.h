/* circuit.h: whether something answers: an upstream as a whole, or one model on it. A breaker,
 * what was said last that was not well, and what the log has been told.
 *
 * `stall` is the condition in the words of batch/stall.h. It is moved by circuit_turn() alone;
 * whoever calls that tells batches and, as circuit_tell() says, the log.
 *
 * Begins as { 0 }: it answers. Pure; times are given in: ms of the monotonic clock, and Unix s
 * where people read them. Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "batch/stall.h"
#include "upstream/breaker.h"
#include "upstream/slots.h"

#define CIRCUIT_PROBE_PATIENCE_MS 5000u /* until a probe that hangs gets another one beside it */

/* What was said last that was not well, and since when nothing else has been. */
struct last_words {
	char text[224]; /* "HTTP 503: Loading model" */
	int64_t since;  /* Unix s */
};

struct circuit {
	struct breaker breaker;
	struct last_words said;
	enum batch_stall stall; /* NONE, THROTTLED (an upstream's alone), DOWN, REFUSED */
	uint64_t changed_ms;    /* when `stall` did */

	enum batch_stall told; /* the log's last word of it */
	uint64_t told_ms;      /* 0: it has none */
};

/* Nothing but probes is sent. */
bool circuit_is_open(const struct circuit *c);
/* As breaker_due_ms(), with the probes that are out there: of what its account says. */
uint64_t circuit_due_ms(const struct circuit *c, const struct slots *slots, uint64_t now_ms,
			bool *ret_probe);

/* What the breaker says of it. */
enum batch_stall circuit_breaker_stall(const struct circuit *c);
/* The condition is `now` from here on. True: it was another. */
bool circuit_turn(struct circuit *c, enum batch_stall now, uint64_t now_ms, int64_t now_s);
/* Whether the log is to be told of `stall` now; counts as told then. At once if the log was told
 * nothing for ten seconds, else once the condition lasts: what comes and goes with every refusal,
 * or with every line that fails alone, is told once in ten seconds. */
bool circuit_tell(struct circuit *c, uint64_t now_ms);

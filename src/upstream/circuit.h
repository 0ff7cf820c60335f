/* circuit.h: whether something answers: an upstream as a whole, or one model on it. A breaker, the
 * last fault that was said, and what the log has been told.
 *
 * `stall` is the condition in the words of batch/stall.h. circuit_turn() alone changes it; its
 * caller tells batches and, as circuit_tell() says, the log.
 *
 * Begins as { 0 }: it answers. Pure; times are given in: ms of the monotonic clock, and Unix s
 * where people read them. Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "batch/stall.h"
#include "upstream/breaker.h"
#include "upstream/slots.h"

#define CIRCUIT_PROBE_PATIENCE_MS 5000u /* until another probe is sent beside one that hangs */

/* The last fault that was said, and since when there has been nothing else. */
struct last_words {
	char text[224]; /* "HTTP 503: Loading model" */
	int64_t since;  /* Unix s */
};

struct circuit {
	struct breaker breaker;
	struct last_words said;
	enum batch_stall stall; /* NONE, THROTTLED (an upstream's alone), DOWN, REFUSED */
	uint64_t changed_ms;    /* when `stall` changed */

	enum batch_stall told; /* the last that the log was told */
	uint64_t told_ms;      /* 0: nothing */
};

/* Only probes are sent. */
bool circuit_is_open(const struct circuit *c);
/* As breaker_due_ms(), with the probes in flight that the account of slots has. */
uint64_t circuit_due_ms(const struct circuit *c, const struct slots *slots, uint64_t now_ms,
			bool *ret_probe);

/* The condition by the breaker alone. */
enum batch_stall circuit_breaker_stall(const struct circuit *c);
/* The condition is `now` from here on. True: it was another before. */
bool circuit_turn(struct circuit *c, enum batch_stall now, uint64_t now_ms, int64_t now_s);
/* Whether the log is to be told of `stall` now; true counts as told. At once if the log was told
 * nothing for ten seconds, else once the condition lasts: a condition that comes and goes with
 * every refusal, or with every line that fails alone, is logged once in ten seconds. */
bool circuit_tell(struct circuit *c, uint64_t now_ms);

/* stall.h: why a batch gets nothing done at the moment, and what each condition is called. Where
 * the upstreams of a model differ, the condition further down the table is the batch's; but an
 * upstream that takes lines outweighs them all. Conditions that no upstream causes come last.
 *
 * The condition of an upstream, or of a model on it, is one of these too. */
#pragma once

#define STALL_TEXT_BYTES 400u /* of the sentence that tells a client more: lowtide.stall_message */

/*        name      API (contract 11.2), log, state of an upstream (console), at a terminal;
 *                  NULL: it has no word there */
#define BATCH_STALLS(X)                                                                          \
	/* nothing holds it up */                                                                \
	X(NONE, NULL, "upstream.flows", "flows", NULL)                                           \
	/* all room is taken by online requests */                                               \
	X(ONLINE, "online", NULL, NULL, "online")                                                \
	/* other nodes drive the upstreams that serve it (cluster/protocol.h) */                 \
	X(ELSEWHERE, "elsewhere", NULL, "elsewhere", "other nodes drive its upstreams")          \
	/* the upstream asks for a pause */                                                      \
	X(THROTTLED, "upstream_429", "upstream.slows_down", "throttled", "the upstream is busy") \
	/* it is down, or answers nothing well */                                                \
	X(DOWN, "upstream_down", "upstream.down", "down", "the upstream is down")                \
	/* only the operator can mend it */                                                      \
	X(REFUSED, "upstream_refused", "upstream.refused", "refused",                            \
	  "the upstream refuses, see above")                                                     \
	/* disk or database refuse, descriptors are short, or the server is stopping */          \
	X(PAUSED, "paused", "batch.paused", NULL, "paused, see the log")                         \
	/* its organization's limits are used up */                                              \
	X(QUOTA, "quota", "batch.over_quota", NULL, "over a limit of its organization")          \
	/* it is held, or its organization is suspended by the operator */                       \
	X(HELD, "held", "batch.held", NULL, "held")

enum batch_stall {
#define X(name, api, log, upstream, terminal) STALL_##name,
	BATCH_STALLS(X)
#undef X
};

struct stall_words {
	const char *api, *log, *upstream, *terminal;
};

const struct stall_words *stall_words(enum batch_stall stall);

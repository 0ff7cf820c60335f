/* mutants.h: the rules of the protocol, each broken in turn. MUTANTS(X) has for each its name, the
 * word by which `simulate --mutant` knows it, and what is done instead. */
#pragma once

#define MUTANTS(X)                                                                                 \
	X(SETTLE_EPOCH, "settle-epoch", "a settlement checks no epoch")                            \
	X(SETTLE_NODE, "settle-node", "a settlement checks the span's epoch, not the node's")      \
	X(SETTLE_TWICE, "settle-twice", "a commit of unknown outcome is taken for a failure")      \
	X(SETTLE_COUNTS, "settle-counts", "counts are added whether or not the piece was new")     \
	X(SETTLE_EARLY, "settle-early", "rows are written before S3 has acknowledged the chunk")   \
	X(FINISH_EPOCH, "finish-epoch", "a span is finished without a look at its epoch")          \
	X(FINISH_UNLOCKED, "finish-unlocked", "the last span is told without a lock on the batch") \
	X(PART_NAME, "part-name", "a part is named by its span, without node and epoch")           \
	X(PART_EARLY, "part-early", "a part is written while a settlement's outcome is unknown")   \
	X(GIVE_BACK_EPOCH, "give-back-epoch", "a span is given back without a look at its epoch")  \
	X(GIVE_BACK_EARLY, "give-back-early", "a span is given back with answers unacknowledged")  \
	X(CLAIM_LEASE, "claim-lease", "SKIP LOCKED alone, without a look at the owner's lease")    \
	X(CLAIM_TICKET, "claim-ticket", "claims have no ticket")                                   \
	X(CLAIM_ANSWER, "claim-answer", "a claim whose answer was lost is forgotten")              \
	X(CLAIM_PIECES, "claim-pieces", "pieces are read before the claim, not after")             \
	X(CLAIM_NODE, "claim-node", "a node that was buried may claim")                            \
	X(DEADLINE_ANSWER, "deadline-answer", "the deadline is counted from the renewal's answer") \
	X(DEADLINE_NONE, "deadline-none", "a node sends until it hears that it was buried")        \
	X(DEADLINE_WALL, "deadline-wall", "the deadline is lease_until by the node's wall clock")  \
	X(MARGIN, "margin", "the deadline has no margin")                                          \
	X(BURY_EARLY, "bury-early", "a node is buried by the burier's wall clock")                 \
	X(BURY_GRACE, "bury-grace", "no grace after a lapse of one's own")                         \
	X(REBIRTH, "rebirth", "a buried node goes on with what it had")                            \
	X(TAKE_LEASE, "take-lease", "an upstream is taken without a look at its owner's lease")    \
	X(RELEASE_EARLY, "release-early", "an upstream is released with lines in flight")          \
	X(RELEASE_EPOCH, "release-epoch", "an upstream is released without a look at its epoch")   \
	X(MOVE_NEVER, "move-never", "upstreams are never moved")                                   \
	X(ANSWERED, "answered", "only answered lines are held under twice the limit")              \
	X(LOOK_NEVER, "look-never", "NOTIFY alone, no look every 2 s")                             \
	X(DRAIN, "drain", "a node that drains leaves without giving back")                         \
	X(GARBAGE_AGE, "garbage-age", "garbage by age alone")                                      \
	X(GARBAGE_SEEN, "garbage-seen", "the age of garbage is the age of the object")             \
	X(GARBAGE_ROWS, "garbage-rows", "only what a row once named is swept")                     \
	X(GARBAGE_FLOOR, "garbage-floor", "a node never says what it has decided")

enum mutant {
	MUTANT_NONE,
#define X(name_, word_, what_) MUTANT_##name_,
	MUTANTS(X)
#undef X
		MUTANT_COUNT,
};

struct mutant_text {
	const char *word, *what;
};
extern const struct mutant_text mutant_texts[MUTANT_COUNT];

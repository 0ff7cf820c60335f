/* day_tokens.h: the tokens that each organization's answers took since 00:00 UTC, and whether that is
 * as much as it may (contract 13.1, tokens_per_day). Private to pipeline/.
 *
 * Three sums make an organization's use: the row of the day, which merges write with the progress of
 * their batch; of each batch that runs, what has ended and no merge has counted yet (the journal has
 * it: a restart finds it again); and of online answers what is not written yet, FLUSH_MS at most,
 * which a crash loses. Of nodes the second is none: what lines took is in rows of the day when they have
 * ended (store/pieces.h), whichever node asks; of others' online answers it sees what is written. Lines
 * that ended before midnight count for the day before, unless the process dies before day_look() has
 * recorded that they do.
 *
 * Threads: any. `counting` is held from the commit of a merge until its coordinator has what was
 * counted, and by who adds up the three: so nothing is missed or found twice. `lock` is held for an
 * instant. Order: `counting`, the table of batches, a lessor's, a coordinator's; `lock` alone. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/id.h"

#define DAY_BUCKETS 256u

struct day_org {
	struct day_org *next;
	char org[ID_SIZE];
	uint64_t counted; /* at the last look: the row, and what batches have that is not there */
	uint64_t online;  /* of online answers, not written */
	uint64_t writing; /* of these so many are being written; the flush's */
	uint64_t found;   /* the look's: `counted` to be */
	int64_t own;      /* its own limit, or LIMIT_AS_CONFIGURED; of the last look */
	int64_t found_own;
};

struct day_tokens {
	pthread_mutex_t counting;
	_Atomic int64_t day; /* that all counts for, in days since 1970; changes under `counting` */
	uint64_t configured; /* limit of an organization without its own; 0: none */
	bool limited;        /* the look's: some organization has a limit */
	uint64_t next_flush_ms; /* the look's */
	pthread_mutex_t lock;   /* for all below */
	struct day_org *orgs[DAY_BUCKETS];
};

void day_tokens_init(struct day_tokens *d, uint64_t configured);
void day_tokens_done(struct day_tokens *d);

/* The day of a time, and when that ends, Unix s. */
int64_t day_tokens_day(int64_t now_s);
int64_t day_tokens_end(int64_t now_s);

/* A merge puts between these two. */
int64_t day_tokens_hold(struct day_tokens *d); /* returns the day */
void day_tokens_release(struct day_tokens *d);

/* An online answer took these. A count for which there is no memory is lost. Does not wait. */
void day_tokens_add(struct day_tokens *d, const char *org, uint64_t tokens);
/* As of the last look, and online answers since. Does not wait. */
uint64_t day_tokens_used(struct day_tokens *d, const char *org);
/* Of online answers alone, what is not written. */
uint64_t day_tokens_online(struct day_tokens *d, const char *org);
/* Whether the organization has a limit; whether it is used up: both as of the last look. */
bool day_tokens_limits(struct day_tokens *d, const char *org);
bool day_tokens_is_over(struct day_tokens *d, const char *org);
/* Of that organization, made if there is none; NULL: no memory. Under `lock`. */
struct day_org *day_tokens_entry(struct day_tokens *d, const char *org);

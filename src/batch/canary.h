/* canary.h: the first lines of a batch that is then held (contract 11.1, `canary`): N of its lines,
 * spread evenly over the file. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Whether a batch of so many lines has lines to run before it is held: else all run at once. */
static inline bool canary_holds(uint64_t n, uint64_t lines)
{
	return n > 0 && n < lines;
}

/* The record of the canary's line `k`, from 0 to n - 1: in the middle of the k-th of n equal parts.
 * `lines` is below 2^32, `n` below 2^31. */
static inline uint64_t canary_record(uint64_t k, uint64_t n, uint64_t lines)
{
	return (2 * k + 1) * lines / (2 * n);
}

/* Whether the record is one of the canary's. */
static inline bool canary_has(uint64_t record, uint64_t n, uint64_t lines)
{
	uint64_t k = record * n / lines; /* rounded down once more: it may be of the part behind */

	return canary_record(k, n, lines) == record ||
	       (k + 1 < n && canary_record(k + 1, n, lines) == record);
}

/* canary.h: the first lines of a batch that is then held (contract 11.1, `canary`): N of its lines that
 * can run, spread evenly over them. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Whether a batch of so many lines that can run has lines to run before it is held: else all run at once. */
static inline bool canary_holds(uint64_t n, uint64_t lines)
{
	return n > 0 && n < lines;
}

/* Which of them the canary's line `k` is, from 0 to n - 1: in the middle of the k-th of n equal parts.
 * `lines` is below 2^32, `n` below 2^31. */
static inline uint64_t canary_record(uint64_t k, uint64_t n, uint64_t lines)
{
	return (2 * k + 1) * lines / (2 * n);
}

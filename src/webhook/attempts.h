/* attempts.h: when a delivery is tried again (contract 12): with growing, jittered waits, for 72
 * hours. Pure. */
#pragma once

#include <stdint.h>

#define ATTEMPTS_END_S (72 * INT64_C(3600))
/* No attempt is later than that after the one before it. */
#define ATTEMPTS_WAIT_MAX_S (15 * INT64_C(3600))

/* How long to wait after the `attempts`-th attempt (from 1) failed; `random`: any number, a new one
 * each time. About 5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 3 h, 6 h, then 12 h, each a fifth more or
 * less. */
int64_t attempts_wait_s(uint64_t attempts, uint32_t random);
/* When the next attempt is, one having failed at `now`; 0: never again. The last one is at the end
 * of the 72 hours, which began at `began_at`. */
int64_t attempts_next(int64_t began_at, uint64_t attempts, int64_t now, uint32_t random);

/* clock.h: waiting by the monotonic clock, so that a step of the wall clock delays nothing and
 * hurries nothing.
 *
 * The clock is the kernel's, never sys.monotonic_ms: a condition variable waits by the kernel's
 * clock, also where a test has replaced the one in the table. */
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_WAIT_MS_MAX 60000 /* of one wait for sockets */

/* A condition variable whose timed waits go by the monotonic clock. */
void clock_cond_init(pthread_cond_t *cond);
/* Milliseconds of the clock that such a condition variable waits by. */
uint64_t clock_ms(void);
/* The end of a wait, for pthread_cond_timedwait(): `ms` from now, or at `at_ms` of clock_ms(). */
struct timespec clock_after_ms(uint64_t ms);
struct timespec clock_at_ms(uint64_t at_ms);

/* How long to wait for sockets (poll, epoll_wait) until `due_ms`, CLOCK_WAIT_MS_MAX at most;
 * UINT64_MAX: nothing is due, -1, as those calls write for ever. Both times are of one clock,
 * any. */
int clock_wait_ms(uint64_t due_ms, uint64_t now_ms);

/* Of two times of one clock, any. */
static inline uint64_t clock_later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* load.h: how busy the dispatch thread is: the share of its time in which it runs. Near 1, requests
 * wait for us and not for their upstream, and what they take says nothing of it. Begins as { 0 }.
 * Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct load {
	uint64_t at_us, ran_us; /* of the last look; at_us 0: there was none */
	double share;           /* lately, 0 to 1 */
	uint64_t busy_us;       /* when it was last large; 0: never */
};

/* A look, which counts only a while after the last one. `now_us`: sys.monotonic_us(). */
void load_look(struct load *l, uint64_t now_us);
/* Whether it was busy within the last seconds: what was measured then still has a say. */
bool load_is_busy(const struct load *l, uint64_t now_us);
/* The same, given how long the thread has run so far. Pure. */
void load_learn(struct load *l, uint64_t ran_us, uint64_t now_us);

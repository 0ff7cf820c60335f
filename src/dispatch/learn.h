/* learn.h: who is told when an upstream, or a model on it, has learnt something
 * (upstream/upstream.h): the lanes' gates, the polls, the log, and the batches that wait, with the
 * reason why. Threads: dispatch alone. */
#pragma once

#include <stdint.h>

struct lane;
struct lesson;
struct upstream;

/* The upstream, and the lane (NULL: an online request for a model that has none), learn from the
 * end of an attempt; the log, and the batches that wait for them, are told of what has changed. */
void attempt_learn(struct upstream *u, struct lane *lane, const struct lesson *l);
/* Once a second: tells the log what has changed and lasts. */
void learn_tick(struct upstream *u, uint64_t now_ms);

/* attempt.h: one attempt at a line: sent, answered, judged; then put off, or ended with an outcome.
 * Threads: dispatch alone. */
#pragma once

#include <stdbool.h>

struct dispatch;
struct lane;
struct line;

/* Sends it on the lane, from which it was given; false when memory is out, or it cannot be read now: then
 * it waits for l->again_ms. */
#define SEND_AGAIN_MS 1000u
bool line_send(struct dispatch *d, struct lane *lane, struct line *l);
/* Ends what dispatch has of the line, in flight or waiting: without an outcome. */
void line_drop(struct line *l);

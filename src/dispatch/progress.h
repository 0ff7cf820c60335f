/* progress.h: how a flow goes, as its owner sees it (struct flow_view): what it waits for, what is
 * expected of it, how fast its lines end. Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch/stall.h"

#define RATE_OVER_S 20.0 /* lines a second and slots in use: averages over about that long */

struct flow;

/* Once a second, and when something has changed: what it waits for. */
void flow_stall(struct flow *f);
/* Shows what it waits for; of a certificate that is refused `certificate`. */
void flow_show_stall(struct flow *f, enum batch_stall stall, bool certificate, const char *text);
/* Shows what the schedule expects of it. */
void flow_show_forecast(struct flow *f);
/* Once a tick, `seconds` after the last: how many lines have ended. */
void flow_rate(struct flow *f, double seconds);

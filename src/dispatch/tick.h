/* tick.h: once a second: forecasts and rates, for the batches; what lanes decided, for the log and
 * the console; and what is no longer needed goes. Threads: dispatch alone. */
#pragma once

#include <stdint.h>

struct dispatch;

void tick_run(struct dispatch *d, uint64_t now_ms);

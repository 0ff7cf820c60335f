/* online_impl.h: what the loop does with online requests. Dispatch's thread. */
#pragma once

#include <stdbool.h>

struct dispatch;

/* Sends those that waited for room; true if any was. */
bool online_fill(struct dispatch *d);
void online_end_all(struct dispatch *d);

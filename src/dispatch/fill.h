/* fill.h: which upstream has room, and what it gets. A free slot is filled at once. Threads:
 * dispatch alone. */
#pragma once

#include <stdbool.h>

struct dispatch;

/* Fills what room there is; true if anything was sent. */
bool dispatch_fill(struct dispatch *d);
/* Milliseconds until there may be room by itself; -1: something has to happen first. */
int dispatch_fill_timeout(struct dispatch *d);

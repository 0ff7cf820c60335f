/* gc.h: `lowtide gc`: what is in the data directory's lost/ (blob/lost.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Lists it, or removes it with `remove`. `lost_after_s` (0: never) is when a server would. Returns
 * an exit code. */
int gc(const char *data_dir, uint64_t lost_after_s, bool remove);

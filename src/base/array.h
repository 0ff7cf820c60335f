/* array.h: arrays that grow by one element at a time, and keep no room of their own. */
#pragma once

#include <stddef.h>

#include "base/attr.h"

/* Makes room for one more element after `n` in the malloc'ed `array`: the array, perhaps moved, or
 * NULL (then it is as it was). */
MUST_USE void *array_room(void *array, size_t n, size_t element_size);

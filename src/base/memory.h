/* memory.h: the allocations without which a line would be lost.
 *
 * Most allocations can fail: their caller answers with fail_memory(). A few bytes that keep track
 * of a line in flight cannot: no caller is left to answer. Then the process ends, which is safe by
 * design: everything finished is on disk, and the next start goes on from there. */
#pragma once

#include <stdlib.h>

#include "base/log.h"

static inline void *must_calloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (p == NULL) {
		log_error("memory.exhausted");
		abort();
	}
	return p;
}

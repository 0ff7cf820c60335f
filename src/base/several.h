/* several.h: the steps of one call, several at a time: for steps that mostly wait (disk, S3). */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"

#define SEVERAL 8u /* at one time, the caller's thread among them */

/* Calls `step` for each of 0 to `steps` - 1, about in that order, and returns when all have. After one that has
 * failed no others are begun, and its error is the call's. Where threads cannot be had it is done by
 * fewer, or by the caller's alone. `name` shows in ps and perf. Threads: any. */
typedef bool (*several_fn)(void *ctx, size_t i, struct error *err);
MUST_USE bool several_do(const char *name, several_fn step, void *ctx, size_t steps,
			 struct error *err);

/* pairs.h: KEY=VALUE of command lines, as one object. */
#pragma once

#include <jansson.h>

#include "base/error.h"

/* *ret is the caller's. `option` is where they were given, for what is said of one that is none. */
MUST_USE bool pairs_object(const char *option, char *const *pairs, size_t count, json_t **ret,
			   struct error *err);

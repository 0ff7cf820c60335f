/* number.h: integers that clients send in a query or a form, and their refusals (contract 5.2). */
#pragma once

#include "base/attr.h"
#include "base/error.h"

/* An optional minus and digits, from `least` to `most`. INVALID: invalid_type if it is none,
 * integer_below_min_value, integer_above_max_value; `param` names it. */
MUST_USE bool number_read(const char *param, struct slice text, int64_t least, int64_t most,
			  int64_t *ret, struct error *err);

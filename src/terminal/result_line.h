/* result_line.h: a line of a result file (contract 9), or of an input, taken apart. Pure. */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

/* All within the line. */
struct result_line {
	struct slice custom_id; /* raw, between its quotes; n == 0: there is none */
	bool answered;          /* its `response` has a 2xx, and `error` is null */
	struct slice body;      /* of a line of an input: the request; n == 0: there is none */
	size_t end;             /* where the object's last brace stands */
};

/* `line` without its LF. False: it is no object. */
bool result_line_read(struct slice line, struct result_line *ret);

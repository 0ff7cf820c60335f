/* line.h: one line of an input file, as those see it that put lines in order and that send them. */
#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "batch/prefix.h"

/* What the schedule must know of a line before it is sent. */
struct line_look {
	uint32_t body_bytes;
	struct prefix prefix;
};

/* The bytes of one line, in the buffer they were read to. */
struct request_line {
	struct slice custom_id; /* raw, without quotes */
	struct slice body;
	uint32_t inputs; /* elements of the body's `input`, see weight.h; 0: not counted */
};

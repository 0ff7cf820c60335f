/* request.h: what the simulated engine reads of a request's body. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

struct request {
	struct slice prompt; /* raw text of `messages`, `prompt` or `input`; empty: none of them */
	struct slice model;  /* raw, without quotes; empty: not named */
	uint64_t max_tokens; /* 0: not said */
	int64_t priority;
	bool stream, include_usage;
};

/* What a body of POST /control asks for. */
struct control {
	double down_s; /* negative: not said, as below */
	double refuse;
};

/* False: not a JSON object. The slices point into `body`. */
MUST_USE bool request_scan(struct slice body, struct request *ret);
MUST_USE bool control_scan(struct slice body, struct control *ret);

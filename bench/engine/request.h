/* request.h: what the simulated engine reads of a request's body. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define INPUTS_MAX 65536u

struct request {
	struct slice prompt; /* raw text of `messages`, `prompt` or `input`; empty: none of them */
	unsigned n_inputs;   /* that it holds: elements of a list of texts, or of lists of tokens */
	unsigned n;          /* answers to each, from 1 */
	struct slice model;  /* raw, without quotes; empty: not named */
	uint64_t max_tokens; /* 0: not said */
	int64_t priority;
	bool stream, include_usage;
};

/* What a body of POST /control asks for. */
struct control {
	double down_s; /* negative: not said, as below */
	double refuse;
	double slots, answer_factor;
	int dead, mark;   /* as a truth; -1: not said */
	struct slice lie; /* raw, without quotes; empty: not said */
};

/* False: not a JSON object. The slices point into `body`. */
MUST_USE bool request_scan(struct slice body, struct request *ret);
/* The inputs of `r`, at most INPUTS_MAX; `ret` has room for r->n_inputs. */
void request_inputs(const struct request *r, struct slice *ret);
MUST_USE bool control_scan(struct slice body, struct control *ret);

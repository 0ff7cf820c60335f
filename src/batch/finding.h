/* finding.h: what is wrong with an input file or its batch: an entry of `errors.data` (contract
 * 7.2), and the JSON text of that array. */
#pragma once

#include "base/buf.h"
#include "base/json_fault.h"

/* One entry. The texts stay the maker's. */
struct finding {
	const char *code;
	uint64_t line;     /* 0: null */
	const char *param; /* or NULL */
	const char *message;
	const struct json_fault
		*fault; /* what is wrong with a line that is no JSON; else NULL. It does
					 * not stand in the JSON */
};

/* Appends the entry as an object of its own. */
void finding_json_object(struct buf *to, const struct finding *finding);
/* Appends an entry to the array in `to`; the first, to an empty `to`, begins the array. */
void finding_json_add(struct buf *to, const struct finding *finding);
/* Ends an array that has an entry. */
void finding_json_end(struct buf *to);
/* The whole array of one entry. */
void finding_json_one(struct buf *to, const struct finding *finding);

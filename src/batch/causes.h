/* causes.h: why lines of a batch failed: how many with which code, and one of them for each
 * (contract 11.2, `top_errors`). A plain value of fixed size. */
#pragma once

#include "batch/finding.h"
#include "batch/outcome.h"

#define CAUSES_MAX 32u /* codes that are told apart; lines of others are only in request_counts */
#define CAUSES_TOP 5u  /* of these are shown */
#define CAUSE_NAME_BYTES 40u

struct cause {
	uint16_t code; /* the HTTP status, or, below 100, cause_code() or cause_of_finding() */
	uint64_t count;
	uint64_t record; /* of the first such line, from 0 */
	uint32_t line;   /* its physical line, from 1; 0: not looked up yet */
};

struct causes {
	struct cause of[CAUSES_MAX]; /* in the order in which they were met */
	unsigned n;
};

/* The code of a line that failed. */
uint16_t cause_code(enum outcome_fault fault, int http_status);
/* That of a bad line that was skipped (contract 11.1): it stands for the finding's own code. */
uint16_t cause_of_finding(const struct finding *f);
/* Whether it is one of those. */
bool cause_is_of_finding(uint16_t code);
/* "404", "request_timeout" or "invalid_json_line". */
void cause_name(uint16_t code, char to[static CAUSE_NAME_BYTES]);
/* True if it is the first of its code. */
bool causes_add(struct causes *c, uint16_t code, uint64_t record);
/* Adds those of other lines of the batch. */
void causes_merge(struct causes *c, const struct causes *other);
/* The most frequent first, at most CAUSES_TOP; returns how many. */
unsigned causes_top(const struct causes *c, struct cause to[static CAUSES_TOP]);

/* As the store keeps them: "404:2:17 1:1:3", code, count and line. A text that is none gives
 * fewer. */
void causes_format(const struct causes *c, struct buf *to);
void causes_parse(const char *text, struct causes *ret);
/* For people: "HTTP 404 × 2 (line 17), request_timeout × 1 (line 3)". */
void causes_describe(const struct causes *c, struct buf *to);

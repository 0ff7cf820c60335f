/* wait.h: how long an answer asks to be left alone, in its headers (contract 8.3). Pure. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

/* The values as they stand; n == 0: the header is not there. */
struct wait_headers {
	struct slice retry_after;                  /* seconds, fractions too, or a date */
	struct slice retry_after_ms;               /* openai's */
	struct slice reset_requests, reset_tokens; /* x-ratelimit-reset-…: "2s", "1m30s" */
	struct slice remaining_requests, remaining_tokens; /* x-ratelimit-remaining-… */
};

/* Milliseconds, rounded up; 0: none is told, or what is told is none (a date that has passed,
 * nonsense). `now_s`: Unix s. A reset counts where that of which nothing remains, or none says
 * how much does. */
int64_t wait_read_ms(const struct wait_headers *h, int64_t now_s);

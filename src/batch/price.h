/* price.h: what tokens of a model cost, by the configuration (contract 11.2, `cost`). */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "batch/batch.h"

#define CURRENCY_SIZE 4u /* three capital letters, as in ISO 4217, and a NUL */
#define PRICE_MOST (UINT64_C(1000000) * 1000000)

/* Each in millionths of the currency, for a million tokens. */
struct price {
	char *model; /* malloc'ed */
	uint64_t input, cached_input, output;
	char currency[CURRENCY_SIZE];
};

struct cost {
	double amount;
	char currency[CURRENCY_SIZE]; /* "": not known */
};

/* All of them; replaced at a reload while others ask. Zeroed, then prices_open(). */
struct prices {
	pthread_mutex_t lock; /* held for an instant */
	struct price *of;
	size_t n;
};

void prices_open(struct prices *p);
void prices_close(struct prices *p);
/* Takes over another list; it is copied. On failure the old one stays. */
MUST_USE bool prices_set(struct prices *p, const struct price *list, size_t n, struct error *err);

/* Adds what `usage` of `model` costs to *sum, whose currency is "" at first. False, and the cost is
 * not known: the model has no price, or one in another currency than *sum has. */
MUST_USE bool prices_add(struct prices *p, const char *model, const struct usage *usage,
			 struct cost *sum);

/* "0.15", at most six digits behind the point, to PRICE_MOST; in millionths. */
MUST_USE bool price_parse(const char *text, uint64_t *ret);
bool currency_is_good(const char *text);

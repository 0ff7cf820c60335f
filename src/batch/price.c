/* price.c: see price.h. */
#include "batch/price.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MILLION 1000000u

void prices_open(struct prices *p)
{
	pthread_mutex_init(&p->lock, NULL);
}

static void list_free(struct price *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].model);
	free(list);
}

void prices_close(struct prices *p)
{
	list_free(p->of, p->n);
	p->of = NULL;
	p->n = 0;
	pthread_mutex_destroy(&p->lock);
}

bool prices_set(struct prices *p, const struct price *list, size_t n, struct error *err)
{
	struct price *copy = calloc(n + 1, sizeof(*copy));

	if (copy == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < n; i++) {
		copy[i] = list[i];
		copy[i].model = strdup(list[i].model);
		if (copy[i].model == NULL) {
			list_free(copy, i);
			return fail_memory(err);
		}
	}
	pthread_mutex_lock(&p->lock);
	struct price *old = p->of;
	size_t old_n = p->n;
	p->of = copy;
	p->n = n;
	pthread_mutex_unlock(&p->lock);
	list_free(old, old_n);
	return true;
}

/* A list of the operator's is short. */
static const struct price *price_find(const struct prices *p, const char *model)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->of[i].model, model) == 0)
			return &p->of[i];
	return NULL;
}

/* In the currency itself. */
static double price_of(const struct price *price, const struct usage *u)
{
	uint64_t cached = u->cached < u->input ? u->cached : u->input;

	return ((double)(u->input - cached) * (double)price->input +
		(double)cached * (double)price->cached_input +
		(double)u->output * (double)price->output) /
	       MILLION / MILLION;
}

bool prices_add(struct prices *p, const char *model, const struct usage *usage, struct cost *sum)
{
	pthread_mutex_lock(&p->lock);
	const struct price *price = price_find(p, model);
	bool known = price != NULL &&
		     (sum->currency[0] == '\0' || strcmp(sum->currency, price->currency) == 0);
	if (known) {
		sum->amount += price_of(price, usage);
		memcpy(sum->currency, price->currency, sizeof(sum->currency));
	}
	pthread_mutex_unlock(&p->lock);
	return known;
}

bool price_parse(const char *text, uint64_t *ret)
{
	uint64_t value = 0, unit = MILLION;
	const char *p = text;

	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		value = value * 10 + (uint64_t)(*p - '0') * MILLION;
		if (value > PRICE_MOST)
			return false;
	}
	if (*p == '.' && !isdigit((unsigned char)*++p))
		return false;
	for (; isdigit((unsigned char)*p) && unit > 1; p++) {
		unit /= 10;
		value += (uint64_t)(*p - '0') * unit;
	}
	if (*p != '\0' || value > PRICE_MOST)
		return false;
	*ret = value;
	return true;
}

bool currency_is_good(const char *text)
{
	for (unsigned i = 0; i < CURRENCY_SIZE - 1; i++)
		if (text[i] < 'A' || text[i] > 'Z')
			return false;
	return text[CURRENCY_SIZE - 1] == '\0';
}

/* config_prices.c: the list prices: what its entries must be. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_impl.h"
#include "batch/price.h"

#define KEY "prices"
#define MILLION UINT64_C(1000000)

bool price_entry_add(struct config *c, const struct origin *origin, struct config_entry *ret)
{
	struct price_setting *more = reallocarray(c->prices, c->price_count + 1, sizeof(*more));

	if (more == NULL)
		return false;
	c->prices = more;
	struct price_setting *p = &more[c->price_count++];
	*p = (struct price_setting){ .origin = *origin };
	*ret = (struct config_entry){ p, &p->given };
	return true;
}

void prices_clear(struct config *c)
{
	for (size_t i = 0; i < c->price_count; i++) {
		free(c->prices[i].model);
		free(c->prices[i].currency);
	}
	free(TAKE(c->prices));
	free(TAKE(c->ready_prices));
	c->price_count = 0;
}

/* Whether the entry has the member `key`. */
static bool is_given(const struct price_setting *p, const char *key)
{
	const struct setting *s = setting_find(price_settings, price_setting_count, key);

	return (p->given >> (s - price_settings) & 1) != 0;
}

static bool check_whole(const struct price_setting *p, struct error *err)
{
	static const char *const wanted[] = { "model", "input", "output", "currency" };

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		if (!is_given(p, wanted[i]))
			return fail_at(
				err, &p->origin, KEY,
				"this entry has no %s; each has a model, input, output and a "
				"currency",
				wanted[i]);
	return true;
}

static bool check_entry(const struct config *c, size_t i, struct error *err)
{
	const struct price_setting *p = &c->prices[i];

	if (!check_whole(p, err))
		return false;
	if (!currency_is_good(p->currency))
		return fail_at(err, &p->origin, KEY,
			       "the currency '%.40s' is not three capital letters, such as USD",
			       p->currency);
	for (size_t k = 0; k < i; k++)
		if (strcmp(p->model, c->prices[k].model) == 0)
			return fail_at(err, &p->origin, KEY,
				       "'%.80s' has a price already, on line %" PRIu64, p->model,
				       c->prices[k].origin.line);
	return true;
}

bool prices_finish(struct config *c, struct error *err)
{
	c->ready_prices = calloc(c->price_count + 1, sizeof(*c->ready_prices));
	if (c->ready_prices == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < c->price_count; i++) {
		const struct price_setting *p = &c->prices[i];
		struct price *ready = &c->ready_prices[i];
		if (!check_entry(c, i, err))
			return false;
		*ready = (struct price){
			.model = p->model,
			.input = p->input,
			.cached_input = is_given(p, "cached_input") ? p->cached_input : p->input,
			.output = p->output,
		};
		memcpy(ready->currency, p->currency, sizeof(ready->currency));
	}
	return true;
}

static void price_print(const char *name, uint64_t price, FILE *to)
{
	fprintf(to, ", %s: %" PRIu64 ".%06" PRIu64, name, price / MILLION, price % MILLION);
}

void prices_print(const struct config *c, FILE *to)
{
	for (size_t i = 0; i < c->price_count; i++) {
		const struct price *p = &c->ready_prices[i];
		fprintf(to, "  %s", p->model);
		price_print("input", p->input, to);
		price_print("cached_input", p->cached_input, to);
		price_print("output", p->output, to);
		fprintf(to, ", currency: %s\n", p->currency);
	}
}

/* orgs.c: see orgs.h. */
#include "schedule/orgs.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"

#define DEBT_LINES 1024.0 /* an organization owes no more than so many lines of its weight */
#define BUCKETS_LEAST 16u
#define ROUND_S 0.05
#define ROUNDS_MOST 16.0

/* ---- which there are ---- */

static struct schedule_org **bucket_of(const struct schedule *s, const char *id)
{
	return &s->buckets[id_hash(id) % s->bucket_n];
}

static void bucket_add(struct schedule *s, struct schedule_org *o)
{
	struct schedule_org **bucket = bucket_of(s, o->id);

	o->bucket_next = *bucket;
	*bucket = o;
}

static void buckets_grow(struct schedule *s)
{
	if (s->org_n < s->bucket_n)
		return;
	free(s->buckets);
	s->bucket_n = s->bucket_n == 0 ? BUCKETS_LEAST : 2 * s->bucket_n;
	s->buckets = must_calloc(s->bucket_n, sizeof(struct schedule_org *));
	for (struct schedule_org *o = s->orgs; o != NULL; o = o->all_next)
		bucket_add(s, o);
}

struct schedule_org *org_find(const struct schedule *s, const char *id)
{
	struct schedule_org *o = s->bucket_n > 0 ? *bucket_of(s, id) : NULL;

	while (o != NULL && strcmp(o->id, id) != 0)
		o = o->bucket_next;
	return o;
}

struct schedule_org *org_get(struct schedule *s, const char *id)
{
	struct schedule_org *o = org_find(s, id);

	if (o != NULL)
		return o;
	buckets_grow(s);
	o = must_calloc(1, sizeof(*o));
	memcpy(o->id, id, strnlen(id, sizeof(o->id) - 1));
	o->serial = s->serials++;
	o->all_next = s->orgs;
	if (s->orgs != NULL)
		s->orgs->all_prev = o;
	s->orgs = o;
	s->org_n++;
	bucket_add(s, o);
	return o;
}

void org_free(struct schedule *s, struct schedule_org *o)
{
	struct schedule_org **at = bucket_of(s, o->id);

	assert(o->next == NULL && o->queued == 0); /* it has no turns */
	org_fly(s, o, -o->in_flight_tokens);
	while (*at != o) {
		assert(*at != NULL);
		at = &(*at)->bucket_next;
	}
	*at = o->bucket_next;
	*(o->all_prev != NULL ? &o->all_prev->all_next : &s->orgs) = o->all_next;
	if (o->all_next != NULL)
		o->all_next->all_prev = o->all_prev;
	s->org_n--;
	free(o->queue);
	free(o);
}

void org_weigh(struct schedule *s, struct schedule_org *o, unsigned weight)
{
	double more = (double)weight - o->weight;

	o->weight = weight;
	if (o->in_flight_tokens > 0)
		s->flying_weights += more;
	if (o->next == NULL)
		return;
	s->weights += more;
	if (weight > s->weight_max)
		s->weight_max = weight;
}

/* ---- what they may send ---- */

/* Tokens that an organization may send in one round; of the heaviest about a line's. */
static double org_quantum(const struct schedule *s, const struct schedule_org *o)
{
	double line = s->line_tokens < 1 ? 1 : s->line_tokens;

	return line * o->weight / s->weight_max;
}

/* Tokens that it may still send for. */
static double org_deficit(const struct schedule_org *o)
{
	return o->balance - o->in_flight_tokens;
}

void org_fly(struct schedule *s, struct schedule_org *o, double tokens)
{
	bool flew = o->in_flight_tokens > 0;

	o->in_flight_tokens += tokens;
	s->flying_tokens += tokens;
	bool flies = o->in_flight_tokens > 0;
	if (flies != flew)
		s->flying_weights += flies ? o->weight : -(double)o->weight;
}

void org_pay(struct schedule *s, struct schedule_org *o, double tokens)
{
	double debt_max = DEBT_LINES * org_quantum(s, o);

	o->balance -= tokens;
	if (o->balance < -debt_max)
		o->balance = -debt_max;
}

/* Tokens that the organization would have in flight had it been there all along, in proportion to
 * those of the others. Without this credit a newcomer waits for slots that others filled before it
 * came. */
static double org_arrears(const struct schedule *s, const struct schedule_org *newcomer)
{
	bool flies = newcomer->in_flight_tokens > 0;
	double tokens = s->flying_tokens - newcomer->in_flight_tokens;
	double weight = s->flying_weights - (flies ? newcomer->weight : 0);
	double arrears = weight > 0 ? tokens / weight * newcomer->weight : 0;

	if (s->slots > 0 && arrears > s->slots * s->line_tokens)
		arrears = s->slots * s->line_tokens; /* others' lines wait to be sent again */
	arrears -= newcomer->in_flight_tokens;
	return arrears > 0 ? arrears : 0;
}

/* ---- the ring ---- */

/* A debt is kept; credit from before is not. */
void ring_add(struct schedule *s, struct schedule_org *o)
{
	assert(o->next == NULL && o->prev == NULL);
	if (org_deficit(o) >= 0)
		o->balance = o->in_flight_tokens + org_arrears(s, o);
	if (s->turn == NULL) {
		o->next = o->prev = o;
		s->turn = o;
		s->weight_max = 1;
	} else {
		o->prev = s->turn;
		o->next = s->turn->next;
		o->prev->next = o;
		o->next->prev = o;
	}
	s->weights += o->weight;
	if (o->weight > s->weight_max)
		s->weight_max = o->weight;
}

void ring_remove(struct schedule *s, struct schedule_org *o)
{
	assert(s->turn != NULL && o->prev->next == o && o->next->prev == o);
	if (s->turn == o)
		s->turn = o->next == o ? NULL : o->next;
	o->prev->next = o->next;
	o->next->prev = o->prev;
	o->next = o->prev = NULL;
	s->weights -= o->weight;
}

void ring_weigh(struct schedule *s)
{
	const struct schedule_org *o = s->turn;

	s->weight_max = 1;
	if (o == NULL)
		return;
	do {
		if (o->weight > s->weight_max)
			s->weight_max = o->weight;
		o = o->next;
	} while (o != s->turn);
}

/* Rounds that are given at once: an organization sends a few lines in a row where a round of all, at the
 * rate of late, takes no longer for that than ROUND_S. Lines that end together are then of few batches,
 * and what is done once a batch, such as a write to its journal, is done for several lines. */
static double rounds_together(const struct schedule *s)
{
	if (s->slots <= 0 || s->line_ms <= 0)
		return 1;
	double lines = s->slots / s->line_ms * 1000 * ROUND_S;
	double rounds = floor(lines / (s->weights / s->weight_max));

	return rounds < 1 ? 1 : rounds > ROUNDS_MOST ? ROUNDS_MOST : rounds;
}

/* No organization may send: as many rounds at once as it takes until one may. */
static void rounds_add(struct schedule *s)
{
	double rounds = INFINITY;
	struct schedule_org *o = s->turn;

	do {
		double needs = floor(-org_deficit(o) / org_quantum(s, o)) + 1;
		if (needs < rounds)
			rounds = needs;
		o = o->next;
	} while (o != s->turn);
	rounds += rounds_together(s) - 1;
	do {
		o->balance += rounds * org_quantum(s, o);
		s->visits++;
		o = o->next;
	} while (o != s->turn);
}

struct schedule_org *org_next(struct schedule *s)
{
	struct schedule_org *first = s->turn;

	while (org_deficit(s->turn) <= 0) {
		s->turn = s->turn->next;
		s->visits++;
		if (s->turn == first)
			rounds_add(s);
	}
	return s->turn;
}

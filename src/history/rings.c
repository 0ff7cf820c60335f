/* rings.c: see rings.h. */
#include "history/rings.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- sums ---- */

static void add(uint32_t *to, uint32_t more)
{
	*to = more > UINT32_MAX - *to ? UINT32_MAX : *to + more;
}

void sums_add(struct sums *to, const struct sums *more)
{
	add(&to->lines, more->lines);
	add(&to->tokens, more->tokens);
	add(&to->first_ms, more->first_ms);
	add(&to->firsts, more->firsts);
}

/* Takes the `n`-th part of each. Times and how many they are stay together, for the last part: a
 * share of both would be no mean. */
static struct sums sums_take(struct sums *from, uint64_t n)
{
	struct sums part = { (uint32_t)(from->lines / n), (uint32_t)(from->tokens / n),
			     n == 1 ? from->first_ms : 0, n == 1 ? from->firsts : 0 };

	from->lines -= part.lines;
	from->tokens -= part.tokens;
	from->first_ms -= part.first_ms;
	from->firsts -= part.firsts;
	return part;
}

/* ---- organizations ---- */

static unsigned find(const struct rings *r, const char *org)
{
	uint32_t hash = id_hash(org);
	unsigned i = 0;

	while (i < r->count && (r->hashes[i] != hash || strcmp(r->orgs[i]->org, org) != 0))
		i++;
	return i;
}

/* Never that of all. */
static unsigned idlest(const struct rings *r)
{
	unsigned found = 1;

	for (unsigned i = 2; i < r->count; i++)
		if (r->orgs[i]->active < r->orgs[found]->active)
			found = i;
	return found;
}

/* The place of the organization, which has none; r->count: there is none, or no memory. */
static unsigned place_take(struct rings *r, const char *org)
{
	unsigned i = r->count;

	if (i == 1 + RINGS_ORGS) {
		if (r->busy_until > r->ticks)
			return i;
		i = idlest(r);
		if (r->orgs[i]->active + 1 >= r->ticks) {
			r->busy_until = r->ticks + 1;
			r->replaced++; /* of who is not here nothing is known */
			return r->count;
		}
		r->replaced++;
	} else {
		r->orgs[i] = malloc(sizeof(*r->orgs[i]));
		if (r->orgs[i] == NULL)
			return i;
		r->count++;
	}
	*r->orgs[i] = (struct org_rings){ .since = r->replaced > 0 ? r->ticks : 0 };
	memcpy(r->orgs[i]->org, org, strnlen(org, sizeof(r->orgs[i]->org) - 1));
	r->hashes[i] = id_hash(org);
	r->now[i] = (struct sums){ 0 };
	return i;
}

bool rings_init(struct rings *r)
{
	*r = (struct rings){ 0 };
	return place_take(r, "") < r->count;
}

void rings_done(struct rings *r)
{
	for (unsigned i = 0; i < r->count; i++)
		free(r->orgs[i]);
	*r = (struct rings){ 0 };
}

bool rings_add(struct rings *r, const char *org, const struct sums *more)
{
	unsigned i = find(r, org);

	sums_add(&r->now[0], more);
	if (i == r->count && (i = place_take(r, org)) == r->count)
		return false;
	r->orgs[i]->active = r->ticks;
	sums_add(&r->now[i], more);
	return true;
}

/* ---- time ---- */

static void tick(struct rings *r, bool seen, uint64_t rest)
{
	unsigned hour = (unsigned)(r->ticks % HOUR_STEPS);
	unsigned day = (unsigned)(r->ticks / DAY_TICKS % DAY_STEPS);
	bool begins = r->ticks % DAY_TICKS == 0;

	r->hour_known[hour] = seen;
	r->day_known[day] = (uint8_t)((begins ? 0 : r->day_known[day]) + seen);
	for (unsigned i = 0; i < r->count; i++) {
		struct org_rings *o = r->orgs[i];
		o->hour[hour] = seen ? sums_take(&r->now[i], rest) : (struct sums){ 0 };
		if (begins)
			o->day[day] = (struct sums){ 0 };
		sums_add(&o->day[day], &o->hour[hour]);
	}
	r->ticks++;
}

void rings_tick(struct rings *r, uint64_t ticks)
{
	for (uint64_t rest = ticks < RINGS_TICKS ? ticks : RINGS_TICKS; rest > 0; rest--)
		tick(r, true, rest);
}

/* After a day of them nothing is left of what was known. */
void rings_gap(struct rings *r, uint64_t ticks)
{
	memset(r->now, 0, sizeof(r->now));
	for (uint64_t rest = ticks < RINGS_TICKS ? ticks : RINGS_TICKS; rest > 0; rest--)
		tick(r, false, rest);
}

/* ---- reading ---- */

unsigned rings_steps(enum rings_span span)
{
	return span == RINGS_HOUR ? HOUR_STEPS : DAY_STEPS;
}

static struct rings_rate rate_of(const struct sums *s, unsigned known)
{
	double seconds = known * (double)TICK_S;

	return (struct rings_rate){ s->lines / seconds, s->tokens / seconds,
				    s->firsts > 0 ? s->first_ms / (double)s->firsts : NAN };
}

unsigned rings_read(const struct rings *r, const char *org, enum rings_span span,
		    struct rings_rate *to)
{
	static const struct sums none;
	const unsigned steps = rings_steps(span), ticks = span == RINGS_HOUR ? 1 : DAY_TICKS;
	const uint8_t *known = span == RINGS_HOUR ? r->hour_known : r->day_known;
	unsigned i = find(r, org != NULL ? org : "");
	const struct org_rings *o = i < r->count ? r->orgs[i] : NULL;
	uint64_t since = o != NULL ? o->since : r->replaced > 0 ? r->ticks : 0;
	uint64_t end = (r->ticks + ticks - 1) / ticks; /* number of the step behind the newest */

	for (unsigned k = 0; k < steps; k++) {
		uint64_t step = end + k - steps; /* of one before the first: too large for `end` */
		unsigned at = (unsigned)(step % steps);
		const struct sums *s = o == NULL            ? &none
				       : span == RINGS_HOUR ? &o->hour[at]
							    : &o->day[at];
		bool is_known = step < end && known[at] > 0 && (step + 1) * ticks > since;
		to[k] = is_known ? rate_of(s, known[at]) : (struct rings_rate){ NAN, NAN, NAN };
	}
	return r->ticks == 0 ? 0 : (unsigned)((r->ticks - 1) % ticks + 1);
}

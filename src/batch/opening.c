/* opening.c: time goes from one change to the next: a bound of the hours by the zone's clock, or a
 * time at which that clock is put forward or back. */
#include "batch/opening.h"

#include "base/zone.h"

#define DAY_S INT64_C(86400)
#define EXACT_DAYS 21 /* beyond so many days all days count alike */
#define YEARS_S (DAY_S * 3660)

bool opening_read(const struct batch_options *o, struct opening *ret, bool *ret_known,
		  struct error *err)
{
	*ret = (struct opening){ .not_before = o->not_before };
	*ret_known = true;
	if (o->hours[0] == '\0')
		return true;
	ret->has_hours = true;
	if (!batch_hours_read(slice_of(o->hours), &ret->hours)) {
		*ret_known = false;
		return true;
	}
	return ret->hours.zone[0] == '\0' || zone_find(ret->hours.zone, &ret->zone, ret_known, err);
}

bool opening_closes(const struct opening *o)
{
	return o->has_hours || o->not_before > 0;
}

/* ---- hours ---- */

static int64_t second_of_day(const struct opening *o, int64_t at)
{
	int64_t second = (at + zone_offset_s(o->zone, at)) % DAY_S;

	return second >= 0 ? second : second + DAY_S;
}

static bool hours_hold(const struct opening *o, int64_t at)
{
	int64_t second = second_of_day(o, at);
	int64_t from = (int64_t)o->hours.from_min * 60, to = (int64_t)o->hours.to_min * 60;

	return from < to ? second >= from && second < to : second >= from || second < to;
}

/* Seconds of the clock from `second` to the bound; a whole day if it stands on it. */
static int64_t until(int64_t second, unsigned bound_min)
{
	int64_t left = (int64_t)bound_min * 60 - second;

	return left > 0 ? left : left + DAY_S;
}

/* The first second after `from` with another offset than that; by `to` there is one. */
static int64_t clock_change(const struct opening *o, int64_t from, int64_t to)
{
	int64_t offset_s = zone_offset_s(o->zone, from);

	while (to - from > 1) {
		int64_t middle = from + (to - from) / 2;
		if (zone_offset_s(o->zone, middle) == offset_s)
			from = middle;
		else
			to = middle;
	}
	return to;
}

/* When the hours begin or end next, after `at`. */
static int64_t hours_change(const struct opening *o, int64_t at)
{
	const bool open = hours_hold(o, at);

	for (int changes = 0; changes < 64; changes++) {
		int64_t second = second_of_day(o, at);
		int64_t begin = until(second, o->hours.from_min),
			end = until(second, o->hours.to_min);
		int64_t next = at + (begin < end ? begin : end);
		if (zone_offset_s(o->zone, next) != zone_offset_s(o->zone, at))
			next = clock_change(o, at, next);
		if (hours_hold(o, next) != open)
			return next;
		at = next; /* a clock that was put back stands before the bound again */
	}
	return at;
}

/* ---- both ---- */

bool opening_is_open(const struct opening *o, int64_t at)
{
	return at >= o->not_before && (!o->has_hours || hours_hold(o, at));
}

int64_t opening_next(const struct opening *o, int64_t at)
{
	if (at < o->not_before)
		at = o->not_before;
	return !o->has_hours || hours_hold(o, at) ? at : hours_change(o, at);
}

/* Open seconds of a day, by the clock. */
static int64_t hours_length_s(const struct opening *o)
{
	int64_t length = ((int64_t)o->hours.to_min - o->hours.from_min) * 60;

	return length > 0 ? length : length + DAY_S;
}

/* The span in which `open_s` seconds of open time since `from` have passed, and when. */
static int64_t after_find(const struct opening *o, int64_t from, int64_t open_s,
			  struct opening_span *ret)
{
	int64_t at = opening_next(o, from), left_s = open_s;
	int64_t days = open_s / hours_length_s(o) - EXACT_DAYS;

	if (days > 0) { /* whole days at once, and the last ones exactly */
		at = opening_next(o, at + days * DAY_S);
		left_s -= days * hours_length_s(o);
	}
	for (;;) {
		int64_t end = hours_change(o, at);
		if (left_s <= end - at) {
			*ret = (struct opening_span){ at, end, open_s - left_s };
			return at + left_s;
		}
		left_s -= end - at;
		at = opening_next(o, end);
	}
}

int64_t opening_after(const struct opening *o, int64_t from, int64_t open_s)
{
	struct opening_span span;

	if (open_s > YEARS_S)
		return OPENING_NEVER;
	return o->has_hours ? after_find(o, from, open_s, &span) : opening_next(o, from) + open_s;
}

int64_t opening_between(const struct opening *o, int64_t from, int64_t to)
{
	int64_t sum = 0, at = opening_next(o, from);

	if (at >= to)
		return 0;
	if (!o->has_hours)
		return to - at;
	int64_t days = (to - at) / DAY_S - EXACT_DAYS;
	if (days > 0) {
		sum = days * hours_length_s(o);
		at = opening_next(o, at + days * DAY_S);
	}
	while (at < to) {
		int64_t end = hours_change(o, at);
		sum += (end < to ? end : to) - at;
		at = opening_next(o, end);
	}
	return sum;
}

/* ---- remembered ---- */

static void memo_renew(struct opening_memo *m, const struct opening *o, int64_t at)
{
	if (m->change != 0 && at >= m->from && at < m->change)
		return;
	*m = (struct opening_memo){ .from = at, .open = opening_is_open(o, at) };
	if (!m->open)
		m->change = opening_next(o, at);
	else
		m->change = o->has_hours ? hours_change(o, at) : OPENING_NEVER;
}

bool opening_memo_is_open(struct opening_memo *m, const struct opening *o, int64_t at)
{
	memo_renew(m, o, at);
	return m->open;
}

int64_t opening_memo_next(struct opening_memo *m, const struct opening *o, int64_t at)
{
	memo_renew(m, o, at);
	return m->open ? at : m->change;
}

int64_t opening_memo_after(struct opening_memo *m, const struct opening *o, int64_t from,
			   int64_t open_s)
{
	struct opening_span *span = &m->span;

	if (open_s > YEARS_S)
		return OPENING_NEVER;
	memo_renew(m, o, from);
	int64_t near_s = m->open ? m->change - from : 0;
	if (m->open && open_s <= near_s)
		return from + open_s;
	if (!o->has_hours)
		return m->change + open_s;
	int64_t left_s = open_s - near_s;
	if (span->end != 0 && left_s > span->before_s &&
	    left_s - span->before_s <= span->end - span->at)
		return span->at + (left_s - span->before_s);
	return after_find(o, m->change, left_s, span);
}

int64_t opening_memo_between(struct opening_memo *m, const struct opening *o, int64_t from,
			     int64_t to)
{
	if (to <= from)
		return 0;
	memo_renew(m, o, from);
	int64_t near_end = m->change < to ? m->change : to;
	int64_t near_s = m->open ? near_end - from : 0;
	if (m->change >= to)
		return near_s;
	if (m->to != to)
		m->to_s = opening_between(o, m->change, to);
	m->to = to;
	return near_s + m->to_s;
}

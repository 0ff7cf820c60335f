/* forecast.c: what is expected of every batch, and what follows from it: the order in an
 * organization, and which batches have precedence.
 *
 * The model is a fluid: the slots are a capacity that batches share without grain. That is what
 * deficit round robin comes to over many lines. Organizations share by weight in virtual time: a
 * batch ends when the virtual time has come to the work up to its end, in its organization, by
 * weight; and virtual time runs the faster the less weight is left. So the ends are sorted once,
 * and no event is simulated. */
#include "schedule/forecast.h"

#include <math.h>
#include <string.h>

#include "schedule/estimate.h"
#include "schedule/orgs.h"
#include "schedule/queue.h"

#define SMALL_PART 8.0   /* a small batch is at most one in so many of the one it overtakes */
#define LATE_MARGIN 1.05 /* more than what the turns of the others take, LATE_SPARES */
#define LATE_MARGIN_MS 2000.0
#define LATE_ROUNDS 8
/* Forecasts are uncertain, most of all at first: a batch that seems to miss its end by less than
 * this is not given up. A late batch stays late a little longer than another takes to become
 * late. */
#define LATE_HOPE 0.75
#define LATE_STAYS 0.7

/* ---- what the rest takes ---- */

static double left_ms_of(const struct schedule *s, struct schedule_batch *b)
{
	if (b->opening != NULL && b->expires_at > s->now_s)
		return (double)opening_memo_between(&b->opening_memo, b->opening, s->now_s,
						    b->expires_at) *
		       1000;
	return ((double)b->expires_at - (double)s->now_s) * 1000;
}

/* It is outside its hours, and goes on by itself. */
static bool waits_for_hours(const struct schedule *s, struct schedule_batch *b)
{
	return b->suspended && b->opening != NULL &&
	       !opening_memo_is_open(&b->opening_memo, b->opening, s->now_s);
}

/* Seconds from now until it has been sending for so long. */
static double sent_for_s(const struct schedule *s, struct schedule_batch *b, double ms)
{
	double seconds = fmin(ceil(ms / 1000), 1e15);

	if (b->opening == NULL)
		return seconds;
	return (double)opening_memo_after(&b->opening_memo, b->opening, s->now_s,
					  (int64_t)seconds) -
	       (double)s->now_s;
}

/* Slots times milliseconds. */
static double batch_work(const struct schedule_batch *b)
{
	bool fewer = b->lines_most > 0 && b->lines_most < b->rest_lines;

	return (double)(fewer ? b->lines_most : b->rest_lines) * b->each_ms;
}

static void batch_expect(const struct schedule *s, struct schedule_batch *b)
{
	double lines = (double)(b->rest_lines + b->ended);

	b->left_ms = left_ms_of(s, b);
	b->each_ms = estimate_line_ms(s, b);
	b->alone_ms = s->slots > 0 ? batch_work(b) / s->slots : 0;
	if (b->alone_ms < b->each_ms && b->rest_lines > 0)
		b->alone_ms = b->each_ms;
	double whole_ms = s->slots > 0 ? lines * b->each_ms / s->slots : 0;
	b->effective_deadline_ms = b->expires_at * 1000 - (int64_t)fmin(whole_ms, 1e15);
}

/* ---- the order in an organization ---- */

static int by_deadline(const void *pa, const void *pb)
{
	const struct schedule_batch *a = *(struct schedule_batch *const *)pa;
	const struct schedule_batch *b = *(struct schedule_batch *const *)pb;

	if (a->in != b->in)
		return a->in->serial < b->in->serial ? -1 : 1;
	if (a->effective_deadline_ms != b->effective_deadline_ms)
		return a->effective_deadline_ms < b->effective_deadline_ms ? -1 : 1;
	return a->serial < b->serial ? -1 : 1;
}

static bool batch_overtakes(const struct schedule_batch *small, const struct schedule_batch *large)
{
	bool known = small->each_ms > 0 && large->each_ms > 0;
	double a = known ? batch_work(small) : (double)small->rest_lines;
	double b = known ? batch_work(large) : (double)large->rest_lines;
	bool lost = large->alone_ms > large->left_ms; /* whichever goes first */

	return a * SMALL_PART <= b && (lost || small->alone_ms <= large->slack_ms / 2);
}

/* `at` batches of the organization stand before it, in their order, which take `before_ms`. */
static void batch_place(struct schedule *s, size_t first, size_t at, double before_ms)
{
	struct schedule_batch *b = s->all[at];

	b->slack_ms = b->left_ms - b->alone_ms - before_ms;
	for (; at > first && batch_overtakes(b, s->all[at - 1]); at--) {
		s->all[at] = s->all[at - 1];
		s->all[at]->slack_ms -= b->alone_ms; /* the next small one finds less */
		b->slack_ms += s->all[at]->alone_ms;
	}
	s->all[at] = b;
}

/* The turn of a batch is the least deadline among those that do not stand before it: so one that
 * overtakes has that of the first that it overtook, and who comes by a deadline alone finds a place. */
static void turns_renew(struct schedule *s)
{
	const struct schedule_batch *after = NULL;

	for (size_t i = s->n; i-- > 0;) {
		struct schedule_batch *b = s->all[i];
		b->at = i;
		b->rank = i;
		b->turn_ms = b->effective_deadline_ms;
		if (after != NULL && after->in == b->in && after->turn_ms < b->turn_ms)
			b->turn_ms = after->turn_ms;
		after = b;
	}
}

/* Whom it overtakes the next forecast says. */
void forecast_place(struct schedule *s, struct schedule_batch *b)
{
	batch_expect(s, b);
	b->turn_ms = b->effective_deadline_ms;
	b->rank = UINT64_MAX / 2 + b->serial; /* behind those of the last order */
}

/* The order of the batches in their organizations: `all`. */
static void order_renew(struct schedule *s)
{
	size_t first = 0;
	double before_ms = 0;

	for (size_t i = 0; i < s->n; i++)
		batch_expect(s, s->all[i]);
	qsort(s->all, s->n, sizeof(struct schedule_batch *), by_deadline);
	for (size_t i = 0; i < s->n; i++) {
		const struct schedule_batch *b = s->all[i];
		if (b->in != s->all[first]->in) {
			first = i;
			before_ms = 0;
		}
		batch_place(s, first, i, before_ms);
		before_ms += b->suspended ? 0 : b->alone_ms;
	}
	turns_renew(s);
}

/* ---- when each one ends ---- */

static int by_virtual_end(const void *pa, const void *pb)
{
	const struct schedule_batch *a = *(struct schedule_batch *const *)pa;
	const struct schedule_batch *b = *(struct schedule_batch *const *)pb;

	if (a->virtual_end != b->virtual_end)
		return a->virtual_end < b->virtual_end ? -1 : 1;
	return a->at < b->at ? -1 : 1;
}

/* The work of those without precedence in virtual time, into `others`; the weight that they
 * have. What is suspended takes nothing from the others. */
static double others_gather(struct schedule *s, size_t *ret_n)
{
	double weight = 0;

	*ret_n = 0;
	for (struct schedule_org *o = s->orgs; o != NULL; o = o->all_next) {
		o->virtual_end = 0;
		o->last = NULL;
	}
	for (size_t i = 0; i < s->n; i++) {
		struct schedule_batch *b = s->all[i];
		struct schedule_org *o = b->in;
		if (b->late || b->suspended)
			continue;
		if (o->last == NULL)
			weight += o->weight;
		o->virtual_end += batch_work(b) / o->weight;
		b->virtual_end = o->virtual_end;
		o->last = b;
		s->others[(*ret_n)++] = b;
	}
	return weight;
}

/* finish_ms of all, those with precedence first. */
static void ends_expect(struct schedule *s)
{
	double now_ms = 0, virtual_now = 0;
	size_t n;

	for (size_t i = 0; i < s->late_n; i++) {
		now_ms += batch_work(s->late[i]) / s->slots;
		s->late[i]->finish_ms = fmax(now_ms, s->late[i]->each_ms);
	}
	double weight = others_gather(s, &n);
	qsort(s->others, n, sizeof(struct schedule_batch *), by_virtual_end);
	for (size_t i = 0; i < n; i++) {
		struct schedule_batch *b = s->others[i];
		now_ms += (b->virtual_end - virtual_now) * weight / s->slots;
		virtual_now = b->virtual_end;
		b->finish_ms = b->rest_lines > 0 ? fmax(now_ms, b->each_ms) : 0;
		if (b->in->last == b)
			weight -= b->in->weight;
	}
}

/* ---- precedence ---- */

static int by_window_end(const void *pa, const void *pb)
{
	const struct schedule_batch *a = *(struct schedule_batch *const *)pa;
	const struct schedule_batch *b = *(struct schedule_batch *const *)pb;

	if (a->expires_at != b->expires_at)
		return a->expires_at < b->expires_at ? -1 : 1;
	return a->at < b->at ? -1 : 1;
}

static bool batch_misses(const struct schedule_batch *b)
{
	return b->each_ms > 0 && b->rest_lines > 0 && !b->suspended &&
	       b->finish_ms * LATE_MARGIN + b->each_ms + LATE_MARGIN_MS > b->left_ms;
}

/* Those that miss their end as things stand, and those that have precedence already: the
 * earliest end first, each that makes its end after the ones before. A batch that does not would
 * only make others late. Returns whether any is new. */
static bool late_choose(struct schedule *s)
{
	size_t n = 0, late_before = s->late_n;
	double before_ms = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->all[i]->late || batch_misses(s->all[i]))
			s->others[n++] = s->all[i];
	qsort(s->others, n, sizeof(struct schedule_batch *), by_window_end);
	s->late_n = 0;
	for (size_t i = 0; i < n; i++) {
		struct schedule_batch *b = s->others[i];
		double need_ms = before_ms + b->alone_ms;
		need_ms = b->late_before ? need_ms * LATE_STAYS - b->each_ms : need_ms * LATE_HOPE;
		b->late = need_ms <= b->left_ms;
		if (!b->late)
			continue;
		before_ms += batch_work(b) / s->slots;
		b->late_at = s->late_n;
		s->late[s->late_n++] = b;
	}
	return s->late_n > late_before;
}

/* First by fair shares. The precedence of some makes others late in turn, which may have to go
 * before them. */
static void late_renew(struct schedule *s)
{
	bool more = true;

	s->late_n = 0;
	for (size_t i = 0; i < s->n; i++) {
		s->all[i]->late_before = s->all[i]->late && !s->all[i]->suspended;
		s->all[i]->late = false;
	}
	if (s->slots == 0)
		return;
	ends_expect(s);
	for (int round = 0; round < LATE_ROUNDS && more; round++) {
		more = late_choose(s);
		ends_expect(s);
	}
}

/* ---- the forecast ---- */

/* The time that one outside its hours will take from when they begin: alone, or beside what the
 * others have left by then. */
static void waiting_expect(struct schedule *s)
{
	double others_ms = 0, weight = 0;

	for (size_t i = 0; i < s->n; i++)
		if (!s->all[i]->suspended)
			others_ms = fmax(others_ms, s->all[i]->finish_ms);
	for (const struct schedule_org *o = s->orgs; o != NULL; o = o->all_next)
		weight += o->last != NULL ? o->weight : 0;
	for (size_t i = 0; i < s->n; i++) {
		struct schedule_batch *b = s->all[i];
		if (!waits_for_hours(s, b))
			continue;
		int64_t opens_at = opening_memo_next(&b->opening_memo, b->opening, s->now_s);
		double opens_ms = (double)(opens_at - s->now_s) * 1000;
		double beside_ms = fmax(others_ms - opens_ms, 0);
		double share = (weight + b->in->weight) / b->in->weight;
		b->finish_ms = fmin(b->alone_ms * share, b->alone_ms + beside_ms);
	}
}

/* Those with precedence that have a line; each is told how many of them stand before it. */
static unsigned late_positions(struct schedule *s)
{
	unsigned before = 0;

	for (size_t i = 0; i < s->late_n; i++) {
		s->late[i]->late_before_n = before;
		before += s->late[i]->listed;
	}
	return before;
}

static void batch_tell(const struct schedule *s, struct schedule_batch *b, bool moves,
		       unsigned before)
{
	bool known = s->slots > 0 && b->each_ms > 0;
	double left_ms = b->left_ms;
	bool goes_on = !b->suspended || waits_for_hours(s, b);
	double end_ms = goes_on ? b->finish_ms : b->alone_ms; /* at the least */
	struct schedule_forecast f = { .eta_s = -1 };

	if (b->rest_lines == 0)
		f.eta_s = 0;
	else if (moves && known && goes_on)
		f.eta_s = (int64_t)fmin(sent_for_s(s, b, b->finish_ms), 1e15);
	f.at_risk = b->rest_lines > 0 && (left_ms <= 0 || (known && end_ms > left_ms));
	f.queue_position = b->in_flight > 0 || b->spent ? 0 : before;
	b->forecast = f;
}

void schedule_forecast(struct schedule *s, double slots, int64_t now_s)
{
	const struct schedule_org *org = NULL;
	unsigned before = 0;

	s->now_s = now_s;
	if (slots > 0)
		s->slots = slots;
	if (s->n == 0)
		return;
	order_renew(s);
	late_renew(s);
	s->late_from = 0;
	for (struct schedule_org *o = s->orgs; o != NULL; o = o->all_next)
		queue_renew(s, o);
	ring_weigh(s);
	waiting_expect(s);
	unsigned late = late_positions(s);
	for (size_t i = 0; i < s->n; i++) {
		struct schedule_batch *b = s->all[i];
		if (b->in != org)
			before = late;
		org = b->in;
		batch_tell(s, b, slots > 0, b->late ? b->late_before_n : before);
		before += b->listed && !b->late;
	}
}

/* schedule.c: see schedule.h. Batches come and go, lines are given and paid for.
 *
 * A batch that is listed has a line at hand: in its window, or its cursor stands on it. So that a
 * turn never comes to nothing, and whether there is a line is known without looking. */
#include "schedule/schedule.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "schedule/estimate.h"
#include "schedule/forecast.h"
#include "schedule/orgs.h"
#include "schedule/queue.h"
#include "schedule/schedule_impl.h"
#include "schedule/window.h"

/* ---- batches ---- */

static void batch_list(struct schedule *s, struct schedule_batch *b)
{
	if (b->listed || b->held || b->suspended || b->spent)
		return;
	b->listed = true;
	queue_add(s, b->in, b);
	if (b->late && b->late_at < s->late_from)
		s->late_from = b->late_at;
	if (b->in->next == NULL)
		ring_add(s, b->in);
}

static void batch_unlist(struct schedule *s, struct schedule_batch *b)
{
	if (!b->listed)
		return;
	b->listed = false;
	queue_remove(s, b->in, b);
	if (queue_first(b->in) == NULL)
		ring_remove(s, b->in);
}

static void window_drop(struct schedule *s, struct schedule_batch *b)
{
	if (b->window != NULL) {
		assert(s->window_segments >= window_segments(b->window));
		s->window_segments -= window_segments(b->window);
	}
	window_free(TAKE(b->window));
}

/* As large as all windows together leave it; none when nothing is left, or memory is out: then the
 * rest of this segment goes in input order. */
static void window_renew(struct schedule *s, struct schedule_batch *b)
{
	window_drop(s, b);
	size_t fair = WINDOW_SEGMENTS_ALL / s->prefix_batches;
	unsigned segments = fair > WINDOW_SEGMENTS ? WINDOW_SEGMENTS
			    : fair < 1             ? 1
						   : (unsigned)fair;
	if (segments > WINDOW_SEGMENTS_ALL - s->window_segments)
		segments = WINDOW_SEGMENTS_ALL - s->window_segments;
	if (segments == 0)
		return;
	b->window = window_load(&s->ops, b, segments, ++s->window_serial);
	if (b->window != NULL)
		s->window_segments += window_segments(b->window);
}

/* In input order. The body is only looked at where another organization could get the tokens. */
static void cursor_take(struct schedule *s, struct schedule_batch *b, struct schedule_line *ret)
{
	struct line_look look;
	double tokens = estimate_input_tokens(b);

	ret->record = b->cursor.first + b->cursor.next++;
	if (s->turn->next != s->turn)
		tokens = s->ops.look(b->batch, ret->record, &look)
				 ? look.body_bytes / BYTES_PER_TOKEN
				 : 0;
	ret->input_tokens = (uint32_t)(tokens < TOKENS_MAX ? tokens : TOKENS_MAX);
	ret->cached_tokens = 0;
	ret->group = SCHEDULE_NO_GROUP;
	ret->window = 0;
}

/* Of the lane's slots, those that the organization has by its weight. */
static struct schedule_lane org_lane(const struct schedule *s, const struct schedule_org *o,
				     const struct schedule_lane *lane)
{
	struct schedule_lane share = *lane;

	share.slots = (unsigned)ceil(lane->slots * (o->weight / s->weights));
	return share;
}

static void batch_give(struct schedule *s, struct schedule_batch *b,
		       const struct schedule_lane *lane, struct schedule_line *ret)
{
	struct schedule_org *o = b->in;
	struct schedule_lane share = org_lane(s, o, lane);

	if (b->prefixes && !window_has_line(b->window))
		window_renew(s, b);
	if (window_has_line(b->window))
		window_take(b->window, &share, ret);
	else
		cursor_take(s, b, ret);
	/* one that cannot be read will not be answered either */
	double tokens = ret->input_tokens == 0 ? 1
					       : ret->input_tokens + estimate_output_tokens(s, b);
	tokens = tokens < 1 ? 1 : tokens < TOKENS_MAX ? tokens : TOKENS_MAX;
	ret->batch = b;
	ret->tokens = (uint32_t)tokens;
	org_fly(s, o, ret->tokens);
	b->in_flight_tokens += ret->tokens;
	b->in_flight++;
	if (!window_has_line(b->window) && !cursor_peek(&s->ops, b)) {
		b->spent = true;
		window_drop(s, b);
		batch_unlist(s, b);
	}
}

/* ---- turns ---- */

/* The first of those with precedence that has a line, unless this turn is one of the others'. */
static struct schedule_batch *late_next(struct schedule *s)
{
	for (; s->late_from < s->late_n; s->late_from++) {
		struct schedule_batch *b = s->late[s->late_from];
		s->visits++;
		if (b != NULL && b->listed)
			return ++s->late_turns % LATE_SPARES == 0 ? NULL : b;
	}
	return NULL;
}

static struct schedule_batch *turn_next(struct schedule *s)
{
	struct schedule_batch *b = late_next(s);

	return b != NULL ? b : queue_first(org_next(s));
}

bool schedule_next(struct schedule *s, const struct schedule_lane *lane, int64_t now_s,
		   struct schedule_line *ret)
{
	if (s->turn == NULL)
		return false;
	s->now_s = now_s;
	batch_give(s, turn_next(s), lane, ret);
	return true;
}

bool schedule_has_line(const struct schedule *s)
{
	return s->turn != NULL;
}

bool schedule_has_prefixes(const struct schedule *s)
{
	return s->prefix_batches > 0;
}

/* ---- lines come back ---- */

void schedule_ended(struct schedule *s, const struct schedule_line *l, double took_ms,
		    uint64_t tokens)
{
	struct schedule_batch *b = l->batch;
	double used = tokens < (uint64_t)TOKENS_MAX ? (double)tokens : TOKENS_MAX;
	/* Where answers tell their tokens, one that does not is a failure. */
	bool answered = tokens > 0 || (took_ms > 0 && b->output_tokens == 0);

	window_back(b->window, l, answered);
	assert(b->in_flight > 0 && b->in != NULL);
	b->in_flight--;
	b->in_flight_tokens -= l->tokens;
	org_fly(s, b->in, -(double)l->tokens);
	org_pay(s, b->in, tokens > 0 ? used : l->tokens);
	if (b->rest_lines > 0) {
		b->rest_bytes -= b->rest_bytes / b->rest_lines;
		b->rest_lines--;
	}
	b->ended++;
	s->ended++;
	estimate_learn(s, l, took_ms, used);
}

void schedule_put_off(struct schedule *s, struct schedule_line *l)
{
	(void)s;
	window_back(l->batch->window, l, false);
	l->group = SCHEDULE_NO_GROUP;
	l->cached_tokens = 0;
}

/* ---- batches come and go ---- */

static void room_make(struct schedule *s)
{
	if (s->n < s->cap)
		return;
	size_t cap = s->cap == 0 ? 16 : 2 * s->cap;
	struct schedule_batch ***arrays[] = { &s->all, &s->others, &s->late };
	for (size_t i = 0; i < ARRAY_LEN(arrays); i++) {
		struct schedule_batch **larger = must_calloc(cap, sizeof(struct schedule_batch *));
		if (s->n > 0)
			memcpy(larger, *arrays[i], s->n * sizeof(struct schedule_batch *));
		free(*arrays[i]);
		*arrays[i] = larger;
	}
	s->cap = cap;
}

void schedule_add(struct schedule *s, struct schedule_batch *b)
{
	room_make(s);
	b->in = org_get(s, b->org);
	org_weigh(s, b->in, b->org_weight > 0 ? b->org_weight : 1);
	b->in->batches++;
	queue_reserve(b->in);
	b->serial = s->serials++;
	b->at = s->n;
	s->all[s->n++] = b;
	s->visits++;
	s->prefix_batches += b->prefixes;
	forecast_place(s, b);
	b->spent = !cursor_peek(&s->ops, b);
	batch_list(s, b);
}

void schedule_remove(struct schedule *s, struct schedule_batch *b)
{
	struct schedule_org *o = b->in;

	if (o == NULL)
		return;
	assert(b->at < s->n && s->all[b->at] == b);
	batch_unlist(s, b);
	window_drop(s, b);
	assert(s->prefix_batches >= b->prefixes);
	s->prefix_batches -= b->prefixes;
	org_fly(s, o, -b->in_flight_tokens);
	org_pay(s, o, b->in_flight_tokens);
	struct schedule_batch *last = s->all[--s->n];
	s->all[b->at] = last;
	last->at = b->at;
	s->visits++;
	if (b->late)
		s->late[b->late_at] = NULL;
	b->late = false;
	b->in = NULL;
	assert(o->batches > 0);
	if (--o->batches == 0)
		org_free(s, o);
}

void schedule_hold(struct schedule *s, struct schedule_batch *b, bool held)
{
	if (b->in == NULL)
		return;
	b->held = held;
	if (held)
		batch_unlist(s, b);
	else
		batch_list(s, b);
}

void schedule_suspend(struct schedule *s, struct schedule_batch *b, bool suspended)
{
	b->suspended = suspended;
	if (b->in == NULL)
		return;
	if (suspended)
		batch_unlist(s, b);
	else
		batch_list(s, b);
}

/* No line of the batch was at hand, for want of what comes back: descriptors, memory. */
static void batch_look_again(struct schedule *s, struct schedule_batch *b)
{
	if (!b->spent || !b->cursor.later)
		return;
	b->spent = !cursor_peek(&s->ops, b);
	batch_list(s, b);
}

void schedule_look_again(struct schedule *s)
{
	for (size_t i = 0; i < s->n; i++)
		batch_look_again(s, s->all[i]);
}

bool schedule_expects(const struct schedule *s, const struct schedule_batch *b, double *ret)
{
	*ret = estimate_output_tokens(s, b);
	return s->output_tokens != 0;
}

size_t schedule_batches_of(const struct schedule *s, const char *org)
{
	const struct schedule_org *o = org_find(s, org);

	return o != NULL ? o->batches : 0;
}

void schedule_each(struct schedule *s, void (*each)(void *ctx, struct schedule_batch *b), void *ctx)
{
	for (size_t i = 0; i < s->n; i++)
		each(ctx, s->all[i]);
}

struct schedule *schedule_open(const struct schedule_ops *ops)
{
	struct schedule *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->ops = *ops;
	s->weight_max = 1;
	return s;
}

void schedule_close(struct schedule *s)
{
	if (s == NULL)
		return;
	free(s->buckets);
	free(s->all);
	free(s->others);
	free(s->late);
	free(s);
}

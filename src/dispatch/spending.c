/* spending.c: see spending.h. */
#include "dispatch/spending.h"

#include <assert.h>

#include "base/json.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/flow_impl.h"
#include "dispatch/line.h"
#include "dispatch/model.h"
#include "dispatch/thread.h"

#define BYTES_PER_TOKEN 4u
#define NOT_SAID UINT64_MAX

void spending_begin(struct spending *s, uint64_t budget, uint64_t spent)
{
	*s = (struct spending){ .budget = budget, .spent = spent };
}

/* ---- what a line may take ---- */

/* Of an answer, by the body's own words: the most of those that endpoints know. */
static uint64_t body_tokens_max(struct slice body)
{
	uint64_t most = NOT_SAID, n;
	struct slice key, value;
	struct json j;

	json_init(&j, body);
	if (json_next(&j) != JSON_OBJECT)
		return NOT_SAID;
	while (json_member(&j, &key)) {
		bool named = json_key_is(key, "max_tokens") ||
			     json_key_is(key, "max_completion_tokens") ||
			     json_key_is(key, "max_output_tokens");
		if (!json_skip(&j, &value))
			break;
		if (named && json_whole(value, &n) && (most == NOT_SAID || n > most))
			most = n;
	}
	return most;
}

static uint64_t line_expects(const struct line *l, struct slice body, unsigned units)
{
	const struct flow *f = l->flow;
	uint64_t prompt = body.n / BYTES_PER_TOKEN + 1, most = body_tokens_max(body);
	double output;

	if (most != NOT_SAID)
		most = most < UINT32_MAX ? most * units : UINT32_MAX;
	if (!schedule_expects(f->model->schedule, &f->entry, &output))
		return most != NOT_SAID ? prompt + most : NOT_SAID;
	if (most != NOT_SAID && output > (double)most)
		output = (double)most;
	double tokens = (double)prompt + output;
	return tokens > 1 ? (uint64_t)tokens : 1;
}

/* ---- flows that wait ---- */

static void flow_stop(struct flow *f)
{
	struct spending *s = f->spending;

	if (f->spent_up)
		return;
	f->spent_up = true;
	f->next_spent_up = s->waiting;
	s->waiting = f;
	flow_hold(f, f->probed);
}

void spending_leave(struct flow *f)
{
	struct flow **at = f->spent_up ? &f->spending->waiting : NULL;

	if (at == NULL)
		return;
	while (*at != f)
		at = &(*at)->next_spent_up;
	*at = f->next_spent_up;
	f->spent_up = false;
}

/* Lines of the flow that were put off are due, as far as there is room. False: some wait on. */
static bool lines_release(struct flow *f, uint64_t *room, uint64_t now_ms)
{
	bool all = true;

	for (struct line *l = f->lines; l != NULL && !f->entry.suspended; l = l->next) {
		if (l->retry.place == RETRY_OUT || l->retry.due_ms != RETRY_PARKED)
			continue;
		if (l->wants > *room) {
			all = false;
			continue;
		}
		*room -= l->wants;
		retry_move(&f->model->retry, &l->retry, now_ms);
	}
	return all;
}

/* What may fit now is asked again, and then whether new lines do. While others are in flight, their
 * ends come, too: a line that is expected to take more than is left then need not be read again. */
static void flows_release(struct spending *s)
{
	uint64_t now_ms = sys.monotonic_ms(), taken = s->spent + s->expected;
	uint64_t room = s->budget > taken ? s->budget - taken : 0;

	if (s->in_flight == 0)
		room = UINT64_MAX;
	for (struct flow *f = s->waiting, *next; f != NULL; f = next) {
		next = f->next_spent_up;
		if (!lines_release(f, &room, now_ms))
			continue;
		spending_leave(f);
		flow_hold(f, f->probed);
	}
}

/* ---- lines ---- */

bool spending_admits(struct dispatch *d, struct line *l, struct slice body, unsigned units)
{
	struct spending *s = l->flow->spending;

	assert(on_dispatch_thread() && l->expected == 0);
	if (s == NULL)
		return true;
	uint64_t expected = line_expects(l, body, units), taken = s->spent + s->expected;
	bool alone = expected == NOT_SAID;
	if (alone)
		expected = body.n / BYTES_PER_TOKEN + 1;
	if (!s->over && taken + expected <= s->budget && (!alone || s->in_flight == 0)) {
		l->expected = expected;
		s->expected += expected;
		s->in_flight++;
		return true;
	}
	l->wants = alone ? 0 : expected;
	bool over = s->in_flight == 0 && !s->over;
	s->over = s->over || over;
	flow_stop(l->flow);
	line_wait(l, RETRY_PARKED);
	if (over)
		d->ops.spent(l->flow->owner);
	return false;
}

void spending_took(const struct line *l, uint64_t tokens)
{
	if (l->flow->spending != NULL)
		l->flow->spending->spent += tokens > 0 ? tokens : l->scheduled.tokens;
}

void spending_back(struct line *l)
{
	struct spending *s = l->flow->spending;

	if (s == NULL || l->expected == 0)
		return;
	assert(s->in_flight > 0 && s->expected >= l->expected);
	s->expected -= l->expected;
	s->in_flight--;
	l->expected = 0;
	if (!s->over)
		flows_release(s);
}

uint64_t spending_lines(const struct flow *f)
{
	const struct spending *s = f->spending;
	const struct schedule_batch *b = &f->entry;
	double output;

	if (s == NULL || b->rest_lines == 0 || !schedule_expects(f->model->schedule, b, &output))
		return 0;
	double each = (double)b->rest_bytes / (double)b->rest_lines / BYTES_PER_TOKEN + output;
	double left = s->budget > s->spent ? (double)(s->budget - s->spent) : 0;
	double lines = each > 1 ? left / each : left;
	return lines < 1 ? 1 : lines < (double)b->rest_lines ? (uint64_t)lines : 0;
}

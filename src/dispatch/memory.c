/* memory.c: see memory.h. */
#include "dispatch/memory.h"

#include <assert.h>

#include "client/client.h"
#include "dispatch/thread.h"
#include "upstream/slots.h"

#define ANSWER_UNKNOWN_BYTES (16u << 10) /* of a model of which none has come yet */
#define KEPT_SHARE 4u /* idle buffers are kept while no more than one in so many bytes is in use */
#define KEPT_BYTES (64u << 10) /* larger ones are not kept for the next line */
#define LARGER_COUNTS (1.0 / 4)
#define SMALLER_COUNTS (1.0 / 32)

static void on_room(void *ctx)
{
	client_wake(ctx);
}

void memory_open(struct memory *m, struct budget *budget, uint64_t answer_bytes_max,
		 const struct slots *slots, struct client *client)
{
	m->budget = budget;
	m->requests = budget_use(budget, BUDGET_REQUESTS);
	m->answers = budget_use(budget, BUDGET_ANSWERS);
	m->answer_bytes_max = answer_bytes_max;
	m->slots = slots;
	m->paused_end = &m->paused;
	if (budget != NULL)
		budget_waiter(budget, on_room, client);
}

/* ---- buffers ---- */

static struct buf answer_new(const struct memory *m)
{
	return BUF_OF(m->answer_bytes_max, m->answers);
}

void memory_line_open(struct memory_line *l, struct memory *m, struct exchange *x)
{
	l->of = m;
	l->exchange = x;
	l->request = BUF_OF(INT32_MAX, m->requests);
	l->answer = answer_new(m);
	budget_charge(m->requests, EXCHANGE_BYTES);
}

void memory_line_close(struct memory_line *l)
{
	assert(l->promised == 0 && !l->paused);
	buf_free(&l->request);
	buf_free(&l->answer);
	budget_give(l->of->requests, EXCHANGE_BYTES);
}

struct buf memory_answer_take(struct memory_line *l)
{
	struct buf answer = l->answer;

	l->answer = answer_new(l->of);
	return answer;
}

/* Whether there is so much that idle buffers may stay. */
static bool memory_keeps(const struct memory *m)
{
	const struct budget *b = m->budget;

	return b == NULL || b->limit == 0 || b->bytes < b->limit / KEPT_SHARE;
}

static void buffer_reuse(const struct memory *m, struct buf *b)
{
	buf_clear(b);
	if (b->cap > KEPT_BYTES || !memory_keeps(m))
		buf_free(b);
}

/* ---- before a line is sent ---- */

static uint64_t answer_expected(double answer_bytes)
{
	return answer_bytes > 0 ? (uint64_t)answer_bytes : ANSWER_UNKNOWN_BYTES;
}

bool memory_has(const struct memory *m, double answer_bytes)
{
	return budget_has(m->answers, answer_expected(answer_bytes) + EXCHANGE_BYTES, m->promised);
}

void memory_await(const struct memory *m)
{
	budget_await(m->budget);
}

void memory_promise(struct memory_line *l, double answer_bytes)
{
	assert(on_dispatch_thread() && l->promised == 0);
	l->promised = answer_expected(answer_bytes);
	l->of->promised += l->promised;
}

double memory_mean(double mean, size_t answer_bytes)
{
	double more = (double)answer_bytes - mean;
	double weight = mean == 0 ? 1 : more > 0 ? LARGER_COUNTS : SMALLER_COUNTS;

	return mean + more * weight;
}

/* ---- while its answer arrives ---- */

static void promise_end(struct memory_line *l)
{
	assert(l->of->promised >= l->promised);
	l->of->promised -= l->promised;
	l->promised = 0;
}

/* What is answered and not durable yet gives its room back by itself. */
static bool others_end(const struct memory *m)
{
	return slots_unrecorded(m->slots) > 0;
}

static bool may_go_alone(struct memory_line *l)
{
	struct memory *m = l->of;

	if (m->alone == NULL && !others_end(m))
		m->alone = l;
	return m->alone == l;
}

/* All of it, if its head says how much that is: then it is not moved as it grows. */
static size_t answer_rest(const struct memory_line *l, size_t piece)
{
	if (l->answer.n > 0)
		return piece;
	uint64_t length = exchange_length(l->exchange);
	return length > piece && length <= l->answer.max ? (size_t)length : piece;
}

static void answer_pause(struct memory_line *l)
{
	struct memory *m = l->of;

	assert(!l->paused);
	l->paused = true;
	l->next_paused = NULL;
	*m->paused_end = l;
	m->paused_end = &l->next_paused;
}

bool memory_take(struct memory_line *l, size_t piece)
{
	assert(on_dispatch_thread());
	if (piece <= l->answer.cap - l->answer.n)
		return true;
	size_t bytes = answer_rest(l, piece);
	if (l->promised > 0)
		promise_end(l);
	if (buf_try_reserve(&l->answer, bytes))
		return true;
	if (may_go_alone(l)) {
		(void)buf_reserve(&l->answer, bytes);
		return true;
	}
	answer_pause(l);
	return false;
}

/* ---- when there may be room again ---- */

static void paused_remove(struct memory *m, struct memory_line *l)
{
	struct memory_line **link = &m->paused;

	assert(l->paused);
	while (*link != l)
		link = &(*link)->next_paused;
	*link = l->next_paused;
	if (*link == NULL)
		m->paused_end = link;
	l->paused = false;
}

/* The longest paused first. One that still finds no room pauses again, behind the others. */
void memory_resume(struct memory *m)
{
	bool room = true;

	assert(on_dispatch_thread());
	if (m->paused == NULL)
		return;
	memory_await(m);
	while (room && m->paused != NULL) {
		struct memory_line *l = m->paused;

		paused_remove(m, l);
		exchange_resume(l->exchange);
		room = !l->paused;
	}
}

void memory_line_over(struct memory_line *l)
{
	struct memory *m = l->of;

	assert(on_dispatch_thread());
	promise_end(l);
	if (l->paused)
		paused_remove(m, l);
	if (m->alone == l)
		m->alone = NULL;
	buffer_reuse(m, &l->request);
	buffer_reuse(m, &l->answer);
}

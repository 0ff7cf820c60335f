/* memory.c: what batch lines take of the memory budget (base/budget.h). Back-pressure, and no line lost:
 *
 *	no room for one more answer     nothing new is sent
 *	no room for what arrives        the answer is not read on; its sender waits in the socket
 *
 * How large an answer will be is known from those of its model; so much is promised to a line when it is
 * sent, until its answer begins. Where that was too little, or nothing was known, many answers may be
 * half there and none have room to end. Then one of them goes on whatever the budget says, and the next
 * when it is durable: so what is over the budget is one answer. */
#include <stdlib.h>

#include "base/sys.h"
#include "dispatch/dispatch_impl.h"

#define ANSWER_UNKNOWN_BYTES (16u << 10) /* of a model of which none has come yet */
#define KEPT_SHARE 4u /* idle buffers are kept while no more than one in so many bytes is in use */
#define LARGER_COUNTS (1.0 / 4)
#define SMALLER_COUNTS (1.0 / 32)

static void on_room(void *ctx)
{
	client_wake(((struct dispatch *)ctx)->client);
}

void memory_open(struct dispatch *d)
{
	struct budget *budget = d->config.budget;
	d->memory.requests = budget_use(budget, BUDGET_REQUESTS);
	d->memory.answers = budget_use(budget, BUDGET_ANSWERS);
	d->memory.paused_end = &d->memory.paused;
	if (budget != NULL)
		budget_waiter(budget, on_room, d);
}

/* ---- transfers ---- */

void memory_transfer_new(struct dispatch *d, struct line_transfer *t)
{
	t->memory = &d->memory;
	t->request = BUF_OF(INT32_MAX, d->memory.requests);
	t->answer = BUF_OF(d->config.response_bytes_max, d->memory.answers);
	budget_charge(d->memory.requests, EXCHANGE_BYTES);
}

void memory_transfer_free(struct line_transfer *t)
{
	buf_free(&t->request);
	buf_free(&t->answer);
	if (t->memory != NULL)
		budget_give(t->memory->requests, EXCHANGE_BYTES);
}

bool memory_keeps(const struct memory *m)
{
	const struct budget *b = m->requests != NULL ? m->requests->of : NULL;
	return b == NULL || b->limit == 0 || b->bytes < b->limit / KEPT_SHARE;
}

/* Those that are not in use. */
static void transfers_trim(struct dispatch *d)
{
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next)
		while (target_of(u)->free_transfers != NULL) {
			struct line_transfer *t = target_of(u)->free_transfers;
			target_of(u)->free_transfers = t->next_free;
			line_transfer_free(t);
		}
}

/* ---- before a line is sent ---- */

static uint64_t answer_expected(const struct model *m)
{
	return m->answer_bytes > 0 ? (uint64_t)m->answer_bytes : ANSWER_UNKNOWN_BYTES;
}

bool memory_for_line(struct dispatch *d, struct model *m)
{
	uint64_t bytes = answer_expected(m) + EXCHANGE_BYTES;
	m->no_memory = !budget_has(d->memory.answers, bytes, d->memory.promised);
	if (m->no_memory) {
		transfers_trim(d);
		budget_await(d->config.budget);
		m->no_memory = !budget_has(d->memory.answers, bytes, d->memory.promised);
	}
	return !m->no_memory;
}

void memory_promise(struct line_transfer *t, const struct model *m)
{
	t->promised = answer_expected(m);
	t->memory->promised += t->promised;
}

void memory_learn(struct model *m, size_t answer_bytes)
{
	double more = (double)answer_bytes - m->answer_bytes;
	double weight = m->answer_bytes == 0 ? 1 : more > 0 ? LARGER_COUNTS : SMALLER_COUNTS;
	m->answer_bytes += more * weight;
}

/* ---- while its answer arrives ---- */

static void promise_end(struct line_transfer *t)
{
	t->memory->promised -= t->promised;
	t->promised = 0;
}

/* What is answered and not durable yet gives its room back by itself. */
static bool others_end(const struct memory *m)
{
	return slots_unrecorded(&container_of(m, const struct dispatch, memory)->slots) > 0;
}

static bool may_go_alone(struct line_transfer *t)
{
	struct memory *m = t->memory;
	if (m->alone == NULL && !others_end(m))
		m->alone = t;
	return m->alone == t;
}

/* All of it, if its head says how much that is: then it is not moved as it grows. */
static size_t answer_rest(const struct line_transfer *t, size_t piece)
{
	if (t->answer.n > 0)
		return piece;
	uint64_t length = exchange_length(&t->transfer.exchange);
	return length > piece && length <= t->answer.max ? (size_t)length : piece;
}

static void answer_pause(struct line_transfer *t)
{
	struct memory *m = t->memory;
	t->paused = true;
	t->next_paused = NULL;
	*m->paused_end = t;
	m->paused_end = &t->next_paused;
}

bool memory_take(struct line_transfer *t, size_t piece)
{
	if (piece <= t->answer.cap - t->answer.n)
		return true;
	size_t bytes = answer_rest(t, piece);
	if (t->promised > 0)
		promise_end(t);
	if (buf_try_reserve(&t->answer, bytes))
		return true;
	if (may_go_alone(t)) {
		(void)buf_reserve(&t->answer, bytes);
		return true;
	}
	answer_pause(t);
	return false;
}

/* ---- when there may be room again ---- */

static struct line_transfer *paused_take(struct memory *m)
{
	struct line_transfer *t = m->paused;
	m->paused = t->next_paused;
	if (m->paused == NULL)
		m->paused_end = &m->paused;
	t->paused = false;
	return t;
}

static void paused_remove(struct memory *m, struct line_transfer *t)
{
	struct line_transfer **link = &m->paused;
	while (*link != t)
		link = &(*link)->next_paused;
	*link = t->next_paused;
	if (*link == NULL)
		m->paused_end = link;
	t->paused = false;
}

/* The longest paused first. One that still finds no room pauses again, behind the others. */
void memory_resume(struct dispatch *d)
{
	struct memory *m = &d->memory;
	bool room = true;
	if (m->paused == NULL)
		return;
	budget_await(d->config.budget);
	while (room && m->paused != NULL) {
		struct line_transfer *t = paused_take(m);
		exchange_resume(&t->transfer.exchange);
		room = !t->paused;
	}
}

void memory_line_over(struct line_transfer *t)
{
	struct memory *m = t->memory;
	promise_end(t);
	if (t->paused)
		paused_remove(m, t);
	if (m->alone == t)
		m->alone = NULL;
}

/* attempt.c: see attempt.h. */
#include "dispatch/attempt.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/log.h"
#include "base/sys.h"
#include "batch/weight.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/flow_impl.h"
#include "dispatch/lane.h"
#include "dispatch/learn.h"
#include "dispatch/line.h"
#include "dispatch/line_transfer.h"
#include "dispatch/progress.h"
#include "dispatch/spending.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"
#include "trace/tracer.h"

#define READ_AGAIN_MS 4u
#define BODY_BYTES_PER_TOKEN 4.0 /* as the schedule counts the tokens of a body */

static uint32_t random_u32(void)
{
	uint32_t r;

	random_bytes(&r, sizeof(r));
	return r;
}

/* ---- what the client tells ---- */

static enum exchange_taken line_body(struct exchange *x, struct slice piece)
{
	struct line_transfer *t = line_transfer_of(x);
	struct buf *answer = &t->memory.answer;

	if (answer->n + piece.n > answer->max)
		return EXCHANGE_REFUSED;
	if (!memory_take(&t->memory, piece.n))
		return EXCHANGE_PAUSED;
	buf_add(answer, piece);
	return answer->failed ? EXCHANGE_REFUSED : EXCHANGE_TAKEN; /* see line_put_back() */
}

/* It is sent once more. */
static void line_count_again(struct line *l)
{
	l->trials.sent++;
	l->retried++;
	l->flow->retried++;
}

/* The client may send a request again by itself. */
static void line_goes_out(struct exchange *x)
{
	if (x->sent > 1)
		line_count_again(line_transfer_of(x)->line);
}

/* A connection may have taken longer than the lease of this node runs. */
static bool line_may_go(struct exchange *x)
{
	struct line_transfer *t = line_transfer_of(x);

	t->lapsed = !driven_may_send(&t->transfer.dispatch->driven);
	return !t->lapsed;
}

static void line_done(struct exchange *x, const struct exchange_result *r);
static const struct exchange_ops line_ops = {
	.may_go = line_may_go,
	.sent = line_goes_out,
	.body = line_body,
	.done = line_done,
};

/* ---- sending ---- */

/* The batch's input cannot be read: it gets no more turns, and its owner is told. */
static void line_fault(struct dispatch *d, struct line *l, const struct error *err)
{
	struct flow *f = l->flow;

	schedule_hold(f->model->schedule, &f->entry, true);
	schedule_ended(f->model->schedule, &l->scheduled, 0, 0);
	f->faulted = true;
	line_free(l);
	d->ops.fault(f->owner, err);
}

/* Contract 8.2: the one exception from "as they stand". It is put first: a `priority` that the line
 * has itself comes later, and so counts. The line's own bytes stay where they are. */
static bool priority_add(const struct upstream *u, struct line_transfer *t)
{
	size_t id_at = (size_t)(t->text.custom_id.p - t->memory.request.p);
	size_t body_at = (size_t)(t->text.body.p - t->memory.request.p), n = t->text.body.n;
	char member[48];
	int length = snprintf(member, sizeof(member), "{\"priority\":%d", u->config.priority);

	if (!buf_reserve(&t->memory.request, n + (size_t)length + 1))
		return false;
	const char *body = t->memory.request.p + body_at;
	size_t next = 1 + strspn(body + 1, " \t\r\n"); /* a body is an object: it ends in a brace */
	size_t at = t->memory.request.n;
	buf_append(&t->memory.request, member, (size_t)length);
	if (body[next] != '}')
		buf_char(&t->memory.request, ',');
	buf_append(&t->memory.request, body + 1, n - 1);
	t->text.custom_id.p = t->memory.request.p + id_at;
	t->text.body = (struct slice){ t->memory.request.p + at, t->memory.request.n - at };
	return true;
}

/* A probe that is not answered at all must not keep the next one back for long, and its upstream
 * may have moved. What was tried once goes on a connection of its own: kept ones may all be
 * dead. */
static bool line_start(struct line_transfer *t, const struct line *l)
{
	const struct upstream *u = t->transfer.upstream;

	t->lapsed = false;
	if (u->config.has_priority && !priority_add(u, t))
		return false;
	const struct exchange_request rq = {
		.body = t->text.body, /* as priority_add() leaves it */
		.fresh = l->trials.fresh,
		.look_up = l->slot.probe,
		.hasty = l->slot.probe,
		.timeout_ms = l->flow->line_timeout_ms,
		.header = span_header(l->spans.attempt),
	};
	return line_transfer_url(t, l->flow->endpoint) &&
	       exchange_start(&t->transfer.exchange, &rq);
}

/* It is one of those that are traced. */
static void line_trace(struct dispatch *d, struct line *l, const struct lane *lane)
{
	const struct flow *f = l->flow;

	line_spans_send(&l->spans, d->config.tracer,
			&(struct line_sending){ .batch = &f->trace,
						.batch_id = f->id,
						.endpoint = f->endpoint,
						.model = lane->model->name,
						.record = l->scheduled.record,
						.number = l->trials.sent + 1,
						.upstream = lane->upstream });
}

static void line_sent(struct lane *lane, struct line *l, uint64_t now_ms)
{
	struct upstream *u = lane->upstream;

	if (l->trials.sent == 0)
		l->trials.sent = 1;
	else
		line_count_again(l);
	lane->sent_ms = now_ms;
	upstream_sent(u, l->scheduled.tokens, now_ms);
	slot_take(&l->slot, now_ms);
}

/* Its bytes are on their way (blob_hurry()), mostly for some milliseconds; else the storage is away. */
static void read_again(struct line *l)
{
	unsigned ms = l->again_ms > 0 ? 2u * l->again_ms : READ_AGAIN_MS;

	l->again_ms = ms < SEND_AGAIN_MS ? ms : SEND_AGAIN_MS;
}

bool line_send(struct dispatch *d, struct lane *lane, struct line *l)
{
	struct upstream *u = lane->upstream;
	struct error err;
	struct line_transfer *t = line_transfer_take(d, u, &line_ops);

	assert(on_dispatch_thread());
	if (t == NULL)
		return false;
	buf_clear(&t->memory.request);
	if (!d->ops.line_read(l->flow->owner, l->scheduled.record, &t->memory.request, &t->text,
			      &err)) {
		line_transfer_give(t);
		if (err.sys == EAGAIN)
			read_again(l);
		if (error_may_pass(&err))
			return false;
		line_fault(d, l, &err);
		return true;
	}
	t->line = l;
	assert(l->slot.state == SLOT_FREE);
	unsigned units = body_units(t->text.body, l->flow->endpoint, t->text.inputs);
	if (!spending_admits(d, l, t->text.body, units)) {
		line_transfer_give(t);
		return true; /* it waits */
	}
	l->slot = (struct slot){ .lane = &lane->slots,
				 .batch = &l->flow->slots,
				 .probe = lane_open_circuit(lane),
				 .alone = l->retry.goes_alone,
				 .units = units };
	l->up = breaker_is_up(&lane->circuit.breaker) && breaker_is_up(&u->circuit.breaker);
	if (l->flow->trace.sampled && tracer_samples(d->config.tracer, l->scheduled.record))
		line_trace(d, l, lane);
	if (!line_start(t, l)) {
		spending_back(l);
		line_spans_unsend(&l->spans);
		line_transfer_give(t);
		return false;
	}
	memory_promise(&t->memory, lane->model->answer_bytes);
	l->transfer = t;
	l->lane = lane;
	l->mark = limit_batch_sent(lane->limit, units, sys.monotonic_us());
	line_sent(lane, l, l->mark.sent_us / 1000);
	return true;
}

/* ---- the end of an attempt ---- */

/* Takes the transfer off the line; the client is done with it, or lets go of it here. */
static void line_detach(struct line *l)
{
	struct line_transfer *t = l->transfer;

	if (t->transfer.exchange.under_way)
		exchange_stop(&t->transfer.exchange); /* the upstream sees it */
	l->transfer = NULL;
	spending_back(l);
	slot_answered(&l->slot);
}

/* A line's end. Its answer's bytes, where there are some, are those of its last attempt. */
struct line_end {
	const struct attempt_end *attempt;
	const struct judgement *judgement;
};

static void outcome_fill(struct line *l, struct line_transfer *t, const struct line_end *e,
			 struct outcome *o)
{
	struct model *m = l->flow->model;

	o->attempts = l->trials.sent;
	o->fault = e->judgement->fault;
	o->message = e->judgement->message;
	if (e->attempt->how != EXCHANGE_WHOLE)
		return;
	o->http_status = e->attempt->status;
	(void)slice_copy(exchange_header(&t->transfer.exchange, "x-request-id"), o->request_id,
			 sizeof(o->request_id));
	if (e->attempt->facts != NULL) {
		o->scanned = true;
		o->facts = *e->attempt->facts;
	}
	m->answer_bytes = memory_mean(m->answer_bytes, t->memory.answer.n);
	o->body = memory_answer_take(&t->memory);
}

static void line_end(struct dispatch *d, struct line *l, struct line_transfer *t,
		     const struct line_end *e)
{
	struct outcome *o = outcome_new(l->flow->owner, l->scheduled.record, t->text.custom_id);

	if (o == NULL) {
		/* no memory to say how it ended: it is sent again */
		slot_drop(&l->slot);
		line_wait(l, e->attempt->ended_us / 1000 + 1000);
		return;
	}
	outcome_fill(l, t, e, o);
	if (o->fault == OUTCOME_ANSWERED && o->http_status < 300)
		spending_took(l, e->attempt->tokens.input + e->attempt->tokens.output);
	o->slot = slot_hand_on(&l->slot);
	o->flow = l->flow;
	l->flow->ended++;
	schedule_ended(l->flow->model->schedule, &l->scheduled,
		       (double)(e->attempt->ended_us - e->attempt->sent_us) / 1000,
		       e->attempt->tokens.input + e->attempt->tokens.output);
	if (e->attempt->tokens.input > 0)
		model_learn(l->flow->model, l->scheduled.input_tokens * BODY_BYTES_PER_TOKEN,
			    e->attempt->tokens.input, e->attempt->tokens.output);
	line_spans_end(&l->spans, e->attempt, o->fault, o->attempts);
	line_free(l);
	d->ops.ended(d->ctx, o);
}

/* What the concurrency limit is told of the end of an attempt. One that was sent alone after a
 * pause, and refused, says that the server is full of others' requests, or closed: not that ours
 * are too many. */
static void line_limit_learn(struct line *l, const struct attempt_end *e, enum blame blame,
			     size_t body_bytes)
{
	const struct upstream *u = l->lane->upstream;
	struct limit *limit = l->lane->limit;
	bool finds_out = throttle_finds_out(&u->throttle, e->sent_us / 1000) &&
			 slots_in_flight(&u->slots) == 0;

	if (blame == BLAME_NOBODY)
		limit_batch_answered(limit, &l->mark,
				     &(struct limit_answer){ .prompt_tokens = e->tokens.input,
							     .output_tokens = e->tokens.output,
							     .body_bytes = body_bytes },
				     e->ended_us);
	else if (blame == BLAME_THROTTLED && !finds_out)
		limit_batch_refused(limit, &l->mark, e->ended_us);
	else
		limit_batch_gone(limit, &l->mark, e->ended_us);
}

/* A death may be the line's doing (trials.h): when its connection breaks among others', or it was
 * sent as a probe to an engine that had just said that it was well. */
static void death_note(struct line *l, const struct attempt_end *e, bool open)
{
	const struct lane *lane = l->lane;

	l->trials.broke = e->how == EXCHANGE_BROKEN && !l->slot.probe;
	l->trials.broke_trip = lane->circuit.breaker.trips + lane->upstream->circuit.breaker.trips -
			       open;
	if (e->how == EXCHANGE_BROKEN && l->slot.probe && l->up)
		l->trials.deaths++;
}

static enum batch_stall stall_of_blame(enum blame blame)
{
	switch (blame) {
	case BLAME_THROTTLED:
		return STALL_THROTTLED;
	case BLAME_OPERATOR:
	case BLAME_PATH:
		return STALL_REFUSED;
	case BLAME_NOBODY:
	case BLAME_LINE:
		return STALL_NONE;
	default:
		return STALL_DOWN;
	}
}

static void line_again(struct line *l, const struct attempt_end *e, enum blame blame,
		       uint64_t due_ms)
{
	struct flow *f = l->flow;

	if (f->failed_text == NULL)
		f->failed_text = calloc(1, FAILED_TEXT_BYTES); /* without memory it is not said */
	if (f->failed_text != NULL)
		attempt_words(e, l->lane->upstream->config.api_key, f->failed_text,
			      FAILED_TEXT_BYTES);
	f->failed_as = stall_of_blame(blame);
	f->failed_at = sys.now_s();
	l->retry.avoid = l->lane->upstream->number;
	slot_drop(&l->slot);
	l->retry.for_operator = blame == BLAME_OPERATOR || blame == BLAME_PATH;
	line_wait(l, due_ms);
	/* While nothing flows it has had its probe: other batches first. */
	if (f->model->stall >= STALL_DOWN && !f->probed)
		flow_hold(f, true);
	if (slots_held(&f->slots) == 0)
		flow_stall(f);
}

/* Lane and upstream learn from it; the line is told what it needs to know for its own judgement. */
static void line_learn(struct line *l, const struct attempt_end *e, enum blame blame,
		       struct trials_view *ret)
{
	struct lane *lane = l->lane;
	struct upstream *u = lane->upstream;
	uint64_t sent_ms = e->sent_us / 1000;

	*ret = (struct trials_view){
		.sent_ms = sent_ms,
		.now_ms = e->ended_us / 1000,
		.lane_number = u->number,
		.lane = &lane->circuit.breaker,
		.well_meanwhile = breaker_well_after(&lane->circuit.breaker, sent_ms),
		.probe = l->slot.probe,
		.broke_alone = l->slot.alone && e->how == EXCHANGE_BROKEN,
		.up = l->up,
		.random = blame_is_well(blame) ? 0 : random_u32(),
	};
	bool of_lane = blame == BLAME_SERVER || blame == BLAME_BUSY || blame == BLAME_PATH;
	bool anew = of_lane && trials_fail_anew(&l->trials, ret);
	/* one that failed beside others that were well is no sign of an outage */
	attempt_learn(u, lane,
		      &(struct lesson){ .end = e,
					.blame = blame,
					.in_flight = lane->slots.sent,
					.line_new = anew && l->trials.spent == 0,
					.now_s = sys.now_s() });
	ret->open = lane_open_circuit(lane);
	death_note(l, e, ret->open);
}

/* It never went out. */
static void line_unsent(struct line *l)
{
	if (l->trials.sent-- == 1)
		return;
	l->retried--;
	l->flow->retried--;
}

/* Its answer was late because we had no memory for it, or its lease ran out before it was sent: none
 * but us is to blame. */
static void line_put_back(struct line *l, uint64_t now_us)
{
	struct line_transfer *t = l->transfer;

	if (t->lapsed && t->transfer.exchange.sent == 0)
		line_unsent(l);
	line_detach(l);
	line_spans_unsend(&l->spans);
	throttle_gone(&l->lane->upstream->throttle, l->mark.sent_us / 1000);
	limit_batch_gone(l->lane->limit, &l->mark, now_us);
	slot_drop(&l->slot);
	line_wait(l, now_us / 1000);
	line_transfer_give(t);
}

/* Lane and upstream learn from the end; then the line is judged by what they know now. True: it
 * ends. */
static bool line_judge(struct dispatch *d, struct line *l, const struct attempt_end *e,
		       struct judgement *ret, uint64_t *ret_due_ms)
{
	const struct trials_limits limits = { l->flow->max_attempts, d->config.patience_ms };
	struct lane *lane = l->lane;
	struct trials_view view;

	*ret = upstream_judge(lane->upstream, &lane->circuit, lane->slots.sent, e);
	upstream_settle(lane->upstream, e, ret->blame, l->scheduled.tokens);
	size_t body_bytes = l->transfer->text.body.n;
	line_detach(l);
	line_limit_learn(l, e, ret->blame, body_bytes);
	if (ret->blame == BLAME_NOBODY)
		prompt_cache_learn(&target_of(lane->upstream)->prompt_cache, &l->scheduled,
				   &e->tokens);
	line_learn(l, e, ret->blame, &view);
	return trials_end(&l->trials, ret, &view, &limits, ret_due_ms);
}

static void line_done(struct exchange *x, const struct exchange_result *r)
{
	struct line_transfer *t = line_transfer_of(x);
	struct dispatch *d = t->transfer.dispatch;
	struct line *l = t->line;
	struct answer_facts facts;
	struct attempt_end end;
	struct judgement j;
	uint64_t due_ms;

	/* Our own want of memory is no fault of the upstream or of the line. */
	if (t->lapsed || (t->memory.paused && r->how == EXCHANGE_TIMEOUT) ||
	    t->memory.answer.no_memory) {
		line_put_back(l, sys.monotonic_us());
		return;
	}
	transfer_end(&t->transfer, r, &end);
	end.sent_us = l->mark.sent_us;
	if (end.how == EXCHANGE_UNREACHABLE)
		line_unsent(l);
	line_transfer_read(t, &end, &facts);
	bool over = line_judge(d, l, &end, &j, &due_ms);
	line_spans_answer(&l->spans, &end, j.blame);
	if (over) {
		breaker_probe_at(&l->lane->circuit.breaker, end.ended_us / 1000 + BREAKER_PROBE_MS);
		line_end(d, l, t, &(struct line_end){ &end, &j });
	} else {
		log_debug("line.retried", kv_str("batch", l->flow->id),
			  kv_u64("record", l->scheduled.record), kv_int("status", end.status),
			  kv_str("upstream", l->lane->upstream->config.name),
			  kv_str("cause", end.detail));
		line_again(l, &end, j.blame, due_ms);
	}
	line_transfer_give(t);
}

void line_drop(struct line *l)
{
	struct line_transfer *t = l->transfer;

	assert(on_dispatch_thread());
	if (t == NULL) {
		line_unwait(l);
	} else {
		line_detach(l);
		throttle_gone(&l->lane->upstream->throttle, l->mark.sent_us / 1000);
		limit_batch_gone(l->lane->limit, &l->mark, sys.monotonic_us());
		line_transfer_give(t);
		slot_drop(&l->slot);
	}
	line_free(l);
}

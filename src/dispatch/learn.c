/* learn.c: who is told when an upstream, or a model on it, has learnt something (upstream/upstream.h): the
 * lanes' gates, the polls, the log, and the batches that wait, with the reason why. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"

/* ---- why it waits ---- */

/* What holds the lane up, and what its upstream said. */
static enum batch_stall lane_stall(const struct lane *lane, const struct last_words **ret_said)
{
	const struct upstream *u = lane->upstream;
	bool own = lane->circuit.stall > u->circuit.stall;
	*ret_said = own ? &lane->circuit.said : &u->circuit.said;
	return own ? lane->circuit.stall : u->circuit.stall;
}

static void time_write(int64_t at, char *to, size_t size)
{
	time_t t = (time_t)at;
	struct tm tm;
	if (gmtime_r(&t, &tm) == NULL || strftime(to, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		to[0] = '\0';
}

static void text_of_upstream(const struct upstream *u, const struct last_words *said, char *to,
			     size_t size)
{
	char since[32];
	time_write(said->since, since, sizeof(since));
	snprintf(to, size, "since %s, upstream '%.80s': %s", since, u->config.name,
		 said->text[0] != '\0' ? said->text : "no answer yet");
}

bool lane_open_circuit(const struct lane *lane)
{
	return circuit_is_open(&lane->circuit) || circuit_is_open(&lane->upstream->circuit);
}

/* Every slot of every upstream that serves the model is an online request's. */
static bool online_has_all(const struct model *m)
{
	bool any = false;
	for (const struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model) {
		const struct upstream *u = lane->upstream;
		if (lane->closed || !upstream_takes(u))
			continue;
		if (u->slots.online == 0 || lane->slots.sent > 0)
			return false;
		any = true;
	}
	return any;
}

static void stall_show(struct flow *f, enum batch_stall stall, const char *text)
{
	flow_show_stall(f, stall, stall == STALL_REFUSED && f->model->certificate, text);
}

void flow_stall(struct flow *f)
{
	const struct model *m = f->model;
	char text[STALL_TEXT_BYTES], at[32];
	if (m->stall != STALL_NONE) {
		stall_show(f, m->stall, m->stall_text);
		return;
	}
	if (slots_held(&f->slots) > 0) {
		if (f->shown.stall != STALL_NONE)
			stall_show(f, STALL_NONE, "");
		return;
	}
	if (f->waiting > 0 && f->failed_as != STALL_NONE) {
		time_write(f->failed_at, at, sizeof(at));
		snprintf(text, sizeof(text), "%u of its lines wait to be sent again; at %s: %s",
			 f->waiting, at, f->failed_text);
		stall_show(f, f->failed_as, text);
	} else if (online_has_all(m)) {
		stall_show(f, STALL_ONLINE,
			   "all room of the upstreams is taken by online requests");
	} else if (f->shown.stall != STALL_NONE) {
		stall_show(f, STALL_NONE, ""); /* others are before it: queue_position */
	}
}

struct stalling {
	struct dispatch *d;
	bool release; /* batches that were held back after a probe */
};

static void each_batch(void *ctx, struct schedule_batch *entry)
{
	const struct stalling *s = ctx;
	struct flow *f = entry->batch;
	if (s->release && f->probed)
		flow_hold(f, false);
	flow_stall(f);
}

void model_stall(struct dispatch *d, struct model *m)
{
	const struct last_words *said, *why = NULL;
	const struct upstream *of = NULL;
	enum batch_stall stall = STALL_NONE;
	bool flows = false;
	for (struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model) {
		if (lane->closed || !upstream_takes(lane->upstream))
			continue;
		enum batch_stall one = lane_stall(lane, &said);
		flows = flows || one == STALL_NONE;
		if (why == NULL || one > stall) {
			stall = one;
			why = said;
			of = lane->upstream;
		}
	}
	if (of == NULL) {
		m->stall = STALL_DOWN;
		snprintf(m->stall_text, sizeof(m->stall_text),
			 "no upstream serves its model at the moment");
	} else if (flows) {
		m->stall = STALL_NONE;
	} else {
		m->stall = stall;
		m->certificate = of->certificate && why == &of->circuit.said;
		text_of_upstream(of, why, m->stall_text, sizeof(m->stall_text));
	}
	struct stalling s = { d, m->stall < STALL_DOWN && m->batches_held };
	if (m->stall == STALL_NONE)
		retry_operator_now(&m->retry, sys.monotonic_ms());
	if (s.release)
		m->batches_held = false;
	schedule_each(m->schedule, each_batch, &s);
}

/* ---- the log ---- */

static void circuit_log(const struct upstream *u, const char *model, const struct circuit *c)
{
	const char *event = stall_words(c->stall)->log, *of = model != NULL ? model : "";

	if (c->stall == STALL_NONE)
		log_info(event, kv_str("upstream", u->config.name), kv_str("model", of));
	else
		log_warn(event, kv_str("upstream", u->config.name), kv_str("model", of),
			 kv_str("said", c->said.text));
}

static void lane_tell(struct dispatch *d, struct lane *lane, uint64_t now_ms)
{
	lane->probe_turn = 1; /* a new line, see fill.c */
	if (circuit_tell(&lane->circuit, now_ms))
		circuit_log(lane->upstream, lane->model->name, &lane->circuit);
	model_stall(d, lane->model);
}

static void upstream_tell(struct dispatch *d, struct upstream *u, uint64_t now_ms)
{
	if (circuit_tell(&u->circuit, now_ms))
		circuit_log(u, NULL, &u->circuit);
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		model_stall(d, lane->model);
}

void stall_tick(struct dispatch *d, struct upstream *u, uint64_t now_ms)
{
	if (upstream_tick(u, now_ms, sys.now_s()))
		upstream_tell(d, u, now_ms);
	else if (circuit_tell(&u->circuit, now_ms))
		circuit_log(u, NULL, &u->circuit);
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		if (circuit_tell(&lane->circuit, now_ms))
			circuit_log(u, lane->model->name, &lane->circuit);
}

/* ---- the end of an attempt ---- */

static void gates_shut(struct upstream *u)
{
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		lane->gate_shut = true;
}

void attempt_learn(struct dispatch *d, struct upstream *u, struct lane *lane,
		   const struct lesson *l)
{
	uint64_t now_ms = l->end->ended_us / 1000;
	struct learnt learnt = upstream_learn(u, lane != NULL ? &lane->circuit : NULL, l);

	if (learnt.shut_upstream)
		gates_shut(u);
	if (learnt.shut_model)
		lane->gate_shut = true;
	if (learnt.came_back)
		watches_due(u, now_ms);
	if (learnt.model)
		lane_tell(d, lane, now_ms);
	if (learnt.upstream)
		upstream_tell(d, u, now_ms);
}

/* ---- health ---- */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t down_since_ms(const struct breaker *b)
{
	return b->state == BREAKER_DOWN ? b->since_ms : 0;
}

uint64_t upstream_ailing_since_ms(const struct upstream *u)
{
	uint64_t since = down_since_ms(&u->circuit.breaker);

	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		since = later(since, down_since_ms(&lane->circuit.breaker));
	return since;
}

void upstream_healthy(struct upstream *u, bool good, uint64_t now_ms)
{
	breaker_health(&u->circuit.breaker, good, now_ms);
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		breaker_health(&lane->circuit.breaker, good, now_ms);
}

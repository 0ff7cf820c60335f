/* learn.c: what an upstream, and a model on it, learn from the end of an attempt; and why batches wait,
 * for the log and for their clients. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"

#define STALL_TOLD_MS 10000u
#define STALL_LASTS_MS 1000u

/* ---- why it waits ---- */

static enum batch_stall stall_of_breaker(const struct breaker *b)
{
	static const enum batch_stall stalls[] = {
		[BREAKER_CLOSED] = STALL_NONE,
		[BREAKER_DOWN] = STALL_DOWN,
		[BREAKER_REFUSED] = STALL_REFUSED,
	};
	return stalls[b->state];
}

static enum batch_stall upstream_stall(const struct upstream *u)
{
	if (u->breaker.state != BREAKER_CLOSED)
		return stall_of_breaker(&u->breaker);
	return throttle_pauses(&u->throttle) ? STALL_THROTTLED : STALL_NONE;
}

/* What holds the lane up, and what its upstream said. */
static enum batch_stall lane_stall(const struct lane *lane, const struct last_words **ret_said)
{
	const struct upstream *u = lane->upstream;
	bool own = lane->stall > u->stall;
	*ret_said = own ? &lane->said : &u->said;
	return own ? lane->stall : u->stall;
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
	return lane->breaker.state != BREAKER_CLOSED ||
	       lane->upstream->breaker.state != BREAKER_CLOSED;
}

/* Every slot of every upstream that serves the model is an online request's. */
static bool online_has_all(const struct model *m)
{
	bool any = false;
	for (const struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model) {
		const struct upstream *u = lane->upstream;
		if (lane->closed || u->retired || u->config.drain)
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
		if (lane->closed || lane->upstream->retired || lane->upstream->config.drain)
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
		m->certificate = of->certificate && why == &of->said;
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

static void stall_log(const struct upstream *u, const char *model, enum batch_stall now,
		      const char *said)
{
	const char *event = stall_words(now)->log, *of = model != NULL ? model : "";

	if (now == STALL_NONE)
		log_info(event, kv_str("upstream", u->config.name), kv_str("model", of));
	else
		log_warn(event, kv_str("upstream", u->config.name), kv_str("model", of),
			 kv_str("said", said));
}

/* At once if the log was told nothing of it for a while; else once it lasts: what comes and goes with
 * every refusal, or with every line that fails alone, is told once in ten seconds. */
static void stall_tell(struct stall_told *t, const struct upstream *u, const char *model,
		       enum batch_stall stall, const char *said, uint64_t now_ms)
{
	bool quiet = t->told_ms == 0 || now_ms - t->told_ms >= STALL_TOLD_MS;
	if (stall == t->stall || (!quiet && now_ms - t->changed_ms < STALL_LASTS_MS))
		return;
	t->stall = stall;
	t->told_ms = now_ms;
	stall_log(u, model, stall, said);
}

static void since_set(struct last_words *said, enum batch_stall before)
{
	if (before == STALL_NONE || said->since == 0)
		said->since = sys.now_s();
}

static void lane_tell(struct dispatch *d, struct lane *lane, uint64_t now_ms)
{
	enum batch_stall before = lane->stall, now = stall_of_breaker(&lane->breaker);
	if (now == before)
		return;
	since_set(&lane->said, before);
	lane->stall = now;
	lane->probe_turn = 1; /* a new line, see fill.c */
	lane->told.changed_ms = now_ms;
	stall_tell(&lane->told, lane->upstream, lane->model->name, now, lane->said.text, now_ms);
	model_stall(d, lane->model);
}

static void upstream_tell(struct dispatch *d, struct upstream *u, uint64_t now_ms)
{
	enum batch_stall before = u->stall, now = upstream_stall(u);
	if (now == before)
		return;
	since_set(&u->said, before);
	u->stall = now;
	u->told.changed_ms = now_ms;
	stall_tell(&u->told, u, NULL, now, u->said.text, now_ms);
	for (struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		model_stall(d, lane->model);
}

void stall_tick(struct dispatch *d, struct upstream *u, uint64_t now_ms)
{
	upstream_tell(d, u, now_ms); /* a pause may end by time alone */
	stall_tell(&u->told, u, NULL, u->stall, u->said.text, now_ms);
	for (struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		stall_tell(&lane->told, u, lane->model->name, lane->stall, lane->said.text, now_ms);
}

/* ---- what the end of an attempt says ---- */

static void gates_shut(struct upstream *u)
{
	for (struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		lane->gate_shut = true;
}

static void words_set(const struct lesson *l, struct last_words *to)
{
	attempt_words(l->end, l->upstream->config.api_key, to->text, sizeof(to->text));
}

static void asked_anew(struct upstream *u, uint64_t now_ms)
{
	u->models.due_ms = u->metrics.due_ms = now_ms; /* it may be another one now */
}

static void came_back(struct upstream *u, enum breaker_change change, uint64_t now_ms)
{
	if (change != BREAKER_CAME_BACK)
		return;
	throttle_forget(&u->throttle); /* a pause asked for before the outage no longer holds */
	asked_anew(u, now_ms);
}

static unsigned others_in_flight(const struct upstream *u)
{
	return slots_in_flight(&u->slots);
}

static struct breaker_sign sign_of(const struct lesson *l, bool sure, unsigned others)
{
	return (struct breaker_sign){ .sent_ms = l->sent_ms,
				      .sure = sure,
				      .alone = others == 0,
				      .line_new = l->line_new,
				      .wait_ms = l->end->wait_ms < THROTTLE_WAIT_MOST_MS
							 ? l->end->wait_ms
							 : THROTTLE_WAIT_MOST_MS };
}

/* It answers: whatever it says, it can be reached. */
static void learn_reached(const struct lesson *l, uint64_t now_ms)
{
	if (l->end->how == EXCHANGE_WHOLE)
		came_back(l->upstream, breaker_answers(&l->upstream->breaker), now_ms);
}

static void learn_well(const struct lesson *l, uint64_t now_ms)
{
	struct upstream *u = l->upstream;
	came_back(u, breaker_well(&u->breaker, l->sent_ms, now_ms), now_ms);
	if (l->lane != NULL)
		came_back(u, breaker_well(&l->lane->breaker, l->sent_ms, now_ms), now_ms);
	throttle_taken(&u->throttle, l->sent_ms, now_ms);
}

static void learn_fault(const struct lesson *l, uint64_t now_ms)
{
	struct upstream *u = l->upstream;
	throttle_gone(&u->throttle, l->sent_ms);
	if (l->blame == BLAME_BUSY)
		throttle_forget(&u->throttle); /* it is not throttled, it is down */
	learn_reached(l, now_ms);
	/* It was down, a connection came about, and broke: it is not up yet. */
	if (u->breaker.state != BREAKER_CLOSED) {
		struct breaker_sign s = sign_of(l, false, 0);
		if (u->breaker.state ==
		    BREAKER_DOWN) /* else the operator is to read why it refuses */
			words_set(l, &u->said);
		(void)breaker_fault(&u->breaker, &s, now_ms);
	}
	if (l->lane == NULL)
		return;
	struct breaker_sign s = sign_of(l, false, l->lane->slots.sent);
	words_set(l, &l->lane->said);
	if (breaker_fault(&l->lane->breaker, &s, now_ms) == BREAKER_OPENED)
		l->lane->gate_shut = true;
}

static void learn_unreachable(const struct lesson *l, uint64_t now_ms)
{
	struct upstream *u = l->upstream;
	struct breaker_sign s = sign_of(l, true, 0);
	throttle_gone(&u->throttle, l->sent_ms);
	words_set(l, &u->said);
	if (breaker_fault(&u->breaker, &s, now_ms) == BREAKER_OPENED)
		gates_shut(u);
}

static void learn_throttled(const struct lesson *l, uint64_t now_ms)
{
	struct upstream *u = l->upstream;
	learn_reached(l, now_ms);
	if (l->lane != NULL)
		(void)breaker_answers(&l->lane->breaker);
	words_set(l, &u->said);
	const struct throttle_sign s = { .sent_ms = l->sent_ms,
					 .wait_ms = l->end->wait_ms,
					 .others = others_in_flight(u),
					 .rate = l->end->how == EXCHANGE_WHOLE &&
						 l->end->status != 503 && l->end->status != 529 };
	throttle_refused(&u->throttle, &s, now_ms);
	gates_shut(u);
}

/* A key that is not known is no fault of a line; what else is not allowed may be one line's alone. */
static void learn_operator(const struct lesson *l, uint64_t now_ms)
{
	struct upstream *u = l->upstream;
	bool sure = l->end->how == EXCHANGE_CERTIFICATE || l->end->status == 401 ||
		    l->end->status == 407;
	struct breaker_sign s = sign_of(l, sure, others_in_flight(u));
	throttle_gone(&u->throttle, l->sent_ms);
	words_set(l, &u->said);
	u->certificate = l->end->how == EXCHANGE_CERTIFICATE;
	if (breaker_refused(&u->breaker, &s, now_ms) == BREAKER_OPENED)
		gates_shut(u);
}

static void learn_path(const struct lesson *l, uint64_t now_ms)
{
	struct breaker_sign s = sign_of(l, false, 0);
	throttle_gone(&l->upstream->throttle, l->sent_ms);
	learn_reached(l, now_ms);
	if (l->lane == NULL)
		return;
	words_set(l, &l->lane->said);
	if (breaker_refused(&l->lane->breaker, &s, now_ms) == BREAKER_OPENED)
		l->lane->gate_shut = true;
}

void upstream_learn(struct dispatch *d, const struct lesson *l, uint64_t now_ms)
{
	switch (l->blame) {
	case BLAME_NOBODY:
	case BLAME_LINE:
		learn_well(l, now_ms);
		break;
	case BLAME_BUSY:
	case BLAME_SERVER:
		learn_fault(l, now_ms);
		break;
	case BLAME_UNREACHABLE:
		learn_unreachable(l, now_ms);
		break;
	case BLAME_THROTTLED:
		learn_throttled(l, now_ms);
		break;
	case BLAME_OPERATOR:
		learn_operator(l, now_ms);
		break;
	case BLAME_PATH:
		learn_path(l, now_ms);
		break;
	}
	if (l->lane != NULL)
		lane_tell(d, l->lane, now_ms);
	upstream_tell(d, l->upstream, now_ms);
}

enum blame busy_settle(const struct lane *lane, uint64_t sent_ms)
{
	bool serves = breaker_well_since(&lane->breaker, sent_ms) ||
		      (lane->slots.sent > 0 && lane->breaker.been_well &&
		       lane->breaker.state == BREAKER_CLOSED &&
		       lane->breaker.faults + 1 < BREAKER_FAULTS_MAX);
	return serves ? BLAME_THROTTLED : BLAME_BUSY;
}

/* ---- health ---- */

uint64_t upstream_ailing_since_ms(const struct upstream *u)
{
	uint64_t since = u->breaker.state == BREAKER_DOWN ? u->breaker.since_ms : 0;
	for (const struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		if (lane->breaker.state == BREAKER_DOWN && lane->breaker.since_ms > since)
			since = lane->breaker.since_ms;
	return since;
}

void upstream_healthy(struct dispatch *d, struct upstream *u, bool good, uint64_t now_ms)
{
	(void)d;
	breaker_health(&u->breaker, good, now_ms);
	for (struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		breaker_health(&lane->breaker, good, now_ms);
}

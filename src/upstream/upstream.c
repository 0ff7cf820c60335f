/* upstream.c: what follows from the end of an attempt is a function for each kind of blame: it
 * teaches the two circuits and the throttle, and says what has changed. */
#include "upstream/upstream.h"

#include <string.h>

#include "base/clock.h"

#define GAUGES_SPEAK_US 2000000u
#define ASK_PATIENCE_MS 2000u /* for what an upstream says of its models, at the start */

bool upstream_init(struct upstream *ret, struct slots *all, const struct upstream_config *config,
		   uint64_t now_ms)
{
	*ret = (struct upstream){ .opened_ms = now_ms, .slots.of = all };
	return upstream_config_copy(config, &ret->config);
}

void upstream_done(struct upstream *u)
{
	reported_done(&u->reported);
	upstream_config_done(&u->config);
}

void upstream_configure(struct upstream *u, struct upstream_config *config, uint64_t now_ms)
{
	upstream_config_done(&u->config);
	u->config = *config;
	*config = (struct upstream_config){ 0 };
	rate_limit_configure(&u->rate_limit, u->config.requests_per_minute,
			     u->config.tokens_per_minute, now_ms);
	u->rate_limited_until_ms = 0;                  /* found with the limits before */
	breaker_probe_at(&u->circuit.breaker, now_ms); /* what it refused may be mended */
	if (u->config.metrics == GAUGES_NONE)
		u->has_gauges = false; /* metrics are off now: the last reading is discarded */
}

/* vLLM, SGLang and llama.cpp each say their own name. */
static enum gauges_kind engine_by_owner(const struct reported *r)
{
	for (size_t i = 0; i < r->n; i++)
		for (enum gauges_kind k = GAUGES_VLLM; k <= GAUGES_LLAMACPP; k++)
			if (r->models[i].owned_by != NULL &&
			    strcmp(r->models[i].owned_by, gauges_kind_words[k]) == 0)
				return k;
	return GAUGES_NONE;
}

enum gauges_kind upstream_engine(const struct upstream *u)
{
	if (u->has_gauges)
		return u->gauges.kind;
	return u->config.metrics > GAUGES_NONE ? u->config.metrics : engine_by_owner(&u->reported);
}

/* ---- may a request go? ---- */

bool upstream_takes(const struct upstream *u)
{
	return !u->retired && !u->config.drain;
}

bool upstream_takes_lines(const struct upstream *u)
{
	return upstream_takes(u) && !u->elsewhere;
}

uint64_t upstream_due_ms(const struct upstream *u, const struct circuit *model,
			 const struct slots *model_slots, uint64_t now_ms, bool *ret_probe)
{
	bool of_upstream, of_model;
	uint64_t due = circuit_due_ms(&u->circuit, &u->slots, now_ms, &of_upstream);

	due = clock_later(due, circuit_due_ms(model, model_slots, now_ms, &of_model));
	*ret_probe = of_upstream || of_model;
	if (!u->asked)
		due = clock_later(due, u->opened_ms + ASK_PATIENCE_MS);
	due = clock_later(due, throttle_due_ms(&u->throttle, now_ms));
	if (due > now_ms)
		return due;
	return u->rate_limited_until_ms > now_ms ? u->rate_limited_until_ms
						 : rate_limit_due_ms(&u->rate_limit, 1, now_ms);
}

unsigned upstream_load(const struct upstream *u)
{
	return slots_in_flight(&u->slots);
}

unsigned upstream_most(const struct upstream *u)
{
	unsigned fixed = u->config.concurrency;

	return fixed > 0 && fixed < u->config.max_concurrency ? fixed : u->config.max_concurrency;
}

/* ---- one is sent ---- */

static void sent(struct upstream *u, uint64_t tokens, uint64_t now_ms)
{
	rate_limit_take(&u->rate_limit, tokens, now_ms);
	throttle_sent(&u->throttle, now_ms);
}

void upstream_sent(struct upstream *u, uint64_t tokens, uint64_t now_ms)
{
	u->counts.sent++;
	sent(u, tokens, now_ms);
}

void upstream_online_sent(struct upstream *u, uint64_t tokens, uint64_t now_ms)
{
	u->counts.online++;
	sent(u, tokens, now_ms);
}

/* ---- whose fault it is ---- */

/* Something is answered well there, so a busy upstream is throttled, not down. */
static bool model_serves(const struct circuit *model, unsigned in_flight, uint64_t sent_ms)
{
	const struct breaker *b = &model->breaker;

	return breaker_well_since(b, sent_ms) ||
	       (in_flight > 0 && b->been_well && b->state == BREAKER_CLOSED &&
		b->faults + 1 < BREAKER_FAULTS_MAX);
}

/* Its engine said, about when the request was sent, that it has requests: one that serves others
 * and refuses ours is full. */
static bool engine_serves(const struct upstream *u, uint64_t sent_us)
{
	return u->has_gauges && u->gauges.running > 0 &&
	       u->gauges_asked_us + GAUGES_SPEAK_US >= sent_us;
}

struct judgement upstream_judge(const struct upstream *u, const struct circuit *model,
				unsigned in_flight, const struct attempt_end *e)
{
	struct judgement j = attempt_judge(e, model == NULL || model->breaker.been_well);

	if (j.blame == BLAME_BUSY && (model == NULL || engine_serves(u, e->sent_us) ||
				      model_serves(model, in_flight, e->sent_us / 1000)))
		j.blame = BLAME_THROTTLED;
	return j;
}

/* ---- what it learns ---- */

/* A lesson on its way through the functions below. */
struct teaching {
	struct upstream *u;
	struct circuit *model; /* or NULL */
	const struct lesson *l;
	uint64_t sent_ms, now_ms;
	struct learnt learnt;
};

static void words_set(const struct teaching *t, struct circuit *c)
{
	attempt_words(t->l->end, t->u->config.api_key, c->said.text, sizeof(c->said.text));
}

static void came_back(struct teaching *t, enum breaker_change change)
{
	if (change != BREAKER_CAME_BACK)
		return;
	throttle_forget(&t->u->throttle); /* a pause asked for before the outage no longer holds */
	t->learnt.came_back = true;
}

static struct breaker_sign sign_of(const struct teaching *t, bool sure, unsigned others)
{
	int64_t wait_ms = t->l->end->wait_ms;

	return (struct breaker_sign){ .sent_ms = t->sent_ms,
				      .sure = sure,
				      .alone = others == 0,
				      .line_new = t->l->line_new,
				      .wait_ms = wait_ms < THROTTLE_WAIT_MOST_MS
							 ? wait_ms
							 : THROTTLE_WAIT_MOST_MS };
}

/* It answers: whatever it says, it can be reached. */
static void learn_reached(struct teaching *t)
{
	if (t->l->end->how == EXCHANGE_WHOLE)
		came_back(t, breaker_answers(&t->u->circuit.breaker));
}

static void learn_well(struct teaching *t)
{
	came_back(t, breaker_well(&t->u->circuit.breaker, t->sent_ms, t->now_ms));
	if (t->model != NULL)
		came_back(t, breaker_well(&t->model->breaker, t->sent_ms, t->now_ms));
	throttle_taken(&t->u->throttle, t->sent_ms, t->now_ms);
}

/* The upstream was down, a connection came about, and broke: it is not up yet. */
static void learn_still_down(struct teaching *t)
{
	struct circuit *c = &t->u->circuit;
	struct breaker_sign s = sign_of(t, false, 0);

	if (!circuit_is_open(c))
		return;
	if (c->breaker.state == BREAKER_DOWN) /* else the operator is to read why it refuses */
		words_set(t, c);
	(void)breaker_fault(&c->breaker, &s, t->now_ms);
}

static void learn_fault(struct teaching *t)
{
	struct breaker_sign s = sign_of(t, false, t->l->in_flight);

	throttle_gone(&t->u->throttle, t->sent_ms);
	if (t->l->blame == BLAME_BUSY)
		throttle_forget(&t->u->throttle); /* it is not throttled, it is down */
	learn_reached(t);
	learn_still_down(t);
	if (t->model == NULL)
		return;
	words_set(t, t->model);
	t->learnt.shut_model = breaker_fault(&t->model->breaker, &s, t->now_ms) == BREAKER_OPENED;
}

static void learn_unreachable(struct teaching *t)
{
	struct circuit *c = &t->u->circuit;
	struct breaker_sign s = sign_of(t, true, 0);

	throttle_gone(&t->u->throttle, t->sent_ms);
	words_set(t, c);
	t->learnt.shut_upstream = breaker_fault(&c->breaker, &s, t->now_ms) == BREAKER_OPENED;
}

static void learn_throttled(struct teaching *t)
{
	struct upstream *u = t->u;
	const struct attempt_end *e = t->l->end;
	const struct throttle_sign s = { .sent_ms = t->sent_ms,
					 .wait_ms = e->wait_ms,
					 .others = slots_in_flight(&u->slots),
					 .rate = e->how == EXCHANGE_WHOLE && e->status != 503 &&
						 e->status != 529 };

	learn_reached(t);
	if (t->model != NULL)
		(void)breaker_answers(&t->model->breaker);
	words_set(t, &u->circuit);
	throttle_refused(&u->throttle, &s, t->now_ms);
	/* A full queue is no outage: the limit is cut, and what is open stays open. */
	t->learnt.shut_upstream = !throttle_is_full(&u->throttle);
}

/* A key that is not known is no fault of a line; what else is not allowed may be one line's
 * alone. */
static void learn_operator(struct teaching *t)
{
	struct upstream *u = t->u;
	const struct attempt_end *e = t->l->end;
	bool sure = e->how == EXCHANGE_CERTIFICATE || e->status == 401 || e->status == 407;
	struct breaker_sign s = sign_of(t, sure, slots_in_flight(&u->slots));

	throttle_gone(&u->throttle, t->sent_ms);
	words_set(t, &u->circuit);
	u->certificate = e->how == EXCHANGE_CERTIFICATE;
	t->learnt.shut_upstream = breaker_refused(&u->circuit.breaker, &s, t->now_ms) ==
				  BREAKER_OPENED;
}

static void learn_path(struct teaching *t)
{
	struct breaker_sign s = sign_of(t, false, 0);

	throttle_gone(&t->u->throttle, t->sent_ms);
	learn_reached(t);
	if (t->model == NULL)
		return;
	words_set(t, t->model);
	t->learnt.shut_model = breaker_refused(&t->model->breaker, &s, t->now_ms) == BREAKER_OPENED;
}

static enum batch_stall stall_of(const struct upstream *u)
{
	if (circuit_is_open(&u->circuit))
		return circuit_breaker_stall(&u->circuit);
	return throttle_pauses(&u->throttle) ? STALL_THROTTLED : STALL_NONE;
}

struct learnt upstream_learn(struct upstream *u, struct circuit *model, const struct lesson *l)
{
	static void (*const learn[])(struct teaching * t) = {
		[BLAME_NOBODY] = learn_well,
		[BLAME_LINE] = learn_well,
		[BLAME_SERVER] = learn_fault,
		[BLAME_BUSY] = learn_fault,
		[BLAME_UNREACHABLE] = learn_unreachable,
		[BLAME_THROTTLED] = learn_throttled,
		[BLAME_OPERATOR] = learn_operator,
		[BLAME_PATH] = learn_path,
	};
	struct teaching t = { .u = u,
			      .model = model,
			      .l = l,
			      .sent_ms = l->end->sent_us / 1000,
			      .now_ms = l->end->ended_us / 1000 };

	learn[l->blame](&t);
	if (model != NULL)
		t.learnt.model = circuit_turn(model, circuit_breaker_stall(model), t.now_ms,
					      l->now_s);
	t.learnt.upstream = upstream_tick(u, t.now_ms, l->now_s);
	return t.learnt;
}

bool upstream_tick(struct upstream *u, uint64_t now_ms, int64_t now_s)
{
	throttle_tick(&u->throttle, now_ms);
	return circuit_turn(&u->circuit, stall_of(u), now_ms, now_s);
}

void upstream_settle(struct upstream *u, const struct attempt_end *e, enum blame blame,
		     uint64_t expected)
{
	struct upstream_counts *c = &u->counts;
	uint64_t tokens = e->tokens.input + e->tokens.output;

	c->tokens += tokens;
	if (blame == BLAME_NOBODY)
		rate_limit_settle(&u->rate_limit, (int64_t)tokens - (int64_t)expected,
				  e->sent_us / 1000, e->ended_us / 1000);
	if (e->how != EXCHANGE_WHOLE)
		c->broken++;
	else if (blame == BLAME_THROTTLED)
		c->answered_throttled++;
	else if (e->status >= 500)
		c->answered_5xx++;
	else if (e->status >= 300)
		c->answered_4xx++;
	else
		c->answered_2xx++;
}

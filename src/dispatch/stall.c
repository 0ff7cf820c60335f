/* stall.c: see stall.h. */
#include "dispatch/stall.h"

#include <assert.h>
#include <stdio.h>

#include "base/duration.h"
#include "base/sys.h"
#include "dispatch/flow_impl.h"
#include "dispatch/lane.h"
#include "dispatch/line.h"
#include "dispatch/model.h"
#include "dispatch/progress.h"
#include "dispatch/thread.h"
#include "upstream/upstream.h"

/* What holds the lane up, and what its upstream said. */
static enum batch_stall lane_stall(const struct lane *lane, const struct last_words **ret_said)
{
	const struct upstream *u = lane->upstream;
	bool own = lane->circuit.stall > u->circuit.stall;

	*ret_said = own ? &lane->circuit.said : &u->circuit.said;
	return own ? lane->circuit.stall : u->circuit.stall;
}

static void text_of_upstream(const struct upstream *u, const struct last_words *said, char *to,
			     size_t size)
{
	char since[TIME_TEXT_BYTES];

	time_format(said->since, since);
	snprintf(to, size, "since %s, upstream '%.80s': %s", since, u->config.name,
		 said->text[0] != '\0' ? said->text : "no answer yet");
}

/* `ctx`: whether those that were held back after a probe are not any more. */
static void each_batch(void *ctx, struct schedule_batch *entry)
{
	struct flow *f = entry->batch;
	bool release = *(const bool *)ctx;

	if (release && f->probed)
		flow_hold(f, false);
	flow_stall(f);
}

static void stall_find(struct model *m)
{
	const struct last_words *said, *why = NULL;
	const struct upstream *of = NULL;
	enum batch_stall stall = STALL_NONE;
	bool flows = false, elsewhere = false;

	assert(on_dispatch_thread());
	for (struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model) {
		if (lane->closed || !upstream_takes(lane->upstream))
			continue;
		elsewhere = elsewhere || lane->upstream->elsewhere;
		if (lane->upstream->elsewhere)
			continue;
		enum batch_stall one = lane_stall(lane, &said);
		flows = flows || one == STALL_NONE;
		if (why == NULL || one > stall) {
			stall = one;
			why = said;
			of = lane->upstream;
		}
	}
	if (of == NULL && elsewhere) {
		m->stall = STALL_ELSEWHERE;
		snprintf(m->stall_text, sizeof(m->stall_text),
			 "other nodes drive the upstreams that serve its model");
	} else if (of == NULL) {
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
	if (m->stall == STALL_NONE)
		retry_operator_now(&m->retry, sys.monotonic_ms());
}

static void each_tell(struct model *m)
{
	bool release = m->stall < STALL_DOWN;

	schedule_each(m->schedule, each_batch, &release);
}

void model_stall(struct model *m)
{
	stall_find(m);
	each_tell(m);
}

void model_stall_added(struct model *m, struct flow *f)
{
	enum batch_stall before = m->stall;

	stall_find(m);
	if (m->stall != before || (m->probed != NULL && m->stall < STALL_DOWN))
		each_tell(m);
	else
		flow_stall(f);
}

/* learn.c: see learn.h. */
#include "dispatch/learn.h"

#include <assert.h>

#include "base/log.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/lane.h"
#include "dispatch/model.h"
#include "dispatch/stall.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"

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

static void lane_tell(struct lane *lane, uint64_t now_ms)
{
	lane->probe_turn = 1; /* a new line, see fill.c */
	if (circuit_tell(&lane->circuit, now_ms))
		circuit_log(lane->upstream, lane->model->name, &lane->circuit);
	model_stall(lane->model);
}

static void upstream_tell(struct upstream *u, uint64_t now_ms)
{
	if (circuit_tell(&u->circuit, now_ms))
		circuit_log(u, NULL, &u->circuit);
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		model_stall(lane->model);
}

void learn_tick(struct upstream *u, uint64_t now_ms)
{
	assert(on_dispatch_thread());
	if (upstream_tick(u, now_ms, sys.now_s()))
		upstream_tell(u, now_ms);
	else if (circuit_tell(&u->circuit, now_ms))
		circuit_log(u, NULL, &u->circuit);
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		if (circuit_tell(&lane->circuit, now_ms))
			circuit_log(u, lane->model->name, &lane->circuit);
}

/* ---- the end of an attempt ---- */

void attempt_learn(struct upstream *u, struct lane *lane, const struct lesson *l)
{
	uint64_t now_ms = l->end->ended_us / 1000;
	struct learnt learnt = upstream_learn(u, lane != NULL ? &lane->circuit : NULL, l);

	assert(on_dispatch_thread());
	assert(lane != NULL || (!learnt.shut_model && !learnt.model));
	if (learnt.shut_upstream)
		lanes_shut(u);
	if (learnt.shut_model)
		lane_shut(lane);
	if (learnt.came_back)
		watches_renew(&target_of(u)->watches, now_ms);
	if (learnt.model)
		lane_tell(lane, now_ms);
	if (learnt.upstream)
		upstream_tell(u, now_ms);
}

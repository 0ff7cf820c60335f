/* progress.c: see progress.h. */
#include "dispatch/progress.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/flow_impl.h"
#include "dispatch/lane.h"
#include "dispatch/model.h"
#include "dispatch/thread.h"
#include "upstream/upstream.h"

void flow_show_stall(struct flow *f, enum batch_stall stall, bool certificate, const char *text)
{
	const char *before = f->shown.text != NULL ? f->shown.text : "";

	if (f->shown.stall == stall && f->shown.certificate == certificate &&
	    strcmp(before, text) == 0)
		return;                                     /* as of most at most times */
	char *copy = text[0] != '\0' ? strdup(text) : NULL; /* without memory it is not said */
	pthread_mutex_lock(&f->lock);
	f->shown.stall = stall;
	f->shown.certificate = certificate;
	free(f->shown.text);
	f->shown.text = copy;
	pthread_mutex_unlock(&f->lock);
}

void flow_show_forecast(struct flow *f)
{
	const struct schedule_forecast *expected = &f->entry.forecast;
	int64_t eta_at = expected->eta_s < 0 ? 0 : sys.now_s() + expected->eta_s;

	assert(on_dispatch_thread());
	if (f->shown.eta_at == eta_at && f->shown.at_risk == expected->at_risk &&
	    f->shown.queue_position == expected->queue_position)
		return;
	pthread_mutex_lock(&f->lock);
	f->shown.eta_at = eta_at;
	f->shown.at_risk = expected->at_risk;
	f->shown.queue_position = expected->queue_position;
	pthread_mutex_unlock(&f->lock);
}

void flow_rate(struct flow *f, double seconds)
{
	double rate = (double)(f->ended - f->ended_before) / seconds;
	double share = fmax(seconds / (RATE_OVER_S + seconds),
			    1.0 / ++f->rated); /* a mean at first */

	assert(on_dispatch_thread());
	f->ended_before = f->ended;
	f->rate += (rate - f->rate) * share;
	if (f->shown.rate_per_s == f->rate)
		return; /* most: none of their lines ended, nor did before */
	pthread_mutex_lock(&f->lock);
	f->shown.rate_per_s = f->rate;
	pthread_mutex_unlock(&f->lock);
}

/* ---- what it waits for ---- */

/* Every slot of every upstream that serves the model is an online request's. */
static bool online_has_all(const struct model *m)
{
	bool any = false;

	for (const struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model) {
		const struct upstream *u = lane->upstream;
		if (lane->closed || !upstream_takes_lines(u))
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
	char text[STALL_TEXT_BYTES], at[TIME_TEXT_BYTES];

	assert(on_dispatch_thread());
	if (slots_unsynced_full(&f->of->slots)) {
		snprintf(text, sizeof(text),
			 "the disk is slow: %u or more answered lines are not on it yet, and "
			 "nothing more is sent until some are",
			 UNSYNCED_MAX);
		stall_show(f, STALL_PAUSED, text);
		return;
	}
	if (m->stall == STALL_NONE && !driven_may_send(&f->of->driven)) {
		stall_show(
			f, STALL_PAUSED,
			"this node has no lease at the moment, as the log says, and sends nothing");
		return;
	}
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
		time_format(f->failed_at, at);
		snprintf(text, sizeof(text), "%u of its lines wait to be sent again; at %s: %s",
			 f->waiting, at, f->failed_text != NULL ? f->failed_text : "");
		stall_show(f, f->failed_as, text);
	} else if (online_has_all(m)) {
		stall_show(f, STALL_ONLINE,
			   "all room of the upstreams is taken by online requests");
	} else if (f->shown.stall != STALL_NONE) {
		stall_show(f, STALL_NONE, ""); /* others are before it: queue_position */
	}
}

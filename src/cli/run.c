/* run.c: `lowtide run`: begin or go on, watch, bring the results home.
 *
 *	        OUT.lowtide/run.json?
 *	   no /                      \ yes
 *	  begin: index the input,    go on: the input must be
 *	  keep earlier answers,      the one that it was
 *	  make file, batch, state    |
 *	              \             /
 *	               open the pipeline, which runs the batch
 *	                     |                     \ signal
 *	               final state                  drain, leave all as it is
 *	                     |
 *	               move the results, remove OUT.lowtide */
#include "cli/run_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/data_dir.h"
#include "terminal/report.h"
#include "terminal/screen.h"
#include "terminal/signals.h"

#define LOOK_EVERY_MS 50 /* whether it is done */

/* ---- open and close ---- */

static bool work_open(struct run *r, struct error *err)
{
	const struct run_paths *p = &r->paths;

	if (!run_state_load(p->state, &r->state, &r->continued, err))
		return false;
	if (!r->continued && !run_places_free(r, err))
		return false;
	if (!data_dir_make(p->work, err) || !data_dir_lock(p->work, &r->lock_fd, err))
		return false;
	return store_open(p->work, &r->store, err) && blobs_open(p->work, NULL, &r->blobs, err);
}

/* What a call that was killed before it had begun has left: a directory without state. */
static bool leftovers_clear(const struct run *r, struct error *err)
{
	struct run_state state;
	bool found;

	if (access(r->paths.work, F_OK) != 0)
		return true;
	if (!run_state_load(r->paths.state, &state, &found, err))
		return false;
	AUTO(auto_close) int lock_fd = -1;
	return found ||
	       (data_dir_lock(r->paths.work, &lock_fd, err) && run_work_remove(&r->paths, err));
}

/* Documents are read once there is a place for what is made of them. */
static bool input_take(struct run *r, struct run_input *ret, struct error *err)
{
	return r->options->documents == NULL ||
	       (run_documents_take(r, err) && run_input_open(r, ret, err));
}

/* The pipeline is there already where it was asked for the model. */
static bool batch_start(struct run *r, struct error *err)
{
	if (r->pipeline == NULL)
		return pipeline_open(r->paths.work, &r->options->pipeline, r->store, r->blobs,
				     &r->pipeline, err);
	pipeline_submit(r->pipeline, r->state.batch_id);
	return true;
}

static bool run_open(struct run *r, struct error *err)
{
	struct run_input input = { 0 };

	if (!run_endpoint_check(r->options->endpoint, err) ||
	    (r->options->documents == NULL && !run_input_open(r, &input, err)) ||
	    !run_places_check(r, err) || !leftovers_clear(r, err) || !work_open(r, err))
		return false;
	return input_take(r, &input, err) &&
	       (r->continued ? run_go_on(r, &input, err) : run_begin(r, &input, err)) &&
	       batch_start(r, err);
}

static void run_done(struct run *r)
{
	run_close(r);
	batch_view_done(&r->batch);
	blob_reader_close(r->input);
	if (r->lock_fd >= 0)
		close(r->lock_fd);
	free(r->model);
	run_paths_done(&r->paths);
}

/* ---- watch ---- */

static struct meter_view view_of(const struct run *r)
{
	const struct counts *c = &r->batch.row.counts;

	return (struct meter_view){
		.done = c->completed + c->failed + c->expired + c->cancelled,
		.total = c->total,
		.failed = c->failed,
		.running = r->batch.running,
		.waiting = stall_words(r->batch.stall)->terminal,
	};
}

static bool look(struct run *r, struct error *err)
{
	batch_view_done(&r->batch);
	r->batch = (struct batch_view){ 0 };
	if (!store_batch_get(r->store, NULL, r->state.batch_id, &r->batch.row, err))
		return false;
	pipeline_view(r->pipeline, &r->batch);
	return true;
}

static bool canary_ended(const struct run *r)
{
	return r->batch.row.hold == BATCH_CANARY && r->options->batch.canary > 0;
}

/* A canary that nobody asks for any more: the rest runs. */
static bool canary_release(struct run *r, struct error *err)
{
	bool final, changed;

	return r->batch.row.hold != BATCH_CANARY || canary_ended(r) ||
	       pipeline_hold(r->pipeline, NULL, r->state.batch_id, false, &final, &changed, err);
}

/* Until the batch is final, its canary has ended, or a signal comes: its number is left in
 * *ret_signal. */
static bool watch_on(struct run *r, struct screen *screen, int *ret_signal, struct error *err)
{
	for (;;) {
		if (!look(r, err) || !canary_release(r, err))
			return false;
		if (r->batch.certificate)
			return fail(
				err, ERR_UNAVAILABLE,
				"a certificate is refused, which no waiting mends: %s. The next "
				"call goes on where this one stopped.",
				r->batch.stall_message);
		bool last = batch_is_final(r->batch.row.status) || canary_ended(r) ||
			    *ret_signal != 0;
		struct meter_view view = view_of(r);
		screen_show(screen, &view, r->batch.row.usage.total, sys.monotonic_ms(), last);
		if (last)
			return true;
		*ret_signal = signals_wait(LOOK_EVERY_MS);
	}
}

static bool watch(struct run *r, int *ret_signal, struct error *err)
{
	struct screen screen;

	if (r->options->status_fd >= 0)
		screen_open_status(&screen, r->options->status_fd, sys.monotonic_ms());
	else
		screen_open(&screen, sys.monotonic_ms());
	bool good = watch_on(r, &screen, ret_signal, err);
	screen_close(&screen);
	return good;
}

/* ---- the end ---- */

static int end_by_signal(struct run *r, int number)
{
	struct error err;

	fprintf(stderr,
		"lowtide: stopping: up to %" PRIu64
		" s for the lines in flight; again to stop at once\n",
		r->options->pipeline.drain_ms / 1000);
	signals_end_at_once();
	pipeline_drain(r->pipeline);
	if (look(r, &err)) {
		const struct counts *c = &r->batch.row.counts;
		fprintf(stderr,
			"lowtide: stopped with %" PRIu64 " of %" PRIu64
			" lines done; the same command goes on from there\n",
			c->completed + c->failed, c->total);
	}
	return 128 + number;
}

/* A run that could not begin leaves nothing; what is there to go on with stays. */
static void begin_undo(struct run *r)
{
	struct error ignored; /* the next call clears it away */

	if (r->lock_fd < 0 || access(r->paths.state, F_OK) == 0)
		return;
	run_close(r);
	(void)!run_work_remove(&r->paths, &ignored);
}

static int run_through(struct run *r, struct error *err)
{
	int number = 0;

	if (!run_open(r, err) || !watch(r, &number, err)) {
		report(err);
		begin_undo(r);
		return exit_code(err);
	}
	if (canary_ended(r) && number == 0)
		return run_end_canary(r);
	if (!batch_is_final(r->batch.row.status))
		return end_by_signal(r, number);
	return r->batch.row.status == BATCH_FAILED ? run_end_failed(r) : run_end_good(r, err);
}

/* The requests that are made of documents stand with what else the run keeps. */
static bool input_of_documents(struct run_paths *p, struct error *err)
{
	free(p->input);
	if (asprintf(&p->input, "%s/in.jsonl", p->work) >= 0)
		return true;
	p->input = NULL;
	return fail_memory(err);
}

int run_batch(const struct run_options *options)
{
	struct run r = { .options = options, .lock_fd = -1 };
	struct error err;

	signals_block();
	r.started_ms = sys.monotonic_ms();
	if (!run_paths_make(options->input, options->output, options->errors, &r.paths, &err) ||
	    (options->documents != NULL && !input_of_documents(&r.paths, &err))) {
		report(&err);
		return exit_code(&err);
	}
	int code = run_through(&r, &err);
	run_done(&r);
	return code;
}

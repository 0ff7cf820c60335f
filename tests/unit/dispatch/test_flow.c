/* test_flow.c: the lines of one batch: what a flow shows, and its life in a dispatch without
 * upstreams. */
#include "unit.h"

#include <semaphore.h>
#include <time.h>

#include "client/client.h"
#include "dispatch/dispatch.h"
#include "dispatch/flow_impl.h"
#include "dispatch/progress.h"
#include "dispatch/thread.h"

/* ---- what it shows ---- */

static struct flow *flow_alone(void)
{
	struct flow *f;
	struct error err;

	assert_true(flow_new(NULL, &f, &err));
	return f;
}

static void shows_nothing_before_it_is_opened(void **state)
{
	(void)state;
	struct flow *f = flow_alone();
	struct flow_view v;

	memset(&v, 0xff, sizeof(v));
	flow_progress(f, &v);
	assert_int_equal(v.stall, STALL_NONE);
	assert_string_equal(v.text, "");
	assert_int_equal(v.running, 0);
	assert_int_equal(v.eta_at, 0);
	assert_false(flow_is_busy(f));
	flow_free(f);
}

static void shows_what_stalls_it_in_one_piece(void **state)
{
	(void)state;
	struct flow *f = flow_alone();
	struct flow_view v;

	flow_show_stall(f, STALL_REFUSED, true, "since noon");
	flow_progress(f, &v);
	assert_int_equal(v.stall, STALL_REFUSED);
	assert_true(v.certificate);
	assert_string_equal(v.text, "since noon");
	flow_show_stall(f, STALL_NONE, false, "");
	flow_progress(f, &v);
	assert_int_equal(v.stall, STALL_NONE);
	assert_false(v.certificate);
	assert_string_equal(v.text, "");
	flow_free(f);
}

static void shows_its_lines(void **state)
{
	(void)state;
	struct flow *f = flow_alone();
	struct slots upstream = { 0 }, lane = { .of = &upstream };
	struct slot s = { .lane = &lane, .batch = &f->slots, .units = 1 };
	struct flow_view v;

	f->retried = 3;
	slot_take(&s, 1);
	slot_answered(&s);
	flow_progress(f, &v);
	assert_int_equal(v.running, 1);
	assert_int_equal(v.retried, 3);
	assert_true(flow_is_busy(f));
	slot_durable(slot_hand_on(&s), &f->slots);
	assert_false(flow_is_busy(f));
	flow_free(f);
}

static void shows_its_forecast(void **state)
{
	(void)state;
	struct flow *f = flow_alone();
	struct flow_view v;
	int64_t now_s = sys.now_s();

	f->entry.forecast =
		(struct schedule_forecast){ .eta_s = 60, .at_risk = true, .queue_position = 2 };
	flow_show_forecast(f);
	flow_progress(f, &v);
	assert_in_range(v.eta_at, now_s + 60, now_s + 65);
	assert_true(v.at_risk);
	assert_int_equal(v.queue_position, 2);
	f->entry.forecast = (struct schedule_forecast){ .eta_s = -1 };
	flow_show_forecast(f);
	flow_progress(f, &v);
	assert_int_equal(v.eta_at, 0);
	assert_false(v.at_risk);
	flow_free(f);
}

/* A mean at first, then an average over some 20 s. */
static void shows_how_fast_its_lines_end(void **state)
{
	(void)state;
	struct flow *f = flow_alone();
	struct flow_view v;

	f->ended = 10;
	flow_rate(f, 1);
	f->ended = 30;
	flow_rate(f, 1);
	flow_progress(f, &v);
	assert_true(v.rate_per_s > 14.9 && v.rate_per_s < 15.1);
	for (unsigned i = 0; i < 200; i++)
		flow_rate(f, 1);
	flow_progress(f, &v);
	assert_true(v.rate_per_s < 0.1);
	flow_free(f);
}

/* ---- its life ---- */

struct world {
	struct dispatch *dispatch;
	struct flow *flow;
	sem_t dropped;
	_Atomic unsigned leases;
};

static bool on_segment_next(void *owner, struct segment_cursor *ret)
{
	struct world *w = owner;

	*ret = (struct segment_cursor){ .lines = SEGMENT_LINES };
	return w->leases++ == 0;
}

static bool on_look(void *owner, uint64_t record, struct line_look *ret)
{
	(void)owner;
	(void)record;
	*ret = (struct line_look){ .body_bytes = 100 };
	return true;
}

static bool on_line_read(void *owner, uint64_t record, struct buf *to, struct request_line *ret,
			 struct error *err)
{
	(void)owner;
	(void)record;
	(void)to;
	(void)ret;
	(void)err;
	fail_msg("no upstream asks for a line");
	return false;
}

static void on_ended(void *ctx, struct outcome *o)
{
	(void)ctx;
	(void)o;
	fail_msg("no line can end");
}

static void on_dropped(void *owner)
{
	sem_post(&((struct world *)owner)->dropped);
}

static void on_fault(void *owner, const struct error *err)
{
	(void)owner;
	(void)err;
	fail_msg("there is memory");
}

static int world_open(void **state)
{
	static const struct dispatch_ops ops = {
		.segment_next = on_segment_next,
		.look = on_look,
		.line_read = on_line_read,
		.ended = on_ended,
		.dropped = on_dropped,
		.fault = on_fault,
	};
	struct dispatch_config config = { .max_attempts = 3, .line_timeout_ms = 1000 };
	static struct world w;
	struct error err;

	w = (struct world){ 0 };
	sem_init(&w.dropped, 0, 0);
	assert_true(client_open(&config.client, &err));
	assert_true(dispatch_open(&config, NULL, 0, &ops, &w, &w.dispatch, &err));
	assert_true(flow_new(w.dispatch, &w.flow, &err));
	*state = &w;
	return 0;
}

static int world_close(void **state)
{
	struct world *w = *state;

	dispatch_stop(w->dispatch);
	flow_free(w->flow);
	dispatch_close(w->dispatch);
	sem_destroy(&w->dropped);
	return 0;
}

static void open_flow(struct world *w)
{
	const struct flow_config config = {
		.owner = w,
		.id = "batch_1",
		.endpoint = "/v1/chat/completions",
		.model = "m",
		.org = "org_1",
		.org_weight = 1,
		.expires_at = sys.now_s() + 3600,
		.rest_lines = SEGMENT_LINES,
		.rest_bytes = SEGMENT_LINES * 100,
	};

	flow_open(w->flow, &config);
}

/* Waits until it shows that. */
static void await_stall(struct world *w, enum batch_stall stall)
{
	static const struct timespec soon = { .tv_nsec = 5000000 };
	struct flow_view v;

	for (unsigned tries = 0; tries < 2000; tries++) {
		flow_progress(w->flow, &v);
		if (v.stall == stall)
			return;
		nanosleep(&soon, NULL);
	}
	fail_msg("it does not show %d", (int)stall);
}

static void is_opened_dropped_and_opened_again(void **state)
{
	struct world *w = *state;
	struct flow_view v;

	for (unsigned round = 0; round < 2; round++) {
		w->leases = 0;
		open_flow(w);
		await_stall(w, STALL_DOWN);
		flow_progress(w->flow, &v);
		assert_string_equal(v.text, "no upstream serves its model at the moment");
		assert_true(w->leases > 0);
		flow_suspend(w->flow, true);
		flow_suspend(w->flow, false);
		flow_drop(w->flow);
		sem_wait(&w->dropped);
	}
}

/* The drop overtakes what had not been seen yet, and comes through however often it is asked. */
static void is_dropped_at_once(void **state)
{
	struct world *w = *state;

	open_flow(w);
	flow_drop(w->flow);
	sem_wait(&w->dropped);
	flow_drop(w->flow);
	sem_wait(&w->dropped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_nothing_before_it_is_opened),
		cmocka_unit_test(shows_what_stalls_it_in_one_piece),
		cmocka_unit_test(shows_its_lines),
		cmocka_unit_test(shows_its_forecast),
		cmocka_unit_test(shows_how_fast_its_lines_end),
		cmocka_unit_test_setup_teardown(is_opened_dropped_and_opened_again, world_open,
						world_close),
		cmocka_unit_test_setup_teardown(is_dropped_at_once, world_open, world_close),
	};
	dispatch_thread_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

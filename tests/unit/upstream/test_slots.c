/* test_slots.c: requests in flight, counted once for all who ask. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "upstream/slots.h"

#define MANY 10000u

/* Two lanes of one upstream, one of another, and a batch. */
struct levels {
	struct slots dispatch, upstream[2], lane[3], batch;
};

static void levels_init(struct levels *l)
{
	memset(l, 0, sizeof(*l));
	l->upstream[0].of = l->upstream[1].of = &l->dispatch;
	l->lane[0].of = l->lane[1].of = &l->upstream[0];
	l->lane[2].of = &l->upstream[1];
}

static void levels_agree(const struct levels *l)
{
	struct slots sum = { 0 };

	for (unsigned i = 0; i < 2; i++)
		slots_add(&sum, &l->lane[i]);
	slots_agree(&l->upstream[0], &sum);
	sum = (struct slots){ 0 };
	for (unsigned i = 0; i < 2; i++)
		slots_add(&sum, &l->upstream[i]);
	slots_agree(&l->dispatch, &sum);
	slots_agree_online(&l->dispatch, &sum);
	assert_int_equal(slots_held(&l->batch), slots_held(&l->dispatch));
}

static struct slot slot_of(struct levels *l, unsigned lane)
{
	return (struct slot){ .lane = &l->lane[lane], .batch = &l->batch, .units = 1 };
}

static unsigned units_in_flight(const struct slots *s)
{
	return s->sent_units + s->online_units;
}

static void goes_from_sent_to_durable(void **state)
{
	(void)state;
	struct levels l;
	struct slots *lane;

	levels_init(&l);
	struct slot s = slot_of(&l, 1);
	slot_take(&s, 5);
	assert_int_equal(l.lane[1].sent, 1);
	assert_int_equal(l.upstream[0].sent, 1);
	assert_int_equal(l.dispatch.sent, 1);
	assert_int_equal(l.lane[0].sent, 0);
	assert_int_equal(l.upstream[1].sent, 0);
	assert_int_equal(slots_unrecorded(&l.dispatch), 0);
	slot_answered(&s);
	assert_int_equal(l.dispatch.sent, 0);
	assert_int_equal(slots_in_flight(&l.upstream[0]), 0);
	assert_int_equal(slots_unrecorded(&l.lane[1]), 1);
	assert_int_equal(slots_held(&l.batch), 1);
	levels_agree(&l);
	lane = slot_hand_on(&s);
	assert_int_equal(s.state, SLOT_FREE);
	assert_int_equal(slots_held(&l.batch), 1);
	slot_durable(lane, &l.batch);
	assert_int_equal(slots_held(&l.lane[1]), 0);
	assert_int_equal(slots_held(&l.dispatch), 0);
	assert_int_equal(slots_held(&l.batch), 0);
	levels_agree(&l);
}

static void a_slot_that_is_answered_is_free_for_the_next(void **state)
{
	(void)state;
	struct levels l;
	struct slots *lanes[2];

	levels_init(&l);
	struct slot s = slot_of(&l, 0);
	for (unsigned i = 0; i < 2; i++) {
		slot_take(&s, 5);
		assert_int_equal(slots_in_flight(&l.upstream[0]), 1);
		slot_answered(&s);
		assert_int_equal(slots_in_flight(&l.upstream[0]), 0);
		lanes[i] = slot_hand_on(&s);
		s = slot_of(&l, 0);
	}
	assert_int_equal(slots_unrecorded(&l.dispatch), 2);
	assert_int_equal(slots_held(&l.batch), 2);
	levels_agree(&l);
	for (unsigned i = 0; i < 2; i++)
		slot_durable(lanes[i], &l.batch);
	assert_int_equal(slots_held(&l.dispatch), 0);
}

/* Counted over all upstreams; what is in flight does not count. */
static void so_many_unsynced_lines_are_enough(void **state)
{
	(void)state;
	struct levels l;

	levels_init(&l);
	struct slot in_flight = slot_of(&l, 0);
	slot_take(&in_flight, 1);
	for (unsigned i = 0; i < UNSYNCED_MAX; i++) {
		struct slot s = slot_of(&l, i % 2 == 0 ? 0 : 2);

		assert_false(slots_unsynced_full(&l.upstream[0]));
		slot_take(&s, 1);
		slot_answered(&s);
		(void)!slot_hand_on(&s);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_true(slots_unsynced_full(&l.upstream[i]));
	assert_true(slots_unsynced_full(&l.dispatch) && slots_unsynced_full(&l.lane[1]));
	slot_durable(&l.lane[2], &l.batch);
	assert_false(slots_unsynced_full(&l.upstream[0]));
	slot_drop(&in_flight);
	assert_false(slots_unsynced_full(&l.dispatch));
}

static void is_dropped_whether_it_was_answered_or_not(void **state)
{
	(void)state;
	struct levels l;

	levels_init(&l);
	for (unsigned answered = 0; answered < 2; answered++) {
		struct slot s = slot_of(&l, 2);

		slot_take(&s, 5);
		if (answered)
			slot_answered(&s);
		slot_drop(&s);
		assert_int_equal(s.state, SLOT_FREE);
		assert_int_equal(slots_in_flight(&l.upstream[1]), 0);
		assert_int_equal(l.dispatch.sent, 0);
		levels_agree(&l);
	}
}

static void counts_probes_and_when(void **state)
{
	(void)state;
	struct levels l;

	levels_init(&l);
	struct slot s = slot_of(&l, 0), other = slot_of(&l, 0);
	s.probe = true;
	slot_take(&s, 7);
	slot_take(&other, 9);
	assert_int_equal(l.upstream[0].probes, 1);
	assert_int_equal(l.upstream[0].probed_at_ms, 7);
	assert_int_equal(l.lane[0].probed_at_ms, 7);
	assert_int_equal(l.lane[1].probed_at_ms, 0);
	slot_drop(&other);
	assert_int_equal(l.lane[0].probes, 1);
	slot_answered(&s);
	assert_int_equal(l.lane[0].probes, 0);
	assert_int_equal(l.dispatch.probes, 0);
	slot_drop(&s);
}

/* What is answered is not in the engine's gauges any more. */
static void units_are_counted_while_in_flight(void **state)
{
	(void)state;
	struct levels l;

	levels_init(&l);
	struct slot s = slot_of(&l, 0), other = slot_of(&l, 2);
	s.units = 4;
	other.units = 50;
	slot_take(&s, 1);
	slot_take(&other, 1);
	assert_int_equal(l.lane[0].sent_units, 4);
	assert_int_equal(l.upstream[0].sent_units, 4);
	assert_int_equal(l.upstream[1].sent_units, 50);
	assert_int_equal(l.dispatch.sent_units, 54);
	assert_int_equal(l.batch.sent_units, 54);
	assert_int_equal(slots_in_flight(&l.dispatch), 2);
	levels_agree(&l);
	slot_answered(&s);
	assert_int_equal(l.lane[0].sent_units, 0);
	assert_int_equal(units_in_flight(&l.dispatch), 50);
	levels_agree(&l);
	slot_drop(&other);
	slot_drop(&s);
	assert_int_equal(l.dispatch.sent_units, 0);
	levels_agree(&l);
}

static void online_requests_hold_their_upstreams(void **state)
{
	(void)state;
	struct levels l;

	levels_init(&l);
	struct slot s = slot_of(&l, 0);
	slot_take(&s, 1);
	slot_online_take(&l.upstream[0], 3);
	assert_int_equal(slots_in_flight(&l.upstream[0]), 2);
	assert_int_equal(l.dispatch.online, 1);
	assert_int_equal(l.lane[0].online, 0);
	assert_int_equal(l.upstream[0].online_units, 3);
	assert_int_equal(units_in_flight(&l.upstream[0]), 4);
	assert_int_equal(units_in_flight(&l.dispatch), 4);
	assert_int_equal(units_in_flight(&l.lane[0]), 1);
	levels_agree(&l);
	slot_online_drop(&l.upstream[0], 3);
	assert_int_equal(units_in_flight(&l.upstream[0]), 1);
	assert_int_equal(slots_in_flight(&l.upstream[0]), 1);
	slot_drop(&s);
}

/* ---- what must not be ---- */

/* Whether the process dies of it. */
static bool aborts(void (*run)(struct levels *l))
{
	struct levels l;
	int status = 0;
	pid_t child;

	levels_init(&l);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)freopen("/dev/null", "w", stderr);
		signal(SIGABRT, SIG_DFL);
		run(&l);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void taken_twice(struct levels *l)
{
	struct slot s = slot_of(l, 0);

	slot_take(&s, 1);
	slot_take(&s, 1);
}

static void answered_twice(struct levels *l)
{
	struct slot s = slot_of(l, 0);

	slot_take(&s, 1);
	slot_answered(&s);
	slot_answered(&s);
}

static void handed_on_unanswered(struct levels *l)
{
	struct slot s = slot_of(l, 0);

	slot_take(&s, 1);
	(void)!slot_hand_on(&s);
}

static void durable_twice(struct levels *l)
{
	struct slot s = slot_of(l, 0);

	slot_take(&s, 1);
	slot_answered(&s);
	struct slots *lane = slot_hand_on(&s);
	slot_durable(lane, &l->batch);
	slot_durable(lane, &l->batch);
}

static void beside_one_that_is_alone(struct levels *l)
{
	struct slot s = slot_of(l, 0), other = slot_of(l, 1);

	s.alone = true;
	slot_take(&s, 1);
	slot_take(&other, 1);
}

static void alone_beside_another(struct levels *l)
{
	struct slot s = slot_of(l, 0), other = slot_of(l, 1);

	other.alone = true;
	slot_take(&s, 1);
	slot_take(&other, 1);
}

static void online_dropped_twice(struct levels *l)
{
	slot_online_drop(&l->upstream[0], 1);
}

static void online_dropped_with_more_units(struct levels *l)
{
	slot_online_take(&l->upstream[0], 2);
	slot_online_drop(&l->upstream[0], 3);
}

static void online_dropped_with_fewer_units(struct levels *l)
{
	slot_online_take(&l->upstream[0], 2);
	slot_online_drop(&l->upstream[0], 1);
}

static void of_no_unit(struct levels *l)
{
	struct slot s = slot_of(l, 0);

	s.units = 0;
	slot_take(&s, 1);
}

static void units_that_disagree(struct levels *l)
{
	struct slot s = slot_of(l, 0);

	s.units = 4;
	slot_take(&s, 1);
	l->upstream[0].sent_units--;
	levels_agree(l);
}

static void online_units_that_disagree(struct levels *l)
{
	slot_online_take(&l->upstream[0], 4);
	l->dispatch.online_units++;
	levels_agree(l);
}

static void sums_that_disagree(struct levels *l)
{
	struct slot s = slot_of(l, 0);

	slot_take(&s, 1);
	l->lane[0].sent--;
	levels_agree(l);
}

static void what_must_not_be_ends_the_process(void **state)
{
	(void)state;
	static void (*const runs[])(struct levels * l) = {
		taken_twice,
		answered_twice,
		handed_on_unanswered,
		durable_twice,
		beside_one_that_is_alone,
		alone_beside_another,
		online_dropped_twice,
		sums_that_disagree,
		online_dropped_with_more_units,
		online_dropped_with_fewer_units,
		of_no_unit,
		units_that_disagree,
		online_units_that_disagree,
	};

	for (size_t i = 0; i < ARRAY_LEN(runs); i++)
		assert_true(aborts(runs[i]));
}

static void alone_on_one_upstream_is_not_alone_on_another(void **state)
{
	(void)state;
	struct levels l;

	levels_init(&l);
	struct slot s = slot_of(&l, 0), other = slot_of(&l, 2);
	s.alone = other.alone = true;
	slot_take(&s, 1);
	slot_take(&other, 1);
	slot_drop(&s);
	assert_int_equal(l.upstream[0].alone, 0);
	assert_int_equal(l.upstream[1].alone, 1);
	slot_drop(&other);
	levels_agree(&l);
}

/* ---- from another thread ---- */

static _Atomic unsigned handed_on;

static void *record_all(void *arg)
{
	struct levels *l = arg;

	for (unsigned i = 0; i < MANY; i++) {
		while (handed_on <= i)
			sched_yield();
		slot_durable(&l->lane[0], &l->batch);
	}
	return NULL;
}

static void becomes_durable_in_another_thread(void **state)
{
	(void)state;
	struct levels l;
	pthread_t recorder;

	levels_init(&l);
	assert_int_equal(pthread_create(&recorder, NULL, record_all, &l), 0);
	for (unsigned i = 0; i < MANY; i++) {
		struct slot s = slot_of(&l, 0);
		struct slots sum = { 0 };

		slot_take(&s, 1);
		slot_answered(&s);
		assert_ptr_equal(slot_hand_on(&s), &l.lane[0]);
		handed_on++;
		slots_add(&sum, &l.lane[0]);
		slots_add(&sum, &l.lane[1]);
		slots_agree(&l.upstream[0], &sum);
	}
	pthread_join(recorder, NULL);
	assert_int_equal(slots_held(&l.dispatch), 0);
	assert_int_equal(slots_held(&l.batch), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_from_sent_to_durable),
		cmocka_unit_test(a_slot_that_is_answered_is_free_for_the_next),
		cmocka_unit_test(so_many_unsynced_lines_are_enough),
		cmocka_unit_test(is_dropped_whether_it_was_answered_or_not),
		cmocka_unit_test(counts_probes_and_when),
		cmocka_unit_test(units_are_counted_while_in_flight),
		cmocka_unit_test(online_requests_hold_their_upstreams),
		cmocka_unit_test(what_must_not_be_ends_the_process),
		cmocka_unit_test(alone_on_one_upstream_is_not_alone_on_another),
		cmocka_unit_test(becomes_durable_in_another_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

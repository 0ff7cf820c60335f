/* The pool: order, delays, closing. */
#include "unit.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "base/worker.h"

static uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct workers *open_pool(unsigned threads)
{
	struct workers *w;
	struct error err;

	assert_true(workers_open("unit", threads, &w, &err));
	return w;
}

/* What ran, in order. */
static struct {
	atomic_int n;
	atomic_int done; /* that are noted whole */
	int ids[1000];
	uint64_t at_ms[1000];
} trace;

struct job {
	struct work work;
	int id;
};

static void note(void *arg)
{
	const struct job *job = arg;
	int at = atomic_fetch_add(&trace.n, 1);

	trace.ids[at] = job->id;
	trace.at_ms[at] = clock_ms();
	atomic_fetch_add(&trace.done, 1);
}

static int reset(void **state)
{
	(void)state;
	memset(&trace, 0, sizeof(trace));
	return 0;
}

static void nothing_posted_nothing_run(void **state)
{
	(void)state;
	workers_close(NULL);
	workers_close(open_pool(3));
}

static void one_thread_runs_jobs_in_order_and_closing_runs_the_rest(void **state)
{
	static struct job jobs[1000];
	struct workers *w = open_pool(1);

	(void)state;
	for (int i = 0; i < 1000; i++) {
		jobs[i].id = i;
		workers_post(w, &jobs[i].work, note, &jobs[i]);
	}
	workers_close(w);
	assert_int_equal(trace.n, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(trace.ids[i], i);
}

static void delayed_jobs_run_in_order_of_time_and_never_early(void **state)
{
	static const uint64_t delays_ms[] = { 60, 20, 40, 20, 0 };
	static const int order[] = { 4, 1, 3, 2, 0 };
	static struct job jobs[5];
	struct workers *w = open_pool(1);
	uint64_t start = clock_ms();

	(void)state;
	for (int i = 0; i < 5; i++) {
		jobs[i].id = i;
		workers_post_after(w, &jobs[i].work, note, &jobs[i], delays_ms[i]);
	}
	while (atomic_load(&trace.done) < 5)
		usleep(1000);
	workers_close(w);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(trace.ids[i], order[i]);
		assert_true(trace.at_ms[i] - start >= delays_ms[order[i]]);
	}
}

static void closing_drops_what_is_not_due(void **state)
{
	static struct job now = { .id = 1 }, later = { .id = 2 };
	struct workers *w = open_pool(2);
	uint64_t start = clock_ms();

	(void)state;
	workers_post_after(w, &later.work, note, &later, 3600 * 1000);
	workers_post(w, &now.work, note, &now);
	workers_close(w);
	assert_int_equal(trace.n, 1);
	assert_int_equal(trace.ids[0], 1);
	assert_true(clock_ms() - start < 60 * 1000);
}

/* 4,000 batches that are held up look again every second (E13). */
static void many_delayed_jobs_cost_no_more_each(void **state)
{
	enum { MANY = 50000, SOON = 900 };
	struct job *later = calloc(MANY, sizeof(*later));
	static struct job soon[SOON];
	struct workers *w = open_pool(1);
	uint64_t start = clock_ms(), random = 1;

	(void)state;
	assert_non_null(later);
	for (int i = 0; i < MANY; i++)
		workers_post_after(w, &later[i].work, note, &later[i], 3600 * 1000);
	for (int i = 0; i < SOON; i++) {
		soon[i].id = i;
		random = random * 6364136223846793005u + 1442695040888963407u;
		workers_post_after(w, &soon[i].work, note, &soon[i], 1 + (random >> 33) % 50);
	}
	assert_true(clock_ms() - start < 2000);
	while (atomic_load(&trace.done) < SOON)
		usleep(1000);
	for (int i = 1; i < SOON; i++) {
		const struct work *a = &soon[trace.ids[i - 1]].work, *b = &soon[trace.ids[i]].work;
		assert_true(a->due_ms < b->due_ms ||
			    (a->due_ms == b->due_ms && a->serial < b->serial));
	}
	workers_close(w);
	assert_int_equal(trace.n, SOON);
	free(later);
}

/* ---- jobs that wait for one another: only with all threads at work do they end ---- */

static pthread_barrier_t barrier;

static void meet(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&barrier);
}

static void all_threads_work_at_once(void **state)
{
	struct work four[4], delayed[4];
	struct workers *w = open_pool(4);

	(void)state;
	pthread_barrier_init(&barrier, NULL, 5);
	for (int i = 0; i < 4; i++)
		workers_post(w, &four[i], meet, NULL);
	pthread_barrier_wait(&barrier);
	/* All due in the same millisecond: the one that wakes has to wake the others. */
	for (int i = 0; i < 4; i++)
		workers_post_after(w, &delayed[i], meet, NULL, 10);
	pthread_barrier_wait(&barrier);
	workers_close(w);
	pthread_barrier_destroy(&barrier);
}

/* ---- the node is the job's own as soon as it has begun ---- */

struct chain {
	struct work work;
	struct workers *workers;
	int left;
};

static atomic_int chains_done;

static void next_link(void *arg)
{
	struct chain *c = arg;

	if (--c->left > 0) {
		if (c->left % 100 == 0)
			workers_post_after(c->workers, &c->work, next_link, c, 1);
		else
			workers_post(c->workers, &c->work, next_link, c);
		return;
	}
	memset(c, 0xFF, sizeof(*c));
	free(c);
	atomic_fetch_add(&chains_done, 1);
}

static void a_job_may_post_itself_again_or_free_itself(void **state)
{
	struct workers *w = open_pool(3);

	(void)state;
	atomic_store(&chains_done, 0);
	for (int i = 0; i < 20; i++) {
		struct chain *c = calloc(1, sizeof(*c));
		assert_non_null(c);
		c->workers = w;
		c->left = 500;
		workers_post(w, &c->work, next_link, c);
	}
	while (atomic_load(&chains_done) < 20)
		usleep(1000);
	workers_close(w);
}

/* ---- threads ---- */

static sigset_t seen_mask;
static char seen_name[16];

static void look_around(void *arg)
{
	(void)arg;
	pthread_sigmask(SIG_SETMASK, NULL, &seen_mask);
	pthread_getname_np(pthread_self(), seen_name, sizeof(seen_name));
}

static void threads_have_a_name_and_take_no_signals(void **state)
{
	static struct work work;
	struct workers *w;
	struct error err;
	sigset_t mine;

	(void)state;
	assert_true(workers_open("a-very-long-name-indeed", 1, &w, &err));
	usleep(20000); /* the name is given from outside, just after the start */
	workers_post(w, &work, look_around, NULL);
	workers_close(w);
	assert_true(sigismember(&seen_mask, SIGTERM) && sigismember(&seen_mask, SIGINT));
	assert_string_equal(seen_name, "a-very-long-0");
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	assert_false(sigismember(&mine, SIGTERM));
}

static atomic_bool gate;

static void wait_at_gate(void *arg)
{
	while (!gate)
		usleep(1000);
	note(arg);
}

static void those_that_wait_are_counted(void **state)
{
	struct workers *w = open_pool(1);
	struct job jobs[4] = { 0 };

	(void)state;
	gate = false;
	assert_int_equal(workers_waiting(w), 0);
	workers_post_after(w, &jobs[3].work, wait_at_gate, &jobs[3], 3600000); /* is not due */
	for (int i = 0; i < 3; i++)
		workers_post(w, &jobs[i].work, wait_at_gate, &jobs[i]);
	for (int i = 0; i < 5000 && workers_waiting(w) > 2; i++)
		usleep(1000);
	assert_int_equal(workers_waiting(w), 2);
	gate = true;
	workers_stop(w);
	assert_int_equal(workers_waiting(w), 0);
	assert_int_equal(trace.n, 3);
	workers_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_posted_nothing_run),
		cmocka_unit_test(those_that_wait_are_counted),
		cmocka_unit_test_setup(one_thread_runs_jobs_in_order_and_closing_runs_the_rest,
				       reset),
		cmocka_unit_test_setup(delayed_jobs_run_in_order_of_time_and_never_early, reset),
		cmocka_unit_test_setup(closing_drops_what_is_not_due, reset),
		cmocka_unit_test_setup(many_delayed_jobs_cost_no_more_each, reset),
		cmocka_unit_test(all_threads_work_at_once),
		cmocka_unit_test(a_job_may_post_itself_again_or_free_itself),
		cmocka_unit_test(threads_have_a_name_and_take_no_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_memory.c: memory runs out while a batch goes through its life: no line is lost, none stands
 * twice, and the log says what happened.
 *
 * Each run is a process of its own: without the bytes that keep track of a line the server ends
 * (base/memory.h), and the next start goes on. ASan tells what leaked. */
#include <sys/wait.h>

#include "memory_fault.h"
#include "whole_unit.h"

#define LINES 3u
#define STEPS_OUT 8u     /* while memory is out */
#define STEPS_MOST 2000u /* until the batch has ended */

/* How a process ends. */
enum { NO_FAULT = 10, CAME_THROUGH, CAME_THROUGH_UNTOLD, EXHAUSTED };

static struct {
	bool child;
	unsigned of; /* fake.added, when the records were handed out */
	uint64_t records[LINES_MAX];
	unsigned n;
	bool unsent; /* dispatch, which is the test's, had no memory */
} w;

/* must_calloc() alone calls it here: assert() has its own. */
void __wrap_abort(void);

void __wrap_abort(void)
{
	_exit(EXHAUSTED);
}

static int no_sync(int fd)
{
	(void)fd;
	return 0;
}

/* ---- dispatch ---- */

/* False: no memory. */
static bool answer(uint64_t record)
{
	AUTO(buf_free) struct buf bytes = BUF(1 << 16);
	struct request_line line;
	struct error e;
	void *owner = fake.flow->config.owner;
	struct outcome *o = NULL;

	if (worker_dispatch_ops.line_read(owner, record, &bytes, &line, &e))
		o = outcome_new(owner, record, line.custom_id);
	else
		assert_no_memory(&e);
	if (o == NULL)
		return false;
	o->attempts = 1;
	o->http_status = 200;
	o->body = BUF(256);
	buf_text(&o->body, "{\"id\":\"x\"}");
	if (o->body.failed) {
		outcome_free(o);
		return false;
	}
	worker_dispatch_ops.ended(NULL, o);
	return true;
}

static void lines_answer(void)
{
	if (fake.flow == NULL)
		return;
	if (w.of != fake.added)
		w.n = fake_records(w.records);
	w.of = fake.added;
	while (w.n > 0 && answer(w.records[w.n - 1]))
		w.n--;
	w.unsent = w.unsent || w.n > 0;
}

/* ---- a process ---- */

static void step(void)
{
	turns_take();
	lines_answer();
	usleep(2000); /* for the recorder */
	turns_take();
	time_passes(1);
}

static void up(void)
{
	w.of = 0;
	MUST(whole_open());
}

/* A submit that had no memory is made good by the next start. */
static void finish(void)
{
	if (whole.p == NULL)
		up();
	for (unsigned i = 0; !batch_is_final(whole_status()) && i < STEPS_MOST; i++) {
		step();
		if (i == 10 && fake.added == 0) {
			whole_close();
			up();
		}
	}
}

static void live(void)
{
	if (!whole_open()) {
		assert_no_memory(&err);
		return;
	}
	pipeline_submit(whole.p, whole.batch_id);
	for (unsigned i = 0; i < STEPS_OUT; i++)
		step();
}

static bool log_tells(void)
{
	char path[PATH_MAX], text[1 << 16];

	snprintf(path, sizeof(path), "%s/log", world.dir);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	assert_int_equal(fclose(f), 0);
	return strstr(text, "memory") != NULL;
}

static void child(struct memory_sweep *s)
{
	char path[PATH_MAX];

	memset(&w, 0, sizeof(w));
	w.child = true;
	snprintf(path, sizeof(path), "%s/log", world.dir);
	assert_non_null(freopen(path, "w", stderr));
	log_set_level(LOG_INFO);
	world_take_up();
	memory_fail(s);
	live();
	memory_restore(s);
	/* What held nothing up need not be said. */
	bool told = whole.p == NULL || w.unsent || batch_is_final(whole_status()) || log_tells();
	finish();
	whole_close();
	world_let_go();
	free(world.dir);
	exit(!s->fired ? NO_FAULT : told ? CAME_THROUGH : CAME_THROUGH_UNTOLD);
}

static int run(struct memory_sweep *s)
{
	int status;

	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child(s);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* ---- what must have become of it ---- */

static void assert_all_lines_once(void)
{
	struct batch b = batch_row(whole.batch_id);
	char path[PATH_MAX], text[1 << 12], id[16];

	snprintf(path, sizeof(path), "%s/files/%s.jsonl", world.dir, b.output_file_id);
	assert_int_equal(b.status, BATCH_COMPLETED);
	assert_int_equal(b.counts.completed, LINES);
	batch_done(&b);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	assert_int_equal(fclose(f), 0);
	const char *at = text;
	for (unsigned i = 0; i < LINES; i++) {
		snprintf(id, sizeof(id), "\"c-%u\"", i);
		at = strstr(at, id);
		assert_non_null(at++);
		assert_null(strstr(at, id));
	}
}

static void test_a_life(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		whole_init();
		sys.fsync = no_sync;
		upload_lines(LINES);
		batch_insert(whole.batch_id);
		world_let_go();
		int end = run(&s);
		if (end < NO_FAULT || end > EXHAUSTED)
			fail_msg("allocation %u: it ended with %d", s.nth, end);
		if (end == CAME_THROUGH_UNTOLD)
			fail_msg("allocation %u failed, and the log does not say so", s.nth);
		s.fired = end != NO_FAULT;
		s.faults += s.fired;
		world_take_up();
		if (end == EXHAUSTED)
			finish();
		if (whole_status() != BATCH_COMPLETED)
			fail_msg("allocation %u%s: it ended with %d, the batch in state %d", s.nth,
				 s.all_after ? " and all behind it" : "", end, whole_status());
		assert_all_lines_once();
		whole_close();
		world_close();
	}
}

/* A test that fails in a process of its own ends that, and no more. */
static int teardown(void **state)
{
	(void)state;
	if (w.child)
		_exit(1);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_a_life, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

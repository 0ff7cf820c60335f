/* test_coordinator_span.c: one span of a batch and its coordinator, turn by turn, on what
 * coordinator_unit.h has; in the place of the cluster stands what the test says. */
#include "coordinator_unit.h"

#include "blob/objects.h"
#include "memory_fault.h"
#include "node/node.h"
#include "pipeline/cluster.h"
#include "pipeline/span_order.h"

static struct {
	uint64_t objects;
	unsigned finished, given_back, orders;
	unsigned refuse; /* so many ends more are not answered */
	bool counting_held;
	struct span_end end; /* the last */
} cluster;

static bool counting_is_held(void)
{
	bool held = pthread_mutex_trylock(&w.day.counting) != 0;

	if (!held)
		pthread_mutex_unlock(&w.day.counting);
	return held;
}

/* ---- cluster.h, node.h, objects.h ---- */

struct node *cluster_node(struct cluster *cl)
{
	(void)cl;
	return NULL;
}

uint64_t node_object_take(struct node *n)
{
	(void)n;
	return ++cluster.objects;
}

void node_object_decided(struct node *n, uint64_t number)
{
	(void)n;
	(void)number;
}

void cluster_part_id(struct owner owner, uint64_t number, char ret[static ID_SIZE])
{
	(void)owner;
	snprintf(ret, ID_SIZE, "part-%u", (unsigned)number);
}

bool cluster_cut(struct cluster *cl, const struct batch *b, const struct span_input *input,
		 struct error *e)
{
	(void)cl;
	(void)b;
	(void)input;
	(void)e;
	return true;
}

bool cluster_finish(struct cluster *cl, struct owner me, const struct span_lent *span,
		    const struct span_end *end, bool *ret_finished, struct error *e)
{
	(void)cl;
	(void)me;
	(void)span;
	assert_true(counting_is_held());
	cluster.end = *end;
	if (cluster.refuse > 0) {
		cluster.refuse--;
		return fail(e, ERR_UNAVAILABLE, "no answer");
	}
	cluster.finished++;
	*ret_finished = true;
	return true;
}

bool cluster_give_back(struct cluster *cl, struct owner me, const struct span_lent *span,
		       struct error *e)
{
	(void)cl;
	(void)me;
	(void)span;
	(void)e;
	cluster.given_back++;
	return true;
}

bool cluster_pieces(struct cluster *cl, const struct span_id *span, struct span_piece **ret,
		    size_t *ret_n, struct error *e)
{
	(void)cl;
	(void)span;
	(void)e;
	*ret = NULL;
	*ret_n = 0;
	return true;
}

bool objects_read(struct blobs *blobs, const char *name, uint64_t at, void *to, size_t n,
		  struct error *e)
{
	(void)blobs;
	(void)at;
	(void)to;
	(void)n;
	return fail_sys(e, ENOENT, "no %s", name);
}

/* An order that becomes a blob. */
static int order_rename(const char *from, const char *to)
{
	int ret = rename(from, to);

	if (ret == 0 && strstr(to, "part-") != NULL) {
		cluster.orders++;
		cluster.counting_held = counting_is_held();
	}
	return ret;
}

/* ---- what the tests say ---- */

static int span_setup(void **state)
{
	memset(&cluster, 0, sizeof(cluster));
	int ret = setup(state);
	sys.rename = order_rename;
	return ret;
}

static int span_teardown(void **state)
{
	sys.rename = rename;
	return teardown(state);
}

static struct span_lent span_lent(void)
{
	struct span_lent lent = { .epoch = 1, .segments = 1, .lines = LINES };

	memcpy(lent.id.batch, w.batch_id, sizeof(lent.id.batch));
	return lent;
}

/* A batch that is in progress, and nobody's. */
static void batch_of_nobody(void)
{
	batch_of_lines(LINES);
	coordinator_end_process();
	fake_reset();
	MUST(recorder_open(&worker_recorder_ops, NULL, &world.recorder, &err));
	env_open();
	w.env.cluster = (struct cluster *)&cluster;
}

static void span_take_up(void)
{
	struct span_lent lent = span_lent();
	const struct owner me = { .node = 7, .epoch = 1 };

	MUST(coordinator_new_span(&w.env, &lent, me, &w.c, &err));
	coordinator_kick(w.c);
	turns_take();
}

static void assert_order(const char *home, const uint32_t *records, size_t n)
{
	struct order_entry e;
	struct blob_reader *r;
	size_t got;

	MUST(blob_open(world.blobs, home, BLOB_INDEX, &r, &err));
	for (size_t i = 0; i < n; i++) {
		MUST(order_read(r, (uint32_t)i + 1, &e, 1, &got, &err));
		assert_int_equal(got, 1);
		assert_int_equal(e.record, records[i]);
	}
	assert_int_equal(blob_bytes(r), (n + 1) * ORDER_ENTRY_BYTES);
	blob_reader_close(r);
}

/* ---- the end ---- */

static const uint32_t in_order[] = { 0, 1, 2 };

static void test_a_span_ends_with_its_parts_and_their_order(void **state)
{
	(void)state;
	batch_of_nobody();
	span_take_up();
	answer(2);
	answer(0);
	answer(1);
	to_the_end();
	assert_int_equal(cluster.finished, 1);
	assert_int_equal(cluster.end.output.lines, LINES);
	assert_order(cluster.end.output.name, in_order, LINES);
	assert_int_equal(scratch_count(world.dir, "batches"), 1); /* that of the batch */
}

static void test_by_completion_the_order_is_that_of_the_part(void **state)
{
	(void)state;
	const struct batch_options options = { .by_completion = true };
	const uint32_t records[] = { 2, 0, 1 };

	upload_lines(LINES);
	batch_begin_as(&options);
	coordinator_end_process();
	fake_reset();
	MUST(recorder_open(&worker_recorder_ops, NULL, &world.recorder, &err));
	env_open();
	w.env.cluster = (struct cluster *)&cluster;
	span_take_up();
	for (size_t i = 0; i < LINES; i++)
		answer(records[i]);
	to_the_end();
	assert_order(cluster.end.output.name, records, LINES);
}

/* Who counts the day does not wait for the bucket. */
static void test_counting_is_free_while_the_order_is_put(void **state)
{
	(void)state;
	batch_of_nobody();
	span_take_up();
	for (uint64_t i = 0; i < LINES; i++)
		answer(i);
	cluster.refuse = 2;
	WAIT_UNTIL((turns_take(), time_passes(1), w.ended == 1));
	assert_int_equal(cluster.finished, 1);
	assert_int_equal(cluster.orders, 1);
	assert_false(cluster.counting_held);
	assert_int_equal(cluster.end.day_tokens, 3 * LINES);
	assert_order(cluster.end.output.name, in_order, LINES);
}

/* ---- memory is out ---- */

/* What it did not take over is the caller's. */
static void test_there_is_no_memory_for_it(void **state)
{
	(void)state;
	const struct owner me = { .node = 7, .epoch = 1 };

	batch_of_nobody();
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct span_lent lent = span_lent();
		lent.pieces = calloc(1, sizeof(*lent.pieces));
		memory_fail(&s);
		bool ok = coordinator_new_span(&w.env, &lent, me, &w.c, &err);
		memory_restore(&s);
		if (ok)
			coordinator_free(TAKE(w.c));
		else
			assert_no_memory(&err);
		span_lent_done(&lent);
		assert_int_equal(w.env.unread, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, span_setup, span_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_span_ends_with_its_parts_and_their_order),
		TEST(test_by_completion_the_order_is_that_of_the_part),
		TEST(test_counting_is_free_while_the_order_is_put),
		TEST(test_there_is_no_memory_for_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_chunks.c: groups of records become chunks, of which the bucket and the database refuse some. */
#include "unit.h"

#include "blob/objects.h"
#include "pipeline/chunks.h"
#include "pipeline/cluster.h"
#include "pipeline/worker.h"

#define MIB (1u << 20)
#define LINES_MAX 16u
#define CALLS_MAX 16u

struct call {
	char chunk[64];
	uint64_t bytes; /* of the object */
	struct piece_settled pieces[RECORDED_MAX];
	size_t n;
};

static struct {
	struct call calls[CALLS_MAX];
	unsigned puts, asked, settled, refusals;
	unsigned fail_put, fail_settle; /* the n-th, from 1; 0: none */
	uint32_t lost;                  /* bit a span: it is another's */
	unsigned lost_from;             /* call */
	uint64_t objects;
} fake;

/* ---- cluster.h, node.h, worker.h, store/pieces.h, objects.h ---- */

const struct worker_span *worker_span(const void *owner)
{
	return owner;
}

struct node *cluster_node(struct cluster *cl)
{
	(void)cl;
	return NULL;
}

struct db *cluster_recorder_db(struct cluster *cl)
{
	(void)cl;
	return NULL;
}

struct owner node_owner(struct node *n)
{
	(void)n;
	return (struct owner){ .node = 1, .epoch = 2 };
}

uint64_t node_object_take(struct node *n)
{
	(void)n;
	return ++fake.objects;
}

void node_object_decided(struct node *n, uint64_t number)
{
	(void)n;
	assert_int_equal(number, fake.objects);
}

void node_refused(struct node *n)
{
	(void)n;
	fake.refusals++;
}

bool objects_put(struct blobs *blobs, const char *name, struct slice bytes, struct error *err)
{
	(void)blobs;
	if (++fake.puts == fake.fail_put)
		return fail(err, ERR_UNAVAILABLE, "the bucket");
	struct call *call = &fake.calls[fake.settled];
	snprintf(call->chunk, sizeof(call->chunk), "%s", name);
	call->bytes = bytes.n;
	return true;
}

bool store_pieces_settle(struct db *db, struct owner me, const char *chunk,
			 struct piece_settled *pieces, size_t n, struct error *err)
{
	(void)db;
	(void)me;
	assert_true(fake.settled < CALLS_MAX);
	struct call *call = &fake.calls[fake.settled];
	assert_string_equal(chunk, call->chunk);
	if (++fake.asked == fake.fail_settle)
		return fail(err, ERR_UNAVAILABLE, "the database");
	memcpy(call->pieces, pieces, n * sizeof(*pieces));
	call->n = n;
	for (size_t i = 0; i < n; i++)
		pieces[i].is_held = (fake.lost & 1u << pieces[i].span.n) == 0 ||
				    fake.settled < fake.lost_from;
	fake.settled++;
	return true;
}

/* ---- a group ---- */

struct group {
	char *dir;
	struct worker_span spans[3];
	struct journal *journals[3];
	struct recorded parts[3];
	size_t n;
	struct chunks chunks;
};

static void nothing(void *ctx, const struct journal_head *head, uint64_t at)
{
	(void)ctx;
	(void)head;
	(void)at;
}

/* Lines whose answers have so many bytes, in the journal. */
static struct outcome *lines_write(struct journal *j, const size_t *bytes, size_t n)
{
	AUTO(buf_free) struct buf records = BUF(64 * MIB);
	struct outcome *first = NULL, **end = &first;
	uint64_t at = journal_end(j);
	struct error err;

	for (size_t i = 0; i < n; i++) {
		struct outcome *o = outcome_new(NULL, i, SLICE("c"));
		assert_non_null(o);
		o->attempts = 2;
		o->http_status = 200;
		o->number = journal_number_take(j);
		o->body = BUF(32 * MIB);
		buf_text(&o->body, "{\"p\":\"");
		for (size_t k = 0; k < bytes[i]; k++)
			buf_char(&o->body, 'p');
		buf_text(&o->body, "\"}");
		size_t before = records.n;
		o->journal_at = at + before;
		assert_true(journal_encode(o, &records));
		o->journal_bytes = records.n - before;
		*end = o;
		end = &o->next;
	}
	assert_true(journal_append(j, buf_slice(&records), &err) && journal_sync(j, &err));
	return first;
}

static void part_add(struct group *g, const size_t *bytes, size_t n)
{
	size_t i = g->n++;
	char path[PATH_MAX];
	struct journal_found found;
	struct error err;

	g->spans[i] = (struct worker_span){ .id = { .batch = "batch-a", .n = (uint32_t)i } };
	snprintf(path, sizeof(path), "%s/%zu.journal", g->dir, i);
	assert_true(journal_open(path, JOURNAL_START, LINES_MAX, nothing, NULL, &g->journals[i],
				 &found, &err));
	uint64_t at = journal_end(g->journals[i]);
	struct outcome *first = lines_write(g->journals[i], bytes, n);
	g->parts[i] = (struct recorded){
		.owner = &g->spans[i],
		.first = first,
		.journal = g->journals[i],
		.at = at,
		.end = journal_end(g->journals[i]),
	};
}

static void group_open(struct group *g)
{
	memset(&fake, 0, sizeof(fake));
	*g = (struct group){ .dir = scratch_dir_new() };
	chunks_init(&g->chunks, NULL, NULL);
}

static void group_close(struct group *g)
{
	chunks_done(&g->chunks);
	for (size_t i = 0; i < g->n; i++) {
		struct outcome *o = (struct outcome *)g->parts[i].first;
		while (o != NULL) {
			struct outcome *next = o->next;
			outcome_free(o);
			o = next;
		}
		journal_close(g->journals[i]);
	}
	scratch_dir_remove(g->dir);
}

/* Again and again, as the recorder asks; how often it failed. */
static unsigned publish(struct group *g)
{
	struct error err;
	unsigned failed = 0;

	while (!chunks_publish(&g->chunks, g->parts, g->n, &err)) {
		assert_int_equal(err.kind, ERR_UNAVAILABLE);
		failed++;
	}
	return failed;
}

/* Every line of the part is in one piece, and they are its bytes one behind the other. */
static void assert_settled_once(const struct group *g, size_t part, uint64_t lines)
{
	uint64_t length = 0, completed = 0;

	for (unsigned k = 0; k < fake.settled; k++)
		for (size_t i = 0; i < fake.calls[k].n; i++) {
			const struct piece_settled *p = &fake.calls[k].pieces[i];
			if (p->span.n != part)
				continue;
			assert_true(p->at + p->length <= fake.calls[k].bytes);
			length += p->length;
			completed += p->counts.completed;
			assert_int_equal(p->counts.retried, p->counts.completed);
		}
	assert_int_equal(length, g->parts[part].end - g->parts[part].at);
	assert_int_equal(completed, lines);
}

static const size_t small[] = { 10, 20, 30 };
static const size_t large[] = { 6 * MIB, 6 * MIB, 6 * MIB, 6 * MIB, 6 * MIB };

static void a_group_that_fits_is_one_chunk(void **state)
{
	(void)state;
	struct group g;

	group_open(&g);
	part_add(&g, small, 3);
	part_add(&g, small, 2);
	part_add(&g, small, 1);
	assert_int_equal(publish(&g), 0);
	assert_int_equal(fake.settled, 1);
	assert_int_equal(fake.calls[0].n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_settled_once(&g, i, 3 - i);
	group_close(&g);
}

static void a_large_one_is_several(void **state)
{
	(void)state;
	struct group g;

	group_open(&g);
	part_add(&g, small, 3);
	part_add(&g, large, 5);
	part_add(&g, small, 3);
	assert_int_equal(publish(&g), 0);
	assert_int_equal(fake.settled, 3); /* 2 large, 2, and 1 */
	for (unsigned k = 0; k < 3; k++) {
		assert_true(fake.calls[k].bytes <= 16 * MIB);
		for (unsigned other = 0; other < k; other++)
			assert_string_not_equal(fake.calls[k].chunk, fake.calls[other].chunk);
	}
	assert_int_equal(fake.calls[0].n, 2);
	assert_int_equal(fake.calls[1].n, 1);
	assert_int_equal(fake.calls[2].n, 2);
	assert_settled_once(&g, 0, 3);
	assert_settled_once(&g, 1, 5);
	assert_settled_once(&g, 2, 3);
	/* and the next group begins anew */
	fake.settled = 0;
	assert_int_equal(publish(&g), 0);
	assert_int_equal(fake.settled, 3);
	group_close(&g);
}

static void a_line_of_more_has_one_of_its_own(void **state)
{
	(void)state;
	const size_t lines[] = { 10, 20 * MIB, 10 };
	struct group g;

	group_open(&g);
	part_add(&g, lines, 3);
	assert_int_equal(publish(&g), 0);
	assert_int_equal(fake.settled, 3);
	assert_true(fake.calls[1].bytes > 20 * MIB);
	assert_settled_once(&g, 0, 3);
	group_close(&g);
}

static void what_is_settled_is_not_settled_again(void **state)
{
	(void)state;

	for (unsigned nth = 1; nth <= 3; nth++)
		for (unsigned of_put = 0; of_put < 2; of_put++) {
			struct group g;
			group_open(&g);
			part_add(&g, small, 3);
			part_add(&g, large, 5);
			fake.fail_put = of_put ? nth : 0;
			fake.fail_settle = of_put ? 0 : nth;
			assert_int_equal(publish(&g), 1);
			assert_int_equal(fake.settled, 3);
			assert_int_equal(fake.puts, of_put ? 4 : 3);
			assert_settled_once(&g, 0, 3);
			assert_settled_once(&g, 1, 5);
			group_close(&g);
		}
}

static void a_part_is_lost_from_any_of_its_chunks_on(void **state)
{
	(void)state;
	struct group g;

	group_open(&g);
	part_add(&g, small, 3);
	part_add(&g, large, 5);
	fake.lost = 1u << 1;
	fake.lost_from = 1;
	fake.fail_settle = 3; /* it is still known when it goes on */
	assert_int_equal(publish(&g), 1);
	assert_false(g.parts[0].is_lost);
	assert_true(g.parts[1].is_lost);
	assert_int_equal(fake.refusals, 2);
	group_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_that_fits_is_one_chunk),
		cmocka_unit_test(a_large_one_is_several),
		cmocka_unit_test(a_line_of_more_has_one_of_its_own),
		cmocka_unit_test(what_is_settled_is_not_settled_again),
		cmocka_unit_test(a_part_is_lost_from_any_of_its_chunks_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

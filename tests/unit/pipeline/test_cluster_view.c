/* Pulses of open batches, however many: what the database and the others say is the test's. */
#include "unit.h"

#include "pipeline/cluster_impl.h"

#define BATCHES (2 * SPAN_PROGRESS_MAX + 7)

struct db *__wrap_cluster_view_db_borrow(struct cluster *cl);
void __wrap_cluster_view_db_return(struct cluster *cl, struct db *db);
bool __wrap_cluster_batches_open(struct cluster *cl, char (**ret)[ID_SIZE], size_t *ret_n,
				 struct error *err);
bool __wrap_store_span_progress(struct db *db, const char (*batches)[ID_SIZE], size_t n,
				struct span_progress *ret, struct error *err);
struct report_batch *__wrap_reports_own(struct reports *r, size_t *ret_n);
void __wrap_reports_look(struct reports *r);
void __wrap_reports_batch_add(struct reports *r, struct report_batch *to);

static size_t open_n;
static unsigned pulses;

struct db *__wrap_cluster_view_db_borrow(struct cluster *cl)
{
	(void)cl;
	return NULL;
}

void __wrap_cluster_view_db_return(struct cluster *cl, struct db *db)
{
	(void)cl;
	(void)db;
}

bool __wrap_cluster_batches_open(struct cluster *cl, char (**ret)[ID_SIZE], size_t *ret_n,
				 struct error *err)
{
	(void)cl;
	(void)err;
	*ret = calloc(open_n + 1, ID_SIZE);
	for (size_t i = 0; i < open_n; i++)
		snprintf((*ret)[i], ID_SIZE, "batch-%zu", i);
	*ret_n = open_n;
	return true;
}

/* Every seventh has no spans. */
bool __wrap_store_span_progress(struct db *db, const char (*batches)[ID_SIZE], size_t n,
				struct span_progress *ret, struct error *err)
{
	(void)db;
	(void)err;
	assert_in_range(n, 1, SPAN_PROGRESS_MAX);
	for (size_t i = 0; i < n; i++) {
		uint64_t number = strtoull(batches[i] + 6, NULL, 10);
		ret[i] = (struct span_progress){ .spans = number % 7 != 0,
						 .counts.completed = number };
	}
	return true;
}

struct report_batch *__wrap_reports_own(struct reports *r, size_t *ret_n)
{
	(void)r;
	*ret_n = 0;
	return NULL;
}

void __wrap_reports_look(struct reports *r)
{
	(void)r;
}

void __wrap_reports_batch_add(struct reports *r, struct report_batch *to)
{
	(void)r;
	(void)to;
}

static void on_pulse(void *ctx, const struct batch_pulse *pulse)
{
	char id[ID_SIZE];

	(void)ctx;
	snprintf(id, sizeof(id), "batch-%llu", (unsigned long long)pulse->ended);
	assert_string_equal(pulse->id, id);
	pulses++;
}

static void all_that_have_spans_are_pulsed(void **state)
{
	static const size_t counts[] = { 0, 1, SPAN_PROGRESS_MAX, BATCHES };
	struct cluster cl = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		open_n = counts[i];
		pulses = 0;
		cluster_pulses(&cl, on_pulse, NULL);
		assert_int_equal(pulses, open_n - (open_n + 6) / 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all_that_have_spans_are_pulsed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

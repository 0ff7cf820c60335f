/* test_opening_memory.c: memory runs out while the pipeline opens, on the real dispatch and client:
 * what was opened before is freed (ASan tells), and the error says why. */
#include "memory_fault.h"

#include "base/log.h"
#include "pipeline/pipeline.h"

static struct {
	char *dir;
	struct store *store;
	struct blobs *blobs;
	struct error err;
} w;

static int setup(void **state)
{
	char path[PATH_MAX];

	(void)state;
	log_set_level(LOG_OFF);
	w.dir = scratch_dir_new();
	snprintf(path, sizeof(path), "%s/batches", w.dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(store_open(w.dir, &w.store, &w.err));
	assert_true(blobs_open(w.dir, NULL, &w.blobs, &w.err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	blobs_close(w.blobs);
	store_close(w.store);
	scratch_dir_remove(w.dir);
	return 0;
}

static void test_an_opening(void **state)
{
	(void)state;
	char name[] = "one", url[] = "http://127.0.0.1:9/v1", model[] = "m";
	char *models[] = { model, NULL };
	const struct upstream_config upstreams[] = {
		{ .name = name,
		  .base_url = url,
		  .models = models,
		  .weight = 1,
		  .max_concurrency = 4 },
	};
	const struct pipeline_config config = {
		.upstreams = upstreams,
		.upstream_count = 1,
		.max_attempts = 3,
		.line_timeout_ms = 1000,
		.sweep_ms = 3600000,
	};

	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct pipeline *p = NULL;
		memory_fail(&s);
		bool ok = pipeline_open(w.dir, &config, w.store, w.blobs, &p, &w.err);
		memory_restore(&s);
		if (!ok)
			assert_no_memory(&w.err);
		else
			pipeline_close(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_opening, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

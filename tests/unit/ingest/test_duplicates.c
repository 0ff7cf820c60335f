/* duplicates: held against a plain table of which custom_id came first. */
#include "ingest_unit.h"

#include "ingest/duplicates.h"

/* Record r has the custom_id number id_of(r): the tests choose. */
static struct {
	uint64_t records;
	uint64_t ids;    /* different ones */
	uint64_t hashes; /* different ones; 0: one for each id */
	unsigned char *marked;
	uint64_t read; /* custom_ids read back */
} file;

static uint64_t id_of(uint64_t record)
{
	return record * 2654435761u % file.ids;
}

static uint64_t hash_of(uint64_t id)
{
	if (file.hashes != 0)
		id %= file.hashes;
	return (id + 1) * UINT64_C(0x9E3779B97F4A7C15);
}

static bool read_id(void *ctx, uint64_t record, char to[static CUSTOM_ID_MAX_BYTES], size_t *ret_n,
		    struct error *err)
{
	(void)ctx;
	(void)err;
	file.read++;
	*ret_n = (size_t)snprintf(to, CUSTOM_ID_MAX_BYTES, "id-%llu",
				  (unsigned long long)id_of(record));
	return true;
}

static bool mark(void *ctx, uint64_t record, struct error *err)
{
	(void)ctx;
	(void)err;
	assert_int_equal(file.marked[record], 0);
	file.marked[record] = 1;
	return true;
}

static const struct duplicates_io io = { read_id, mark, NULL };

static bool collect(struct blobs *where, struct error *err)
{
	struct duplicates *d;

	if (!duplicates_open(where, &d, err))
		return false;
	bool ok = true;
	for (uint64_t r = 0; ok && r < file.records; r++)
		ok = duplicates_add(d, hash_of(id_of(r)), r, err);
	ok = ok && duplicates_resolve(d, &io, err);
	duplicates_close(d);
	return ok;
}

static void check(uint64_t records, uint64_t ids, uint64_t hashes, struct blobs *where)
{
	struct error err;
	unsigned char *seen = calloc(ids, 1);

	file.records = records;
	file.ids = ids;
	file.hashes = hashes;
	file.read = 0;
	file.marked = calloc(records + 1, 1);
	if (!collect(where, &err))
		fail_msg("%s", err.detail);
	for (uint64_t r = 0; r < records; r++) {
		if (file.marked[r] != seen[id_of(r)])
			fail_msg("record %llu of %llu", (unsigned long long)r,
				 (unsigned long long)records);
		seen[id_of(r)] = 1;
	}
	free(seen);
	free(file.marked);
	assert_int_equal(scratch_count(dir, "tmp"), 0);
}

static void every_later_one_is_found(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 2, 3, 31, 32, 33, 255, 256, 257, 1000, 5000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		check(sizes[i], sizes[i] + 1, 0, blobs);
		assert_int_equal(file.read, 0); /* nothing suspicious, nothing read */
		check(sizes[i], sizes[i] / 2 + 1, 0, blobs);
		check(sizes[i], sizes[i] / 100 + 1, 0, NULL);
		check(sizes[i], 1, 0, blobs);
	}
}

/* A run holds 131,072: one full run exactly, one more, several. */
static void in_spilled_runs_too(void **state)
{
	(void)state;
	check(131072, 131072, 0, blobs);
	check(131072, 70000, 0, blobs);
	check(131073, 131072, 0, blobs);
	check(400000, 1000000, 0, blobs);
	assert_int_equal(file.read, 0);
	check(400000, 399999, 0, blobs);
	check(400000, 150000, 0, NULL);
	check(300000, 1, 0, blobs);
}

static void equal_hashes_are_no_proof(void **state)
{
	(void)state;
	check(1000, 2000, 100, blobs);
	check(1000, 700, 50, blobs);
	check(3000, 1500, 1, blobs);
	check(300000, 150000, 60000, blobs);
}

static void any_failing_write_is_told_and_leaves_nothing(void **state)
{
	struct error err;
	bool fired = true;

	(void)state;
	file.records = 300000;
	file.ids = 200000;
	file.hashes = 0;
	for (int nth = 1; fired; nth++) {
		file.marked = calloc(file.records, 1);
		sys_fail_nth(nth, ENOSPC);
		bool ok = collect(blobs, &err);
		fired = sys_restore();
		assert_int_equal(ok, !fired);
		assert_true(ok || err.kind == ERR_NO_SPACE);
		assert_int_equal(scratch_count(dir, "tmp"), 0);
		free(file.marked);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_later_one_is_found),
		cmocka_unit_test(in_spilled_runs_too),
		cmocka_unit_test(equal_hashes_are_no_proof),
		cmocka_unit_test(any_failing_write_is_told_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, store_setup, store_teardown);
}

/* Memory runs out between an upload's first byte and its verdict: what fails says so and leaves
 * nothing on disk; what does not gives the same index and the same findings. */
#include "memory_fault.h"

#include <fcntl.h>

#include "base/sys.h"
#include "ingest/duplicates.h"
#include "ingest/verdict.h"
#include "ingest_unit.h"

#define BODY(model) "{\"model\":\"" model "\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"
#define LINE(id, body)         \
	"{\"custom_id\":\"" id \
	"\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":" body "}\n"

/* Lines of all kinds: good, blank, of other models and urls, twice, with every fault of line.h. */
static const char mixed_text[] = "\xef\xbb\xbf" LINE("a", BODY("m")) "\r\n" LINE(
	"b", BODY("m2")) LINE("a", BODY("m")) LINE("esc\\u00e4", BODY("m"))
	LINE("esc\\u00e4",
	     BODY("m")) "not json\n[1]\n{}\n"
			"{\"custom_id\":7,\"method\":\"GET\",\"url\":\"/v1/other\",\"body\":[]}\n"
			"{\"custom_id\":\"s\",\"method\":\"PUT\",\"url\":\"/v1/chat/completions\",\"body\":"
			"{\"model\":\"m\",\"messages\":[],\"stream\":true,\"temperature\":1}}\n"
			"{\"custom_id\":\"t\",\"body\":{\"messages\":[]}}\n"
			"{\"custom_id\":\"\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":" BODY(
				"m") "}\n" LINE("last", BODY("m")) "{\"custom_id\":\"no end\"";

/* Two good lines. */
static const char good_text[] = LINE("a", BODY("m")) LINE("b", BODY("m"));

static const struct ingest_limits limits = { .line_bytes = 4096 };

static bool upload(struct slice text, struct error *err)
{
	struct ingest *in;

	if (!ingest_open(blobs, &limits, &in, err))
		return false;
	for (size_t at = 0; at < text.n; at += 7) { /* nearly every line straddles two chunks */
		size_t n = text.n - at < 7 ? text.n - at : 7;
		if (!ingest_write(in, (struct slice){ text.p + at, n }, err)) {
			ingest_abort(in);
			return false;
		}
	}
	if (!ingest_finish(in, err)) {
		ingest_abort(in);
		return false;
	}
	return ingest_commit(in, "file-test", err);
}

/* What is in the file is what is in `text` when nothing fails. */
static void check_index(struct ingested *file, const char *text)
{
	static struct index_record records[64];
	static uint64_t lines;
	static const char *known;

	if (known != text) {
		known = text;
		lines = ingested_lines(file);
		assert_true(lines < ARRAY_LEN(records));
		for (uint64_t i = 0; i < lines; i++)
			records[i] = ingested_record(file, i);
	}
	assert_int_equal(ingested_lines(file), lines);
	for (uint64_t i = 0; i < lines; i++) {
		struct index_record r = ingested_record(file, i);
		r.custom_id_hash = records[i].custom_id_hash; /* keyed per file */
		assert_memory_equal(&r, &records[i], sizeof(r));
	}
}

static void uploading(void **state)
{
	static const char *const texts[] = { mixed_text, good_text, "" };

	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
		for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
			struct error err;
			memory_fail(&s);
			bool ok = upload(slice_of(texts[t]), &err);
			memory_restore(&s);
			if (!ok) {
				assert_no_memory(&err);
				assert_int_equal(scratch_count(dir, "files"), 0);
				assert_int_equal(scratch_count(dir, "tmp"), 0);
				assert_true(upload(slice_of(texts[t]), &err));
			}
			struct ingested file = ingested_open("file-test");
			check_index(&file, texts[t]);
			ingested_close(&file);
		}
	}
}

/* `lowtide run` and `lowtide check`: with a store of blobs, and without. */
static void where_it_lies(void **state)
{
	char path[PATH_MAX];

	(void)state;
	snprintf(path, sizeof(path), "%s/input.jsonl", dir);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(mixed_text, 1, strlen(mixed_text), f), strlen(mixed_text));
	assert_int_equal(fclose(f), 0);
	for (int with = 0; with < 2; with++) {
		struct blobs *store = with ? blobs : NULL;
		for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
			struct index *ix = NULL;
			struct error err;
			char sha256[65];
			struct blob_reader *in;
			int fd = open(path, O_RDONLY | O_CLOEXEC);
			assert_true(blob_reader_of_file(fd, path, &in, &err));
			memory_fail(&s);
			bool ok = ingest_file(store, in, &limits, "file-test", sha256, &ix, &err);
			if (ok && with)
				ok = blob_lend(blobs, "file-test", path, &err);
			memory_restore(&s);
			if (!ok)
				assert_no_memory(&err);
			index_close(ix);
			blob_reader_close(in); /* it is still the caller's */
			assert_int_equal(scratch_count(dir, "tmp"), 0);
			assert_true(blob_remove(blobs, "file-test", &err));
		}
	}
}

static void reading_the_index(void **state)
{
	struct ingested file = ingested_limited(slice_of(mixed_text), SIZE_MAX, &limits);

	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct index *ix = NULL;
		struct error err;
		struct blob_reader *file_of;
		assert_true(blob_open(blobs, "file-test", BLOB_INDEX, &file_of, &err));
		memory_fail(&s);
		bool ok = index_open(file_of, &ix, &err);
		memory_restore(&s);
		assert_true(ok == !s.fired);
		if (!ok) {
			assert_no_memory(&err);
			continue;
		}
		assert_int_equal(index_summary(ix)->model_count, 2);
		index_close(ix);
	}
	ingested_close(&file);
}

static bool serves_m(void *ctx, const char *model)
{
	(void)ctx;
	return strcmp(model, "m") == 0;
}

static void judging(void **state)
{
	const struct verdict_rules rules = {
		.strict_lines = true,
		.refuse_sampling = true,
		.endpoint = "/v1/chat/completions",
		.lines_max = 3,
		.model_served = serves_m,
	};
	struct ingested file = ingested_limited(slice_of(mixed_text), SIZE_MAX, &limits);
	struct buf expected = BUF(1 << 20);
	uint64_t all, count;
	struct error err;

	(void)state;
	assert_true(verdict_errors(file.index, file.blob, &rules, &expected, &all, &err));
	assert_true(all > 8);
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct buf found = BUF(1 << 20);
		memory_fail(&s);
		bool ok = verdict_errors(file.index, file.blob, &rules, &found, &count, &err);
		memory_restore(&s);
		assert_true(ok == !s.fired);
		if (!ok)
			assert_no_memory(&err);
		else
			assert_true(slice_eq(buf_slice(&found), buf_slice(&expected)));
		buf_free(&found);
	}
	buf_free(&expected);
	ingested_close(&file);
}

/* ---- duplicates: more than memory may hold, so that runs are spilled and merged ---- */

#define ENTRIES 300000u
#define TWICE 1000u

struct marked {
	unsigned n;
};

static bool id_read(void *ctx, uint64_t record, char to[static CUSTOM_ID_MAX_BYTES], size_t *ret_n,
		    struct error *err)
{
	(void)ctx;
	(void)err;
	*ret_n = (size_t)snprintf(to, CUSTOM_ID_MAX_BYTES, "%u",
				  (unsigned)(record % (ENTRIES - TWICE)));
	return true;
}

static bool mark(void *ctx, uint64_t record, struct error *err)
{
	struct marked *m = ctx;

	(void)err;
	assert_true(record >= ENTRIES - TWICE);
	m->n++;
	return true;
}

static bool resolve(struct marked *m, struct error *err)
{
	struct duplicates_io io = { id_read, mark, m };
	struct duplicates *d;

	if (!duplicates_open(blobs, &d, err))
		return false;
	bool ok = true;
	for (uint64_t i = 0; ok && i < ENTRIES; i++)
		ok = duplicates_add(d, i % (ENTRIES - TWICE) * UINT64_C(0x9e3779b97f4a7c15), i,
				    err);
	ok = ok && duplicates_resolve(d, &io, err);
	duplicates_close(d);
	return ok;
}

static void spilling(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct marked m = { 0 };
		struct error err;
		memory_fail(&s);
		bool ok = resolve(&m, &err);
		memory_restore(&s);
		assert_true(ok == !s.fired);
		if (!ok)
			assert_no_memory(&err);
		else
			assert_int_equal(m.n, TWICE);
		assert_int_equal(scratch_count(dir, "tmp"), 0);
	}
}

/* ---- blobs ---- */

static enum blob_standing none_known(void *ctx, const char *id)
{
	(void)ctx;
	(void)id;
	return BLOB_UNKNOWN;
}

static void opening_blobs(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct blobs *again = NULL;
		struct error err;
		memory_fail(&s);
		bool ok = blobs_open(dir, NULL, &again, &err) &&
			  blobs_sweep(again, none_known, NULL, 1750000000, &err);
		memory_restore(&s);
		assert_true(ok == !s.fired);
		if (!ok)
			assert_no_memory(&err);
		blobs_close(again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uploading),         cmocka_unit_test(where_it_lies),
		cmocka_unit_test(reading_the_index), cmocka_unit_test(judging),
		cmocka_unit_test(spilling),          cmocka_unit_test(opening_blobs),
	};

	return cmocka_run_group_tests(tests, store_setup, store_teardown);
}

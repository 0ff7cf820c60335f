/* The pass over an upload: the same index whatever the chunks, nothing left of what fails, little
 * memory whatever the size. */
#include "ingest_unit.h"

#include "blob_fake.h"

#include <fcntl.h>
#include <openssl/sha.h>

#define GOOD_BODY "\"body\":{\"model\":\"m\",\"messages\":[]}"
#define GOOD(id)               \
	"{\"custom_id\":\"" id \
	"\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\"," GOOD_BODY "}"

/* ---- lines ---- */

static void check_lines(const char *text, const uint32_t *lines, const uint32_t *flags, size_t n)
{
	for (size_t chunk = 1; chunk <= strlen(text) + 1; chunk++) {
		struct ingested f = ingested_limited(slice_of(text), chunk, &no_limits);
		assert_int_equal(ingested_lines(&f), n);
		for (size_t i = 0; i < n; i++) {
			struct index_record r = ingested_record(&f, i);
			assert_int_equal(r.line, lines[i]);
			assert_int_equal(r.flags, flags[i]);
			struct error err;
			char line[512];
			assert_true(blob_read_at(f.blob, r.offset, line, r.length, &err));
			assert_null(memchr(line, '\n', r.length));
			if (flags[i] == 0) {
				assert_memory_equal(line + r.body_offset, "{\"model\"", 8);
				assert_int_equal(line[r.body_offset + r.body_length - 1], '}');
				assert_int_equal(line[r.custom_id_offset - 1], '"');
				assert_int_equal(line[r.custom_id_offset + r.custom_id_length],
						 '"');
			}
		}
		ingested_close(&f);
	}
}

#define CHECK_LINES(text, n, ...)                                          \
	do {                                                               \
		static const uint32_t pairs[2][(n) + 1] = { __VA_ARGS__ }; \
		check_lines(text, pairs[0], pairs[1], n);                  \
	} while (0)

static void lines_are_found(void **state)
{
	(void)state;
	CHECK_LINES("", 0, { 0 }, { 0 });
	CHECK_LINES("\n", 0, { 0 }, { 0 });
	CHECK_LINES(" \t\r\n\r\n\n  ", 0, { 0 }, { 0 });
	CHECK_LINES("\xef\xbb\xbf", 0, { 0 }, { 0 });
	CHECK_LINES("\xef\xbb\xbf\r\n", 0, { 0 }, { 0 });
	CHECK_LINES(GOOD("a"), 1, { 1 }, { 0 });
	CHECK_LINES(GOOD("a") "\n", 1, { 1 }, { 0 });
	CHECK_LINES("\xef\xbb\xbf" GOOD("a") "\r\n" GOOD("b"), 2, { 1, 2 }, { 0, 0 });
	CHECK_LINES("\n" GOOD("a") "\n \r\n\n" GOOD("b") "\n\n", 2, { 2, 5 }, { 0, 0 });
	CHECK_LINES("x\n" GOOD("a") "\n\xef\xbb\xbf" GOOD("b") "\r", 3, { 1, 2, 3 },
		    { LINE_NOT_JSON, 0, LINE_NOT_JSON });
	CHECK_LINES("\xef\xbb\n[]\n" GOOD("b"), 3, { 1, 2, 3 },
		    { LINE_NOT_JSON, LINE_NOT_OBJECT, 0 });
	CHECK_LINES(GOOD("a") "\r" GOOD("b") "\n", 1, { 1 }, { LINE_NOT_JSON });
	CHECK_LINES(GOOD("a") "\n" GOOD("\\u0061") "\n" GOOD("b") "\n" GOOD("a"), 4, { 1, 2, 3, 4 },
		    { 0, LINE_DUPLICATE_ID, 0, LINE_DUPLICATE_ID });
}

static void only_good_custom_ids_are_duplicates(void **state)
{
	(void)state;
	CHECK_LINES("{\"custom_id\":\"\",\"method\":\"POST\",\"url\":\"\"," GOOD_BODY "}\n"
		    "{\"custom_id\":\"\",\"method\":\"POST\",\"url\":\"\"," GOOD_BODY "}\n"
		    "{\"custom_id\":1,\"method\":\"POST\",\"url\":\"\"," GOOD_BODY "}\n"
		    "{\"custom_id\":1,\"method\":\"POST\",\"url\":\"\"," GOOD_BODY "}\n"
		    "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"\",\"body\":1}\n" GOOD("a"),
		    6, { 1, 2, 3, 4, 5, 6 },
		    { LINE_CUSTOM_ID_LENGTH, LINE_CUSTOM_ID_LENGTH, LINE_CUSTOM_ID_NOT_STRING,
		      LINE_CUSTOM_ID_NOT_STRING,
		      LINE_BODY_NOT_OBJECT | LINE_MODEL_MISSING | LINE_MESSAGES_MISSING,
		      LINE_DUPLICATE_ID });
}

static void long_lines_are_known_by_their_length(void **state)
{
	static const char *const breaks[] = { "\n", "\r\n", "" };
	struct ingest_limits limits = { .line_bytes = 100 };
	char text[400];

	(void)state;
	for (size_t length = 98; length < 110; length++) {
		for (size_t k = 0; k < ARRAY_LEN(breaks) * 2; k++) {
			for (size_t chunk = 1; chunk < 140; chunk += 1 + chunk / 16) {
				size_t bom = k % 2 == 0 ? 0 : 3;
				size_t n = (size_t)sprintf(text, "%s{\"custom_id\":\"a\"}",
							   bom != 0 ? "\xef\xbb\xbf" : "");
				memset(text + n, ' ', length);
				n = bom + length;
				n += (size_t)sprintf(text + n, "%s", breaks[k / 2]);
				bool last = breaks[k / 2][0] == '\0';
				if (!last)
					n += (size_t)sprintf(text + n, "{\"custom_id\":\"b\"}");
				struct ingested f = ingested_limited((struct slice){ text, n },
								     chunk, &limits);
				struct index_record r = ingested_record(&f, 0);
				assert_int_equal((r.flags & LINE_TOO_LONG) != 0, length > 100);
				assert_int_equal((r.flags & LINE_METHOD_MISSING) != 0,
						 length <= 100);
				assert_int_equal(r.offset, bom);
				assert_int_equal(r.length, length + (breaks[k / 2][0] == '\r'));
				assert_int_equal(ingested_lines(&f), last ? 1 : 2);
				if (!last)
					assert_false(ingested_record(&f, 1).flags & LINE_TOO_LONG);
				ingested_close(&f);
			}
		}
	}
}

/* ---- any split of the bytes ---- */

static struct slice mixed_text(void)
{
	static char text[200000];
	size_t n = 0;

	srandom(7);
	while (n < sizeof(text) - 5000) {
		switch (random() % 8) {
		case 0:
			n += (size_t)sprintf(text + n, "\r\n");
			break;
		case 1:
			n += (size_t)sprintf(text + n, "{\"custom_id\":\"broken\",\xff\n");
			break;
		case 2:
			n += (size_t)sprintf(text + n,
					     "{\"custom_id\":\"%ld\",\"body\":{\"model\":"
					     "\"model-%ld\",\"input\":[[],[]]}}\n",
					     random() % 100, random() % 300);
			break;
		case 3:
			n += (size_t)sprintf(text + n, "{\"custom_id\":\"%0*d\"}\n",
					     (int)(random() % 3000), 1);
			break;
		default:
			n += (size_t)sprintf(text + n,
					     "{\"custom_id\":\"r%ld\",\"method\":\"POST\","
					     "\"url\":\"/v1/%ld\",\"body\":{\"model\":\"m\"}}\n",
					     random() % 2000, random() % 3);
		}
	}
	return (struct slice){ text, n };
}

static void same_file(const struct ingested *a, const struct ingested *b)
{
	const struct index_summary *sa = index_summary(a->index), *sb = index_summary(b->index);

	assert_int_equal(sa->lines, sb->lines);
	assert_int_equal(sa->inputs, sb->inputs);
	assert_int_equal(sa->body_bytes, sb->body_bytes);
	assert_int_equal(sa->flags_any, sb->flags_any);
	assert_int_equal(sa->model_count, sb->model_count);
	assert_int_equal(sa->url_count, sb->url_count);
	assert_int_equal(sa->model_overflow, sb->model_overflow);
	assert_int_equal(sa->prefixes, sb->prefixes);
	for (unsigned i = 0; i < sa->model_count; i++)
		assert_string_equal(sa->models[i], sb->models[i]);
	for (uint64_t i = 0; i < sa->lines; i++) {
		struct index_record ra = ingested_record(a, i), rb = ingested_record(b, i);
		ra.custom_id_hash = rb.custom_id_hash = 0; /* keyed per file */
		assert_memory_equal(&ra, &rb, sizeof(ra));
	}
}

static void chunks_make_no_difference(void **state)
{
	static const size_t chunks[] = { 1, 2, 3, 7, 64, 1000, 4096, 65536, 131071, 131072, 131073 };
	struct ingest_limits limits = { .line_bytes = 2000 };
	struct slice text = mixed_text();
	struct error err;
	struct ingest *in;

	(void)state;
	assert_true(ingest_open(blobs, &limits, &in, &err));
	assert_true(ingest_chunks(in, text, SIZE_MAX, &err));
	assert_true(ingest_commit(in, "file-whole", &err));
	struct ingested whole = ingested_open("file-whole");
	assert_true(ingested_lines(&whole) > 400);
	uint32_t any = index_summary(whole.index)->flags_any;
	assert_true((any & LINE_DUPLICATE_ID) && (any & LINE_TOO_LONG) && (any & LINE_NOT_JSON));
	for (size_t i = 0; i < ARRAY_LEN(chunks) + 20; i++) {
		assert_true(ingest_open(blobs, &limits, &in, &err));
		if (i < ARRAY_LEN(chunks)) {
			assert_true(ingest_chunks(in, text, chunks[i], &err));
		} else { /* any lengths, one after the other */
			for (size_t at = 0; at < text.n;) {
				size_t n = (size_t)random() % (random() % 2 ? 9000 : 90);
				n = n < text.n - at ? n : text.n - at;
				struct slice chunk = { text.p + at, n };
				assert_true(ingest_write(in, chunk, &err));
				at += n;
			}
			assert_true(ingest_finish(in, &err));
		}
		assert_true(ingest_commit(in, "file-split", &err));
		struct ingested split = ingested_open("file-split");
		same_file(&whole, &split);
		index_close(split.index);
		blob_reader_close(split.blob);
		assert_true(blob_remove(blobs, "file-split", &err));
	}
	assert_true(blob_remove(blobs, "file-whole", &err));
	ingested_close(&whole);
}

/* ---- bytes and sums ---- */

static void the_bytes_are_kept_as_they_came(void **state)
{
	struct slice text = mixed_text();
	struct error err;
	struct ingest *in;
	unsigned char digest[SHA256_DIGEST_LENGTH];
	char hex[65], *back = malloc(text.n);

	(void)state;
	SHA256((const unsigned char *)text.p, text.n, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		sprintf(hex + 2 * i, "%02x", digest[i]);
	assert_true(ingest_open(blobs, &no_limits, &in, &err));
	assert_true(ingest_chunks(in, text, 777, &err));
	assert_int_equal(ingest_bytes(in), text.n);
	assert_string_equal(ingest_sha256(in), hex);
	assert_true(ingest_summary(in)->lines > 400);
	assert_true(ingest_commit(in, "file-test", &err));
	struct ingested f = ingested_open("file-test");
	assert_int_equal(blob_bytes(f.blob), text.n);
	assert_true(blob_read_at(f.blob, 0, back, text.n, &err));
	assert_memory_equal(back, text.p, text.n);
	ingested_close(&f);
	free(back);
}

static void a_file_over_the_limit_is_refused(void **state)
{
	struct ingest_limits limits = { .profile = PROFILE_OPENAI, .file_bytes = 10 };
	struct ingest *in;
	struct error err;

	(void)state;
	assert_true(ingest_open(blobs, &limits, &in, &err));
	assert_true(ingest_write(in, SLICE("12345"), &err));
	assert_true(ingest_write(in, SLICE("67890"), &err));
	assert_true(ingest_write(in, SLICE(""), &err));
	assert_false(ingest_write(in, SLICE("1"), &err));
	assert_int_equal(err.kind, ERR_INVALID);
	assert_string_equal(err.message,
			    "File is too large. The limit is 10B (limits.file_bytes).");
	ingest_abort(in);
	assert_int_equal(scratch_count(dir, "tmp"), 0);
	assert_int_equal(scratch_count(dir, "files"), 0);
	ingest_abort(NULL);
}

static void what_is_aborted_was_never_there(void **state)
{
	struct ingest *in;
	struct error err;

	(void)state;
	for (int step = 0; step < 3; step++) {
		assert_true(ingest_open(blobs, &no_limits, &in, &err));
		if (step > 0)
			assert_true(ingest_write(in, SLICE("{\"custom_id\":"), &err));
		if (step > 1)
			assert_true(ingest_finish(in, &err));
		ingest_abort(in);
		assert_int_equal(scratch_count(dir, "tmp"), 0);
		assert_int_equal(scratch_count(dir, "files"), 0);
	}
}

/* What is forgone has the length and the hash of the whole, and nothing on disk. */
static void what_is_forgone_is_hashed_all_the_same(void **state)
{
	struct slice text = mixed_text();
	struct ingest *in;
	struct error err;
	char sha256[65];

	(void)state;
	assert_true(ingest_open(blobs, &no_limits, &in, &err));
	assert_true(ingest_write(in, text, &err));
	assert_true(ingest_finish(in, &err));
	memcpy(sha256, ingest_sha256(in), sizeof(sha256));
	ingest_abort(in);
	for (size_t at = 0; at <= text.n; at += text.n / 2) {
		struct slice before = { text.p, at }, after = { text.p + at, text.n - at };
		assert_true(ingest_open(blobs, &no_limits, &in, &err));
		assert_true(ingest_write(in, before, &err));
		ingest_forgo(in);
		assert_int_equal(scratch_count(dir, "tmp"), 0);
		assert_true(ingest_write(in, after, &err));
		assert_true(ingest_finish(in, &err));
		assert_int_equal(ingest_bytes(in), text.n);
		assert_string_equal(ingest_sha256(in), sha256);
		ingest_abort(in);
	}
	assert_int_equal(scratch_count(dir, "files"), 0);
}

/* With workers that hash beside the writing: the same hashes, and no fault leaves one of them behind. */
static void bytes_are_hashed_by_workers(void **state)
{
	struct slice text = mixed_text();
	struct ingest_limits limits = { .md5 = true };
	struct ingest *in;
	struct error err;
	char sha256[65], md5[33];
	bool fired = true;

	(void)state;
	assert_true(ingest_open(blobs, &limits, &in, &err));
	assert_true(ingest_chunks(in, text, 50000, &err));
	memcpy(sha256, ingest_sha256(in), sizeof(sha256));
	memcpy(md5, ingest_md5(in), sizeof(md5));
	ingest_abort(in);
	assert_true(workers_open("hash", 2, &limits.hashers, &err));
	for (int nth = 1; fired; nth++) {
		sys_fail_nth(nth, EIO);
		in = NULL;
		bool ok = ingest_open(blobs, &limits, &in, &err);
		if (ok && (ok = ingest_chunks(in, text, 70000, &err))) {
			assert_string_equal(ingest_sha256(in), sha256);
			assert_string_equal(ingest_md5(in), md5);
		}
		ingest_abort(in);
		fired = sys_restore();
		assert_int_equal(ok, !fired);
	}
	workers_close(limits.hashers);
}

/* ---- faults ---- */

static bool upload(struct slice text, struct error *err)
{
	struct ingest *in;

	if (!ingest_open(blobs, &no_limits, &in, err))
		return false;
	if (!ingest_chunks(in, text, 50000, err)) {
		ingest_abort(in);
		return false;
	}
	return ingest_commit(in, "file-test", err);
}

static void any_failing_call_leaves_nothing(void **state)
{
	struct slice text = mixed_text();
	struct error err;
	bool fired = true;
	int nth = 1;

	(void)state;
	for (; fired; nth++) {
		sys_fail_nth(nth, nth % 2 == 0 ? ENOSPC : EIO);
		bool ok = upload(text, &err);
		fired = sys_restore();
		assert_int_equal(ok, !fired);
		assert_int_equal(scratch_count(dir, "tmp"), 0);
		assert_int_equal(scratch_count(dir, "files"), fired ? 0 : 2);
		if (fired)
			assert_int_equal(err.kind, nth % 2 == 0 ? ERR_NO_SPACE : ERR_INTERNAL);
	}
	assert_true(nth > 10);
	assert_true(blob_remove(blobs, "file-test", &err));
}

/* ---- blobs that are not files ---- */

/* The store of the next test is in memory: no call of this pass needs a descriptor. */
static struct blobs *fake_in(void)
{
	struct blobs *disk = blobs;

	blobs = blob_fake_new();
	return disk;
}

static void fake_out(struct blobs *disk)
{
	assert_int_equal(blob_fake_writers(blobs), 0);
	blobs_close(blobs);
	blobs = disk;
}

static void the_pass_needs_no_files(void **state)
{
	struct slice text = mixed_text();
	struct ingested on_disk = ingested_limited(text, 50000, &no_limits);
	struct error err;

	(void)state;
	for (size_t most = 1; most < 100000; most = most * 9 + 2) {
		struct blobs *disk = fake_in();
		blob_fake_read_most(blobs, most);
		assert_true(upload(text, &err));
		struct ingested there = ingested_open("file-test");
		struct ingested again = { .blob = there.blob };
		char sha256[65];
		same_file(&on_disk, &there);
		assert_true(
			ingest_file(NULL, there.blob, &no_limits, "", sha256, &again.index, &err));
		same_file(&there, &again);
		index_close(again.index);
		index_close(there.index);
		blob_reader_close(there.blob);
		fake_out(disk);
	}
	ingested_close(&on_disk);
}

static void any_failing_call_of_any_store_leaves_nothing(void **state)
{
	static const char text[] =
		"{\"custom_id\":\"a\"}\n{\"custom_id\":\"b\"}\n{\"custom_id\":\"a\"}";
	struct blobs *disk = fake_in();
	bool fired = true;
	unsigned nth;

	(void)state;
	blob_fake_read_most(blobs, 100);
	for (nth = 1; fired; nth++) {
		struct error err;
		blob_fake_fail_nth(blobs, nth, EIO);
		bool ok = upload(slice_of(text), &err);
		fired = blob_fake_restore(blobs);
		assert_int_equal(ok, !fired);
		assert_int_equal(blob_fake_writers(blobs), 0);
		if (!ok)
			assert_int_equal(err.sys, EIO);
		/* The last call makes the names durable: what it leaves is removed by the
		 * caller. */
		assert_true(ok || blob_fake_durable(blobs, "file-test", BLOB_DATA).p == NULL);
		assert_true(blob_remove(blobs, "file-test", &err));
	}
	assert_true(nth > 10);
	fake_out(disk);
}

/* ---- a file that stays where it is ---- */

static struct blob_reader *file_of(struct slice text)
{
	struct blob_writer *w;
	struct error err;

	assert_true(blob_create(NULL, &w, &err));
	assert_true(blob_write(w, text, &err));
	return blob_writer_end(w);
}

static void files_are_indexed_where_they_are(void **state)
{
	struct slice text = mixed_text();
	struct error err;
	struct ingest *in;
	char sha256[65], want[65];
	struct blob_reader *file = file_of(text);

	(void)state;
	assert_true(ingest_open(blobs, &no_limits, &in, &err));
	assert_true(ingest_chunks(in, text, SIZE_MAX, &err));
	strcpy(want, ingest_sha256(in));
	assert_true(ingest_commit(in, "file-whole", &err));
	struct ingested whole = ingested_open("file-whole");
	for (int with_store = 0; with_store < 2; with_store++) {
		struct ingested there = { .blob = file };
		assert_true(ingest_file(with_store ? blobs : NULL, file, &no_limits, "file-there",
					sha256, &there.index, &err));
		assert_string_equal(sha256, want);
		same_file(&whole, &there);
		index_close(there.index);
		assert_int_equal(scratch_count(dir, "files"), 2 + with_store);
		assert_int_equal(scratch_count(dir, "tmp"), 0);
	}
	blob_reader_close(file);
	assert_true(blob_remove(blobs, "file-there", &err));
	assert_true(blob_remove(blobs, "file-whole", &err));
	ingested_close(&whole);
}

/* `lowtide run --limit`: blank lines do not count, and nothing behind the last one is looked at. */
static void only_the_first_lines_of_a_file(void **state)
{
	static const char text[] = "\n{\"custom_id\":\"a\"}\n \n{\"custom_id\":\"b\"}\r\nrubbish\n"
				   "{\"custom_id\":\"a\"}";
	static const uint64_t lines[] = { 0, 1, 2, 3, 4, 5 }, found[] = { 4, 1, 2, 3, 4, 4 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct ingest_limits limits = { .lines_max = lines[i] };
		struct blob_reader *file = file_of(slice_of(text));
		struct index *ix;
		struct error err;
		char sha256[65];
		assert_true(ingest_file(NULL, file, &limits, "x", sha256, &ix, &err));
		assert_int_equal(index_summary(ix)->lines, found[i]);
		assert_int_equal((index_summary(ix)->flags_any & LINE_NOT_JSON) != 0,
				 lines[i] == 0 || lines[i] > 2);
		index_close(ix);
		blob_reader_close(file);
	}
}

static void files_that_cannot_be_read_are_told(void **state)
{
	struct blob_reader *file;
	struct error err;
	struct index *ix;
	char sha256[65];
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_true(blob_reader_of_file(pipes[0], "a pipe", &file, &err));
	assert_false(ingest_file(NULL, file, &no_limits, "x", sha256, &ix, &err));
	assert_int_equal(err.sys, ESPIPE);
	blob_reader_close(file);
	close(pipes[1]);
	file = file_of(SLICE("123456"));
	struct ingest_limits limits = { .file_bytes = 5 };
	assert_false(ingest_file(blobs, file, &limits, "x", sha256, &ix, &err));
	assert_string_equal(err.message,
			    "File size is too large, max file size is 5B, please confirm and "
			    "re-upload the file (limits.file_bytes)");
	blob_reader_close(file);
}

/* ---- memory ---- */

/* Peak resident memory of the process so far, KiB. */
static long peak_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *status = fopen("/proc/self/status", "r");

	while (fgets(line, sizeof(line), status) != NULL)
		if (sscanf(line, "VmHWM: %ld", &kib) == 1)
			break;
	fclose(status);
	return kib;
}

static void memory_does_not_grow_with_the_file(void **state)
{
	static char chunk[1 << 16];
	struct ingest *in;
	struct error err;
	long before = peak_kib();

	(void)state;
	assert_true(ingest_open(blobs, &no_limits, &in, &err));
	for (unsigned line = 0; line < 1000000;) {
		size_t n = 0;
		for (; line < 1000000 && n < sizeof(chunk) - 200; line++)
			n += (size_t)sprintf(
				chunk + n,
				"{\"custom_id\":\"request-%u\",\"method\":\"POST\",\"url\":"
				"\"/v1/chat/completions\",\"body\":{\"model\":\"m\","
				"\"messages\":[{}]}}\n",
				line % 999000);
		assert_true(ingest_write(in, (struct slice){ chunk, n }, &err));
	}
	assert_true(ingest_finish(in, &err));
	long grown = peak_kib() - before;
	const struct index_summary *s = ingest_summary(in);
	assert_int_equal(s->lines, 1000000);
	assert_int_equal(s->flags_any, LINE_DUPLICATE_ID);
	assert_true(ingest_commit(in, "file-test", &err));
	struct ingested f = ingested_open("file-test");
	for (uint64_t i = 998990; i < 1000000; i += 10)
		assert_int_equal(ingested_record(&f, i).flags, i < 999000 ? 0 : LINE_DUPLICATE_ID);
	ingested_close(&f);
/* ASan keeps freed memory for a while, TSan two words for each of ours. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	if (grown > 8 * 1024)
		fail_msg("%ld KiB more", grown);
#else
	(void)grown;
#endif
}

#define PIECE_BYTES (64u << 10)

/* Uploads in the middle of long lines: each begins as long as there is room, and goes on while
 * there is room for the wider carry beside the old one; so the limit holds at every moment. */
static void long_lines_wait_for_room(void **state)
{
	static char piece[PIECE_BYTES];
	struct ingest *ins[2];
	struct budget b;
	struct error err;
	size_t pieces[2] = { 0, 0 };

	(void)state;
	memset(piece, 'x', sizeof(piece));
	budget_init(&b, 20 * PIECE_BYTES);
	struct ingest_limits limits = { .use = budget_use(&b, BUDGET_UPLOADS) };
	for (size_t i = 0; i < 2; i++)
		assert_true(ingest_open(blobs, &limits, &ins[i], &err));
	for (size_t refused = 0; refused < 2;) {
		refused = 0;
		for (size_t i = 0; i < 2; i++) {
			uint64_t held = b.bytes;
			if (!ingest_room(ins[i], sizeof(piece))) {
				refused++;
				continue;
			}
			/* what it had and what it has stood there together */
			assert_true(held + (pieces[i] + 1) * PIECE_BYTES <= b.limit);
			assert_true(
				ingest_write(ins[i], (struct slice){ piece, sizeof(piece) }, &err));
			pieces[i]++;
		}
	}
	assert_true(pieces[0] > 2 && pieces[1] > 2);
	ingest_abort(ins[0]);
	assert_true(ingest_room(ins[1], sizeof(piece))); /* alone it goes on, whatever it takes */
	ingest_abort(ins[1]);
	assert_int_equal(b.bytes, 0);
}

/* Six lines in turn about `documents` texts of 600 bytes. */
static bool prefixes_pay(char documents)
{
	static char text[8000];
	struct ingested file;
	size_t n = 0;

	for (int i = 0; i < 6; i++) {
		n += (size_t)sprintf(text + n, "{\"custom_id\":\"%d\",\"body\":{\"messages\":[\"",
				     i);
		memset(text + n, 'a' + i % documents, 600);
		n += 600;
		n += (size_t)sprintf(text + n, "\",%d]}}\n", i);
	}
	file = ingested_limited((struct slice){ text, n }, 700, &no_limits);
	for (uint64_t i = 0; i < 6; i++) {
		struct index_record r = ingested_record(&file, i);
		assert_true(r.prefix.hash[0] != 0 && r.prefix.hash[1] == 0);
		assert_int_equal(r.prefix.hash[0],
				 ingested_record(&file, i % (uint64_t)documents).prefix.hash[0]);
	}
	bool pay = index_summary(file.index)->prefixes;
	ingested_close(&file);
	return pay;
}

static void prefixes_are_found(void **state)
{
	(void)state;
	assert_false(prefixes_pay(1));
	assert_true(prefixes_pay(2));
	assert_false(prefixes_pay(6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_found),
		cmocka_unit_test(only_good_custom_ids_are_duplicates),
		cmocka_unit_test(long_lines_are_known_by_their_length),
		cmocka_unit_test(chunks_make_no_difference),
		cmocka_unit_test(the_bytes_are_kept_as_they_came),
		cmocka_unit_test(a_file_over_the_limit_is_refused),
		cmocka_unit_test(what_is_aborted_was_never_there),
		cmocka_unit_test(what_is_forgone_is_hashed_all_the_same),
		cmocka_unit_test(bytes_are_hashed_by_workers),
		cmocka_unit_test(any_failing_call_leaves_nothing),
		cmocka_unit_test(the_pass_needs_no_files),
		cmocka_unit_test(any_failing_call_of_any_store_leaves_nothing),
		cmocka_unit_test(files_are_indexed_where_they_are),
		cmocka_unit_test(only_the_first_lines_of_a_file),
		cmocka_unit_test(files_that_cannot_be_read_are_told),
		cmocka_unit_test(prefixes_are_found),
		cmocka_unit_test(long_lines_wait_for_room),
		cmocka_unit_test(memory_does_not_grow_with_the_file),
	};

	return cmocka_run_group_tests(tests, store_setup, store_teardown);
}

/* test_upload.c: a file to the server: whole or in parts, each of them once. */
#include "world.h"

#include "base/id.h"
#include "remote/upload.h"

#include <fcntl.h>

#define FAULT(message) "{\"error\":{\"message\":\"" message "\"}}"

struct file {
	char *dir, path[PATH_MAX];
	struct upload_state state;
	struct upload_job job;
	unsigned kept;
	uint64_t shown;
	char key[ID_SIZE];
};

static bool keep(void *ctx, struct error *err)
{
	struct file *f = ctx;

	(void)err;
	f->kept++;
	return true;
}

static void progress(void *ctx, uint64_t done)
{
	struct file *f = ctx;

	f->shown = done;
}

/* A file of `size` bytes, sparse. */
static void file_make(struct file *f, uint64_t size)
{
	*f = (struct file){ .dir = scratch_dir_new() };
	snprintf(f->path, sizeof(f->path), "%s/in.jsonl", f->dir);
	f->job = (struct upload_job){
		.fd = open(f->path, O_RDWR | O_CREAT, 0600),
		.size = size,
		.path = f->path,
		.name = "a \"b\".jsonl",
		.key = f->key,
		.state = &f->state,
		.keep = keep,
		.progress = progress,
		.ctx = f,
	};
	strcpy(f->key, "file-key");
	assert_int_equal(ftruncate(f->job.fd, (off_t)size), 0);
}

static void file_done(struct file *f)
{
	close(f->job.fd);
	upload_state_done(&f->state);
	scratch_dir_remove(f->dir);
}

static void a_small_file_goes_whole(void **state)
{
	(void)state;
	struct world w;
	struct file f;
	world_open(&w, "k");
	file_make(&f, 3);
	assert_true(sys_pwrite_all(f.job.fd, "{}\n", 3, 0));
	world_breaks(&w, EXCHANGE_BROKEN, "reset");
	world_says(&w, 200, "{\"id\":\"file-1\"}");
	assert_true(upload_run(w.remote, &f.job, &w.err));
	assert_string_equal(f.state.file_id, "file-1");
	assert_int_equal(f.kept, 1);
	assert_int_equal(w.asked_n, 2);
	assert_string_equal(w.asked[1].url, "http://127.0.0.1:8000/v1/files");
	assert_string_equal(w.asked[0].key, "file-key");
	assert_string_equal(w.asked[1].key, "file-key");
	assert_non_null(strstr(w.asked[1].body, "name=\"purpose\"\r\n\r\nbatch\r\n"));
	file_done(&f);
	world_close(&w);
}

#define PARTS 9u /* of the smallest file that goes in parts */

static void large(struct world *w, struct file *f)
{
	world_open(w, "k");
	file_make(f, UPLOAD_WHOLE_BYTES + 1);
}

static void world_parts(struct world *w, unsigned from, unsigned to)
{
	static char ids[PARTS][32];

	for (unsigned i = from; i < to; i++) {
		snprintf(ids[i], sizeof(ids[i]), "{\"id\":\"part_%u\"}", i);
		world_says(w, 200, ids[i]);
	}
}

static unsigned posts(const struct world *w, const char *what)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->asked_n; i++)
		n += strstr(w->asked[i].url, what) != NULL;
	return n;
}

static const struct asked *last(const struct world *w)
{
	return &w->asked[w->asked_n - 1];
}

static void a_large_file_goes_in_parts(void **state)
{
	(void)state;
	struct world w;
	struct file f;
	large(&w, &f);
	world_says(&w, 200, "{\"id\":\"upload_1\"}");
	world_parts(&w, 0, 3);
	world_breaks(&w, EXCHANGE_BROKEN, "reset"); /* it is sent again, and no other */
	world_parts(&w, 3, PARTS);
	world_breaks(&w, EXCHANGE_BROKEN, "reset");
	world_says(&w, 200, "{\"id\":\"upload_1\",\"file\":{\"id\":\"file-1\"}}");
	assert_true(upload_run(w.remote, &f.job, &w.err));
	assert_string_equal(f.state.file_id, "file-1");
	assert_int_equal(posts(&w, "/uploads/upload_1/parts"), PARTS + 1);
	assert_string_equal(w.asked[0].body,
			    "{\"bytes\":67108865,\"filename\":\"a \\\"b\\\".jsonl\","
			    "\"mime_type\":\"application/jsonl\",\"purpose\":\"batch\"}");
	assert_non_null(strstr(last(&w)->body, "{\"part_ids\":[\"part_0\",\"part_1\",\"part_2\","));
	/* head -c 67108865 /dev/zero | md5sum */
	assert_non_null(
		strstr(last(&w)->body, "\"part_8\"],\"md5\":\"279f6c15a48c009464bece2b1bb75a70\""));
	assert_int_equal(f.shown, UPLOAD_WHOLE_BYTES + 1);
	assert_int_equal(f.kept, PARTS + 2);
	file_done(&f);
	world_close(&w);
}

static void parts_that_are_there_are_not_sent_again(void **state)
{
	(void)state;
	struct world w;
	struct file f;
	char id[16];
	large(&w, &f);
	f.state.upload_id = strdup("upload_1");
	f.state.part_bytes = UPLOAD_PART_BYTES;
	for (unsigned i = 0; i < 7; i++) {
		snprintf(id, sizeof(id), "part_%u", i);
		assert_true(upload_state_add(&f.state, id));
	}
	world_parts(&w, 7, PARTS);
	world_says(&w, 200, "{\"id\":\"upload_1\",\"file\":{\"id\":\"file-1\"}}");
	assert_true(upload_run(w.remote, &f.job, &w.err));
	assert_int_equal(w.asked_n, 3);
	assert_non_null(strstr(last(&w)->body, "\"part_0\""));
	assert_non_null(strstr(last(&w)->body, "279f6c15a48c009464bece2b1bb75a70"));
	file_done(&f);
	world_close(&w);
}

static void an_upload_whose_hour_is_over_begins_anew(void **state)
{
	(void)state;
	struct world w;
	struct file f;
	large(&w, &f);
	f.state.upload_id = strdup("upload_0");
	f.state.part_bytes = UPLOAD_PART_BYTES;
	assert_true(upload_state_add(&f.state, "part_old"));
	world_says(&w, 400, FAULT("The upload has expired."));
	world_says(&w, 200, "{}"); /* of the cancel */
	world_says(&w, 200, "{\"id\":\"upload_1\"}");
	world_parts(&w, 0, PARTS);
	world_says(&w, 200, "{\"id\":\"upload_1\",\"file\":{\"id\":\"file-1\"}}");
	assert_true(upload_run(w.remote, &f.job, &w.err));
	assert_non_null(strstr(w.asked[1].url, "/uploads/upload_0/cancel"));
	assert_null(strstr(last(&w)->body, "part_old"));
	file_done(&f);
	world_close(&w);
}

static void a_fresh_one_that_is_refused_fails(void **state)
{
	(void)state;
	struct world w;
	struct file f;
	large(&w, &f);
	world_says(&w, 200, "{\"id\":\"upload_1\"}");
	world_says(&w, 400, FAULT("No room."));
	assert_false(upload_run(w.remote, &f.job, &w.err));
	assert_string_equal(w.err.message, "No room");
	assert_int_equal(w.asked_n, 2);
	file_done(&f);
	world_close(&w);
}

static void a_file_that_is_there_is_looked_for(void **state)
{
	(void)state;
	struct world w;
	struct file f;
	world_open(&w, "k");
	file_make(&f, 3);
	f.state.file_id = strdup("file-0");
	world_says(&w, 200, "{\"id\":\"file-0\"}");
	assert_true(upload_run(w.remote, &f.job, &w.err));
	assert_int_equal(w.asked_n, 1);
	assert_string_equal(w.asked[0].method, "GET");
	world_says(&w, 404, FAULT("No such File object: file-0"));
	world_says(&w, 200, "{\"id\":\"file-1\"}");
	assert_true(upload_run(w.remote, &f.job, &w.err));
	assert_string_equal(f.state.file_id, "file-1");
	/* the old key's answer would be file-0 once more */
	assert_true(w.asked[2].key[0] != '\0');
	assert_string_not_equal(w.asked[2].key, "file-key");
	file_done(&f);
	world_close(&w);
}

static void a_file_that_shrinks_is_no_batch(void **state)
{
	(void)state;
	struct world w;
	struct file f;
	world_open(&w, "k");
	file_make(&f, 3);
	f.job.size = 4;
	assert_false(upload_run(w.remote, &f.job, &w.err));
	assert_non_null(strstr(w.err.message, "has become shorter"));
	assert_int_equal(w.asked_n, 0);
	file_done(&f);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_file_goes_whole),
		cmocka_unit_test(a_large_file_goes_in_parts),
		cmocka_unit_test(parts_that_are_there_are_not_sent_again),
		cmocka_unit_test(an_upload_whose_hour_is_over_begins_anew),
		cmocka_unit_test(a_fresh_one_that_is_refused_fails),
		cmocka_unit_test(a_file_that_is_there_is_looked_for),
		cmocka_unit_test(a_file_that_shrinks_is_no_batch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

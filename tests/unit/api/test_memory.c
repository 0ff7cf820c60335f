/* Memory runs out in a call of the API, SQLite's included: what failed says so, and has made
 * neither a row nor a file; what did not is answered whole; and the next call is as if nothing had
 * been. */
#include "memory_fault_sqlite.h"

// NOLINTNEXTLINE(bugprone-suspicious-include): a form without a connection
#include "../../../src/api/upload.c"

#include "api/batches.h"
#include "api/content.h"
#include "api/create.h"
#include "api/errors.h"
#include "api/files.h"
#include "api/metadata.h"
#include "base/json.h"
#include "http/server_impl.h"

/* ---- in the pipeline's place ---- */

static unsigned submitted;

struct node *pipeline_node(struct pipeline *p)
{
	(void)p;
	return NULL;
}

bool pipeline_takes_clients(struct pipeline *p, char *why, size_t size)
{
	(void)p;
	if (size > 0)
		why[0] = '\0';
	return true;
}

size_t pipeline_spans(struct pipeline *p)
{
	(void)p;
	return 0;
}

void pipeline_tokens_add(struct pipeline *p, const char *org, uint64_t tokens)
{
	(void)p;
	(void)org;
	(void)tokens;
}

uint64_t pipeline_tokens_used(struct pipeline *p, const char *org)
{
	(void)p;
	(void)org;
	return 0;
}

bool pipeline_tokens_count(struct pipeline *p, const char *org, uint64_t *ret, struct error *err)
{
	(void)p;
	(void)org;
	(void)err;
	*ret = 0;
	return true;
}

int64_t pipeline_tokens_reset(void)
{
	return 0;
}

void pipeline_submit(struct pipeline *p, const char *batch_id)
{
	(void)p;
	(void)batch_id;
	submitted++;
}

bool pipeline_cancel(struct pipeline *p, const char *org, const char *batch_id, bool *ret_final,
		     struct error *err)
{
	(void)p;
	(void)org;
	(void)batch_id;
	(void)err;
	*ret_final = false;
	return true;
}

bool pipeline_hold(struct pipeline *p, const char *org, const char *batch_id, bool held,
		   bool *ret_final, bool *ret_changed, struct error *err)
{
	*ret_changed = held;
	return pipeline_cancel(p, org, batch_id, ret_final, err);
}

void pipeline_view(struct pipeline *p, struct batch_view *v)
{
	(void)p;
	*v = (struct batch_view){ .row = v->row, .stall = STALL_PAUSED };
}

void pipeline_view_at(struct pipeline *p, struct batch_view *v)
{
	pipeline_view(p, v);
}

struct budget *pipeline_budget(struct pipeline *p)
{
	(void)p;
	return NULL;
}

struct dispatch *pipeline_dispatch(struct pipeline *p)
{
	(void)p;
	return NULL;
}

void pipeline_pulses(struct pipeline *p, pulse_fn each, void *ctx)
{
	(void)p;
	(void)each;
	(void)ctx;
}

bool pipeline_results(struct pipeline *p, struct batch *b, uint64_t after, unsigned limit,
		      struct pipeline_page *ret, struct error *err)
{
	(void)p;
	(void)b;
	(void)after;
	(void)limit;
	(void)err;
	*ret = (struct pipeline_page){ 0 };
	return true;
}

void pipeline_sweep(struct pipeline *p)
{
	(void)p;
}

/* ---- a server without a network ---- */

static char *dir;
static struct api the_api = { .claims.lock = PTHREAD_MUTEX_INITIALIZER };
static struct api *const api = &the_api;
static struct key key;

static int64_t fixed_now(void)
{
	return 1750000000;
}

static int setup(void **state)
{
	struct api_config config = {
		.profile = PROFILE_OPENAI,
		.windows = { .only_24h = true },
		.limits = { .line_bytes = 4096, .file_bytes = 1 << 20 },
		.first_line_checked = true,
		.missing_input_refused = true,
		.org_limits = { [LIMIT_FILES] = 1000, [LIMIT_BYTES] = 1 << 30 },
	};
	struct org org;
	struct error err;

	(void)state;
	log_set_level(LOG_OFF);
	sys.now_s = fixed_now;
	dir = scratch_dir_new();
	api->config = config;
	limits_open(&api->limits);
	assert_true(store_open(dir, &api->store, &err) && blobs_open(dir, NULL, &api->blobs, &err));
	assert_true(store_org_ensure(api->store, "ours", fixed_now(), &org, &err));
	key = (struct key){ .hint = "sk-h", .created_at = fixed_now() };
	memcpy(key.org, org.id, sizeof(key.org));
	assert_true(store_key_create(api->store, &key, "hash", &err));
	assert_true(store_key_find(api->store, "hash", &key, &err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(api->store);
	blobs_close(api->blobs);
	scratch_dir_remove(dir);
	return 0;
}

static size_t rows_of_files(void)
{
	struct file_query q = { .org = key.org, .limit = 10000, .now = fixed_now() };
	struct file *files;
	struct error err;
	size_t n;
	bool more;

	assert_true(store_file_list(api->store, &q, &files, &n, &more, &err));
	free(files);
	return n;
}

static size_t rows_of_batches(void)
{
	struct batch *batches;
	struct error err;
	size_t n;
	bool more;

	assert_true(store_batch_list(api->store,
				     &(struct batch_query){ .org = key.org, .limit = 10000 },
				     &batches, &n, &more, &err));
	for (size_t i = 0; i < n; i++)
		batch_done(&batches[i]);
	free(batches);
	return n;
}

static bool is_json(const struct buf *b)
{
	struct json j;
	struct slice value;

	json_init(&j, buf_slice(b));
	return json_skip(&j, &value) && json_end(&j);
}

/* One call, as api.c makes it: a body that got no memory is a failure too. */
static size_t fields_of(const struct http_response *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->fields.n; i++)
		n += r->fields.p[i] == '\n';
	return n;
}

static bool called(route_fn route, struct request *rq, struct http_response *r, struct error *err)
{
	bool ok = route(rq, r, err);

	if (ok && r->body.failed)
		ok = fail_memory(err);
	repeat_end(rq);
	return ok;
}

/* ---- calls that make nothing ---- */

static struct batch make_batch(const char *input_id)
{
	struct batch b = {
		.created_at = fixed_now(),
		.expires_at = fixed_now() + 86400,
		.metadata = (char *)"{\"a\":\"b\"}",
		.endpoint = "/v1/chat/completions",
		.completion_window = "24h",
	};
	char id[ID_SIZE];
	struct error err;
	bool moved;

	id_batch(b.id);
	memcpy(b.org, key.org, sizeof(b.org));
	snprintf(b.input_file_id, sizeof(b.input_file_id), "%s", input_id);
	assert_true(store_batch_insert(api->store, &b, NULL, false, 0, id, &err));
	assert_true(store_batch_fail(api->store, b.id, "[{\"code\":\"empty_file\"}]", fixed_now(),
				     &moved, &err));
	return b;
}

static struct file make_file(void)
{
	struct file f = { .created_at = fixed_now(), .filename = "na\xc3\xafve \"1\".jsonl" };
	struct blob_writer *w;
	struct error err;
	char id[ID_SIZE];

	id_file(f.id);
	memcpy(f.org, key.org, sizeof(f.org));
	memset(f.sha256, 'a', 64);
	assert_true(blob_create(api->blobs, &w, &err) && blob_commit(w, f.id, BLOB_DATA, &err));
	assert_true(store_file_insert(api->store, &f, NULL, NULL, id, &err));
	return f;
}

/* The answer is the same each time, or the call fails. */
static void sweep_reading(route_fn route, const char *object_id)
{
	struct buf expected = BUF(1 << 20);

	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct http_request http = { .path = "/", .method = "GET" };
		struct request rq = { .api = api, .http = &http, .key = key };
		struct http_response r;
		struct error err;
		snprintf(rq.object_id, sizeof(rq.object_id), "%s", object_id);
		http_response_init(&r);
		memory_fail(&s);
		bool ok = called(route, &rq, &r, &err);
		memory_restore(&s);
		if (!ok) {
			assert_no_memory(&err);
		} else if (route == content_get) { /* of headers those that memory sufficed for */
			assert_int_equal(r.status, 200);
			assert_true(s.fired || fields_of(&r) == 4);
		} else {
			assert_true(is_json(&r.body));
			if (expected.n == 0)
				buf_add(&expected, buf_slice(&r.body));
			assert_true(slice_eq(buf_slice(&expected), buf_slice(&r.body)));
		}
		http_response_done(&r);
	}
	buf_free(&expected);
}

static void reading(void **state)
{
	struct file f = make_file();
	struct batch b = make_batch(f.id);

	(void)state;
	make_batch(f.id);
	sweep_reading(files_get, f.id);
	sweep_reading(files_list, "");
	sweep_reading(content_get, f.id);
	sweep_reading(batches_get, b.id);
	sweep_reading(batches_list, "");
	sweep_reading(batches_cancel, b.id);
}

/* ---- create ---- */

static void creating(void **state)
{
	struct file f = make_file();

	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct http_request http = { .path = "/v1/batches", .method = "POST" };
		struct request rq = { .api = api, .http = &http, .key = key };
		struct http_response r;
		struct error err;
		size_t before = rows_of_batches();
		memcpy(rq.claim.call.key, key.id, sizeof(key.id));
		rq.claim.call.route = "POST /v1/batches";
		submitted = 0;
		http_response_init(&r);
		rq.body = BUF(JSON_BODY_MAX);
		buf_printf(&rq.body,
			   "{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/chat/completions\","
			   "\"completion_window\":\"24h\",\"metadata\":{\"a\":\"b\"},"
			   "\"output_expires_after\":{\"anchor\":\"created_at\",\"seconds\":3600}}",
			   f.id);
		memory_fail(&s);
		bool ok = called(batches_create, &rq, &r, &err);
		memory_restore(&s);
		if (!ok)
			assert_no_memory(&err);
		else
			assert_true(is_json(&r.body));
		/* Where the answer alone found no memory the batch is there, and runs. */
		assert_int_equal(rows_of_batches(), before + submitted);
		assert_true(submitted == 1 || !ok);
		assert_null(api->claims.first);
		buf_free(&rq.body);
		http_response_done(&r);
	}
}

/* A body that is refused is refused for what is wrong with it, or for want of memory. */
static void refusing(void **state)
{
	static const struct {
		const char *body, *param;
	} bad[] = {
		{ "{\"input_file_id\":\"f\",\"endpoint\":\"/v1/none\",\"completion_window\":\"24h\"}",
		  "endpoint" },
		{ "{\"input_file_id\":\"f\",\"endpoint\":\"/v1/chat/completions\","
		  "\"completion_window\":\"24h\",\"metadata\":{\"a\":1}}",
		  "metadata.a" },
		{ "{\"input_file_id\":\"f\",\"endpoint\":\"/v1/chat/completions\","
		  "\"completion_window\":\"24h\","
		  "\"output_expires_after\":{\"anchor\":\"x\",\"seconds\":3600}}",
		  "output_expires_after.anchor" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
			struct batch b = { 0 };
			struct error err;
			uint64_t window_s;
			memory_fail(&s);
			bool ok = create_read(slice_of(bad[i].body), &api->config, &b, &window_s,
					      &err);
			memory_restore(&s);
			assert_false(ok);
			if (s.fired && err.kind != ERR_INVALID)
				assert_no_memory(&err);
			else
				assert_string_equal(err.param, bad[i].param);
			batch_done(&b);
		}
	}
}

/* ---- upload ---- */

#define PART "--XX\r\nContent-Disposition: form-data; name="

static const char form[] = PART
	"\"purpose\"\r\n\r\nbatch\r\n" PART "\"expires_after[anchor]\"\r\n\r\ncreated_at\r\n" PART
	"\"expires_after[seconds]\"\r\n\r\n3600\r\n" PART
	"\"file\"; filename*=UTF-8''na%C3%AFve.jsonl\r\n\r\n"
	"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
	"\"body\":{\"model\":\"m\",\"messages\":[]}}\n"
	"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
	"\"body\":{\"model\":\"m\",\"messages\":[]}}\n\r\n--XX--\r\n";

static bool upload(struct request *rq, struct http_response *r, struct error *err)
{
	rq->upload = upload_new(rq->api, "multipart/form-data; boundary=XX");
	if (rq->upload == NULL)
		return fail_memory(err);
	assert_non_null(rq->upload->form);
	memcpy(rq->upload->org, rq->key.org, sizeof(rq->upload->org));
	rq->upload->counted = limits_upload_begin(rq, r, err);
	if (!rq->upload->counted)
		return false;
	for (size_t at = 0; at < strlen(form); at += 50) {
		size_t left = strlen(form) - at;
		upload_body(rq, (struct slice){ form + at, left < 50 ? left : 50 });
	}
	return upload_handle(rq, r, err);
}

static void uploading(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct http_request http = { .path = "/v1/files", .method = "POST" };
		struct request rq = { .api = api, .http = &http, .key = key };
		struct http_response r;
		struct error err;
		size_t rows = rows_of_files();
		int blobs = scratch_count(dir, "files");
		memcpy(rq.claim.call.key, key.id, sizeof(key.id));
		rq.claim.call.route = "POST /v1/files";
		http_response_init(&r);
		memory_fail(&s);
		bool ok = called(upload, &rq, &r, &err);
		memory_restore(&s);
		upload_free(rq.upload);
		if (!ok)
			assert_no_memory(&err);
		else
			assert_true(is_json(&r.body));
		/* Data and index of a file that has a row, or nothing; where the answer alone
		 * found no memory the file is there. */
		size_t made = rows_of_files() - rows;
		assert_true(made == 1 || !ok);
		assert_int_equal(scratch_count(dir, "files") - blobs, 2 * made);
		assert_int_equal(scratch_count(dir, "tmp"), 0);
		assert_null(api->claims.first);
		http_response_done(&r);
	}
}

/* ---- errors ---- */

static void answers(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct http_response r;
		struct error err;
		(void)!fail(&err, ERR_UNAVAILABLE, "Say \"again\" in a moment.");
		http_response_init(&r);
		buf_text(&r.body, "half of something else");
		memory_fail(&s);
		error_response(&r, &err, PROFILE_KIMI);
		memory_restore(&s);
		assert_int_equal(r.status, 503);
		/* of one without memory http/server.c closes the connection */
		assert_true(r.body.failed || is_json(&r.body));
		assert_true(s.fired || (!r.body.failed && fields_of(&r) == 1));
		http_response_done(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading),   cmocka_unit_test(creating), cmocka_unit_test(refusing),
		cmocka_unit_test(uploading), cmocka_unit_test(answers),
	};

	memory_fault_sqlite();
	return cmocka_run_group_tests(tests, setup, teardown);
}

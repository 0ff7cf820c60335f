/* Memory runs out, ours or SQLite's, in every call of store.h: what failed has changed nothing,
 * what did not is right, and the next call is as if nothing had been. */
#include "memory_fault_sqlite.h"
#include "store/uploads.h"
#include "store_test.h"

#include "base/duration.h"
#include "store/webhooks.h"

/* ---- what stands in the database, and what a call told: as one number ---- */

static uint64_t mixed(uint64_t hash, const void *p, size_t n)
{
	const unsigned char *bytes = p;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return (hash ^ n) * UINT64_C(0x100000001b3);
}

static uint64_t mixed_text(uint64_t hash, const char *text)
{
	return mixed(hash, text != NULL ? text : "(null)", text != NULL ? strlen(text) : 6);
}

static uint64_t table_mixed(uint64_t hash, const char *table)
{
	sqlite3_stmt *rows;
	char sql[128];
	int code;

	/* spare_blob has one column */
	snprintf(sql, sizeof(sql), "SELECT *, 0 FROM %s ORDER BY 1, 2", table);
	assert_int_equal(sqlite3_prepare_v2(sqlite_of(store->writer)->handle, sql, -1, &rows, NULL),
			 0);
	while ((code = sqlite3_step(rows)) == SQLITE_ROW)
		for (int i = 0; i < sqlite3_column_count(rows); i++)
			hash = mixed_text(hash, (const char *)sqlite3_column_text(rows, i));
	assert_int_equal(code, SQLITE_DONE);
	sqlite3_finalize(rows);
	return hash;
}

static uint64_t database(void)
{
	static const char all[] = "SELECT name FROM sqlite_schema WHERE type = 'table'"
				  " AND name NOT LIKE 'sqlite_%' ORDER BY name";
	sqlite3_stmt *tables;
	uint64_t hash = 0;
	unsigned n = 0;

	assert_int_equal(
		sqlite3_prepare_v2(sqlite_of(store->writer)->handle, all, -1, &tables, NULL), 0);
	for (; sqlite3_step(tables) == SQLITE_ROW; n++)
		hash = table_mixed(hash, (const char *)sqlite3_column_text(tables, 0));
	sqlite3_finalize(tables);
	assert_true(n >= 5);
	return hash;
}

/* ---- the rows of a case, kept and put back ---- */

/* By a connection of the test's own: to the store it is another process. A store opened anew for
 * each run would prepare its statements each time, and that takes longer than all runs. */
static struct {
	sqlite3 *handle;
	char *back; /* statements that put the rows back */
} keeper;

static void keeper_run(const char *sql)
{
	if (sqlite3_exec(keeper.handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(keeper.handle));
}

/* But for columns that are computed. sqlite_sequence is put back last: inserts count there. */
static void keep_rows(void)
{
	static const char all[] = "SELECT t.name, (SELECT group_concat('[' || c.name || ']')"
				  " FROM pragma_table_xinfo(t.name) AS c WHERE c.hidden = 0)"
				  " FROM main.sqlite_schema AS t WHERE t.type = 'table'"
				  " ORDER BY t.name LIKE 'sqlite_%'";
	struct buf keep = BUF(1 << 16), back = BUF(1 << 16);
	char path[PATH_MAX];
	sqlite3_stmt *tables;

	snprintf(path, sizeof(path), "%s/meta.db", dir);
	assert_int_equal(sqlite3_open(path, &keeper.handle), SQLITE_OK);
	sqlite3_db_config(keeper.handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, (int *)NULL);
	keeper_run("ATTACH ':memory:' AS kept; PRAGMA main.synchronous = OFF");
	assert_int_equal(sqlite3_prepare_v2(keeper.handle, all, -1, &tables, NULL), SQLITE_OK);
	buf_text(&back, "BEGIN IMMEDIATE;");
	while (sqlite3_step(tables) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(tables, 0);
		const char *columns = (const char *)sqlite3_column_text(tables, 1);
		buf_printf(&keep, "CREATE TABLE kept.[of_%s] AS SELECT %s FROM main.[%s];", name,
			   columns, name);
		buf_printf(&back,
			   "DELETE FROM main.[%s];"
			   "INSERT INTO main.[%s] (%s) SELECT * FROM kept.[of_%s];",
			   name, name, columns, name);
	}
	sqlite3_finalize(tables);
	buf_text(&back, "COMMIT");
	buf_char(&keep, '\0');
	buf_char(&back, '\0');
	assert_false(keep.failed || back.failed);
	keeper_run(keep.p);
	buf_free(&keep);
	keeper.back = back.p;
}

static void put_rows_back(void)
{
	keeper_run(keeper.back);
}

static void keeper_close(void)
{
	assert_int_equal(sqlite3_close(keeper.handle), SQLITE_OK);
	free(keeper.back);
}

/* ---- what each case works on: the same rows for all ---- */

static struct file input, other, gone;
static struct batch fresh, waiting, running;
static struct file output, errors;
static struct upload_row pending;
static struct upload_part part;
static struct merge_state merged;
static struct call call;
static struct webhook_endpoint hook; /* with something to be sent to it */
static struct webhook_due hook_due;
static uint64_t told; /* by the call */

static struct upload_row upload_of(const struct org *org)
{
	struct upload_row u = { .bytes = 9, .created_at = NOW, .expires_at = NOW + DAY };

	id_upload(u.id);
	id_file(u.blob);
	memcpy(u.org, org->id, sizeof(u.org));
	return u;
}

static struct webhook_endpoint hook_of(const char *name)
{
	struct webhook_endpoint e = { .event_types = WEBHOOK_ALL_TYPES, .created_at = NOW };

	id_endpoint(e.id);
	memcpy(e.org, ours.id, sizeof(e.org));
	snprintf(e.name, sizeof(e.name), "%s", name);
	snprintf(e.url, sizeof(e.url), "https://example.com/");
	snprintf(e.secret, sizeof(e.secret), "whsec_s");
	return e;
}

static void hook_put(void)
{
	struct batch over = put_batch(&ours, NOW);
	struct webhook_due *list;
	size_t n;
	bool moved;

	hook = hook_of("one");
	MUST(store_webhook_create(store, &hook, 0, &err));
	MUST(store_batch_fail(store, over.id, "[]", NOW + 1, &moved, &err));
	MUST(store_webhook_due(store, hook.id, 1, &list, &n, &err));
	assert_int_equal(n, 1);
	hook_due = list[0];
	free(list);
}

static void rows_put(void)
{
	bool moved;

	input = put_file(&ours, NOW);
	other = file_of(&ours, NOW + 1);
	gone = put_file(&ours, NOW + 1);
	MUST(store_file_delete(store, ours.id, gone.id, NOW + 1, &err));
	output = file_of(&ours, NOW); /* one that expires */
	output.expires_at = NOW + DAY;
	char id[ID_SIZE];
	MUST(store_file_insert(store, &output, NULL, NULL, id, &err));
	waiting = put_batch(&ours, NOW);
	running = put_batch(&ours, NOW + 1);
	fresh = batch_of(&ours, NOW + 2);
	fresh.metadata = (char *)"{\"a\":\"b\"}";
	output = file_of(&ours, NOW);
	output.purpose = PURPOSE_BATCH_OUTPUT;
	errors = file_of(&ours, NOW);
	errors.purpose = PURPOSE_BATCH_OUTPUT;
	MUST(store_batch_start(store, running.id, 10, 1000, "m", output.id, errors.id, NOW + 2,
			       &moved, &err));
	pending = upload_of(&ours);
	MUST(store_upload_insert(store, &pending, &(struct file_quota){ 0 }, 0, NULL, id, &err));
	part = (struct upload_part){ .bytes = 7 };
	id_part(part.id);
	memcpy(part.blob, part.id, sizeof(part.blob));
	MUST(store_part_insert(store, ours.id, pending.id, &part, &(struct file_quota){ 0 }, NOW,
			       &err));
	merged = (struct merge_state){ .segments = 1, .counts.completed = 3, .usage.total = 9 };
	call = (struct call){ .route = "POST /v1/files" };
	snprintf(call.idempotency_key, sizeof(call.idempotency_key), "again");
	memset(call.fingerprint, 'f', 64);
	MUST(store_key_create(store, key_of(ours.id, "sk-h"), "hash", &err));
	struct key key;
	MUST(store_key_find(store, "hash", &key, &err));
	memcpy(call.key, key.id, sizeof(call.key));
}

static void tell(const void *p, size_t n)
{
	told = mixed(told, p, n);
}

static void tell_text(const char *text)
{
	told = mixed_text(told, text);
}

static void tell_batch(const struct batch *b)
{
	tell_text(b->id);
	tell_text(b->model);
	tell_text(b->metadata);
	tell_text(b->errors);
	tell_text(b->output_file_id);
	tell(&b->status, sizeof(b->status));
	tell(b->at, sizeof(b->at));
	tell(&b->counts, sizeof(b->counts));
}

/* ---- the calls, each as a case ---- */

static bool org_ensure(void)
{
	struct org org = { 0 };
	bool ok = store_org_ensure(store, "new", NOW, &org, &err);

	if (ok)
		tell_text(org.name); /* the id is random */
	return ok;
}

static bool org_create(void)
{
	struct org org = { 0 };

	return store_org_create(store, "new", NOW, &org, &err);
}

static bool org_list(void)
{
	struct org *orgs;
	size_t n;

	if (!store_org_list(store, &orgs, &n, &err))
		return false;
	for (size_t i = 0; i < n; i++)
		tell_text(orgs[i].name);
	free(orgs);
	return true;
}

static bool org_weigh(void)
{
	return store_org_weigh(store, "ours", 7, &err);
}

static bool org_suspend(void)
{
	return store_org_suspend(store, "ours", NOW, true, &err);
}
static bool org_limit(void)
{
	return store_org_limit(store, "ours", LIMIT_UPLOADS, 7, &err);
}
static bool org_limits(void)
{
	int64_t own[ORG_LIMITS] = { 0 };
	bool ok = store_org_limits(store, ours.id, own, &err);

	if (ok)
		tell(own, sizeof(own));
	return ok;
}
static bool orgs_suspended(void)
{
	char(*ids)[ID_SIZE] = NULL;
	size_t n = 0;
	bool ok = store_orgs_suspended(store, NULL, &ids, &n, &err);

	for (size_t i = 0; ok && i < n; i++)
		tell_text(ids[i]);
	free(ids);
	return ok;
}
static bool batches_to_cancel(void)
{
	char(*ids)[ID_SIZE] = NULL;
	size_t n = 0;
	bool ok = store_batches_to_cancel(store, 10, &ids, &n, &err);

	for (size_t i = 0; ok && i < n; i++)
		tell_text(ids[i]);
	free(ids);
	return ok;
}
static bool file_used(void)
{
	struct file_use use = { 0 };
	bool ok = store_file_use(store, ours.id, NOW, &use, &err);

	if (ok)
		tell(&use, sizeof(use));
	return ok;
}
static bool org_weight(void)
{
	unsigned weight = 0;
	bool ok = store_org_weight(store, ours.id, &weight, &err);

	if (ok)
		tell(&weight, sizeof(weight));
	return ok;
}

static bool key_create(void)
{
	return store_key_create(store, key_of(ours.id, "sk-o"), "other hash", &err);
}

static bool key_list(void)
{
	struct key *keys;
	size_t n;

	if (!store_key_list(store, ours.id, &keys, &n, &err))
		return false;
	for (size_t i = 0; i < n; i++)
		tell_text(keys[i].id);
	free(keys);
	return true;
}

static bool key_revoke(void)
{
	return store_key_revoke(store, "sk-h", NOW + 1, &err);
}

static bool key_count(void)
{
	uint64_t n = 0;
	bool ok = store_key_count(store, &n, &err);

	if (ok)
		tell(&n, sizeof(n));
	return ok;
}

static bool call_look(void)
{
	char id[ID_SIZE] = "";
	bool ok = store_call_find(store, &call, NOW, id, &err);

	if (ok)
		tell_text(id);
	return ok;
}

static bool file_insert_one(void)
{
	struct file_quota quota = { .files_max = 10, .bytes_max = 10000 };
	char id[ID_SIZE] = "";
	bool ok = store_file_insert(store, &other, &quota, &call, id, &err);

	if (ok)
		tell_text(id);
	return ok;
}

static bool file_get(void)
{
	struct file f;
	bool ok = store_file_get(store, ours.id, input.id, NOW, &f, &err);

	if (ok)
		tell_text(f.filename);
	return ok;
}

static bool file_list(void)
{
	struct file_query q = { ours.id, input.id, "batch", 2, true, NOW };
	struct file *files;
	size_t n;
	bool more;

	if (!store_file_list(store, &q, &files, &n, &more, &err))
		return false;
	for (size_t i = 0; i < n; i++)
		tell_text(files[i].id);
	tell(&more, sizeof(more));
	free(files);
	return true;
}

static bool file_delete(void)
{
	return store_file_delete(store, ours.id, input.id, NOW + 5, &err);
}

static bool sweep(void)
{
	int64_t next_at = 0;

	return store_sweep(store, NOW + 10 * DAY, &next_at, &err);
}

static bool blobs_spare(void)
{
	char ids[4][ID_SIZE];
	size_t n = 0;

	if (!store_blobs_spare(store, ids, 4, &n, &err))
		return false;
	for (size_t i = 0; i < n; i++)
		tell_text(ids[i]);
	return true;
}

static bool blob_gone(void)
{
	return take_blob(gone.id);
}

static bool blob_known(void)
{
	bool known = false, deleted = false;
	bool ok = store_blob_known(store, input.id, &known, &deleted, &err);

	if (ok)
		tell(&known, sizeof(known));
	return ok;
}

static bool upload_insert(void)
{
	struct file_quota quota = { 100, 1000000 };
	struct upload_row u = upload_of(&ours);
	char id[ID_SIZE];

	return store_upload_insert(store, &u, &quota, 10, &call, id, &err);
}

static bool upload_get(void)
{
	struct upload_row u;
	bool ok = store_upload_get(store, ours.id, pending.id, NOW, &u, &err);

	if (ok)
		tell(&u.received, sizeof(u.received));
	return ok;
}

static bool part_insert(void)
{
	struct file_quota quota = { 100, 1000000 };
	struct upload_part p = { .bytes = 20 };

	memcpy(p.blob, pending.blob, sizeof(p.blob));
	id_part(p.id);
	return store_part_insert(store, ours.id, pending.id, &p, &quota, NOW, &err);
}

static bool parts_get(void)
{
	struct upload_part p = part;
	bool ok = store_parts_get(store, pending.id, &p, 1, &err);

	if (ok)
		tell(&p.bytes, sizeof(p.bytes));
	return ok;
}

static bool upload_complete(void)
{
	char list[65] = "list";

	return store_upload_complete(store, pending.id, &other, list, &err);
}

static bool upload_cancel(void)
{
	struct upload_row u;

	return store_upload_cancel(store, ours.id, pending.id, NOW, &u, &err);
}

static bool directory_put(void)
{
	struct store_directory d = { "0123456789abcdef0123456789abcdef", 7 };
	return store_directory_put(store, &d, NOW, &err);
}

static bool directory_turn(void)
{
	struct store_directory d;

	return store_directory_turn(store, "0123456789abcdef0123456789abcdef", NOW, &d, &err);
}

static bool directory_get(void)
{
	struct store_directory d;
	int64_t newest = 0;
	bool found = false;
	bool ok = store_directory_get(store, &d, &found, &err) &&
		  store_newest(store, &newest, &err);

	if (ok)
		tell(&found, sizeof(found));
	return ok;
}

static bool batch_insert_one(void)
{
	char id[ID_SIZE] = "";
	bool ok = store_batch_insert(store, &fresh, &call, false, 0, id, &err);

	if (ok)
		tell_text(id);
	return ok;
}

static bool batch_get(void)
{
	struct batch b;

	if (!store_batch_get(store, ours.id, running.id, &b, &err))
		return false;
	tell_batch(&b);
	batch_done(&b);
	return true;
}

static bool batch_list(void)
{
	struct batch *batches;
	size_t n;
	bool more;

	if (!store_batch_list(store, &(struct batch_query){ .org = ours.id, .limit = 1 }, &batches,
			      &n, &more, &err))
		return false;
	for (size_t i = 0; i < n; i++) {
		tell_batch(&batches[i]);
		batch_done(&batches[i]);
	}
	tell(&more, sizeof(more));
	free(batches);
	return true;
}

static bool batches_open(void)
{
	char(*ids)[ID_SIZE];
	size_t n;

	if (!store_batches_open(store, &ids, &n, &err))
		return false;
	for (size_t i = 0; i < n; i++)
		tell_text(ids[i]);
	free(ids);
	return true;
}

static bool batches_enqueued(void)
{
	uint64_t n[2] = { 0 };
	bool ok = store_batches_enqueued(store, ours.id, "m", waiting.id, &n[0], &n[1], &err);

	if (ok)
		tell(n, sizeof(n));
	return ok;
}

static bool merge_get(void)
{
	struct merge_state m = { 0 };
	bool ok = store_merge_get(store, running.id, &m, &err);

	if (ok)
		tell(&m.usage, sizeof(m.usage));
	return ok;
}

static bool merge_put(void)
{
	return store_merge_put(store, running.id, &merged, &err);
}

static bool batch_cancelling(void)
{
	bool moved = false;

	return store_batch_move(store, running.id, 1u << BATCH_IN_PROGRESS, BATCH_CANCELLING,
				NOW + 3, &moved, &err) &&
	       moved;
}

static bool batch_start(void)
{
	bool moved = false;

	return store_batch_start(store, waiting.id, 5, 50, "m", output.id, errors.id, NOW + 3,
				 &moved, &err) &&
	       moved;
}

static bool batch_fail(void)
{
	bool moved = false;

	return store_batch_fail(store, waiting.id, "[]", NOW + 3, &moved, &err) && moved;
}

static bool batch_cancel_early(void)
{
	bool moved = false;

	return store_batch_cancel_early(store, waiting.id, NOW + 3, &moved, &err) && moved;
}

static bool batch_hold(void)
{
	bool changed = false;

	return store_batch_hold(store, waiting.id, BATCH_HELD, NOW + 3, &changed, &err) && changed;
}

static bool batch_finish(void)
{
	bool moved = false;

	return store_batch_move(store, running.id, 1u << BATCH_IN_PROGRESS, BATCH_FINALIZING,
				NOW + 3, &moved, &err) &&
	       store_batch_finish(store, running.id, BATCH_COMPLETED, &merged, &output, &errors,
				  NULL, NOW + 4, &moved, &err) &&
	       moved;
}

static bool webhook_create(void)
{
	struct webhook_endpoint e = hook_of("two");

	return store_webhook_create(store, &e, 5, &err);
}

static bool webhook_get(void)
{
	struct webhook_endpoint e;
	bool ok = store_webhook_get(store, ours.id, hook.id, &e, &err);

	if (ok)
		tell_text(e.name);
	return ok;
}

static bool webhook_list(void)
{
	struct webhook_endpoint *list;
	size_t n;
	bool more;

	if (!store_webhook_list(store, ours.id, NULL, 5, &list, &n, &more, &err))
		return false;
	for (size_t i = 0; i < n; i++)
		tell_text(list[i].name);
	free(list);
	return true;
}

static bool webhook_update(void)
{
	const struct webhook_change change = { .url = "https://example.org/" };
	struct webhook_endpoint e;

	return store_webhook_update(store, ours.id, hook.id, &change, NOW + 2, &e, &err);
}

static bool webhook_rotate(void)
{
	struct webhook_endpoint e;

	return store_webhook_rotate(store, ours.id, hook.id, "whsec_t", NOW + DAY, NOW, &e, &err);
}

static bool webhook_delete(void)
{
	return store_webhook_delete(store, ours.id, hook.id, &err);
}

static bool webhook_configure(void)
{
	struct webhook_endpoint e = hook_of("configured");

	snprintf(e.id, sizeof(e.id), "we_config_one");
	return store_webhook_configure(store, &e, 1, NOW, &err);
}

static bool delivery_list(void)
{
	struct webhook_delivery *list;
	size_t n;
	bool more;

	if (!store_delivery_list(store, ours.id, hook.id, NULL, 5, &list, &n, &more, &err))
		return false;
	for (size_t i = 0; i < n; i++)
		tell_text(list[i].id);
	free(list);
	return true;
}

static bool delivery_replay(void)
{
	struct webhook_delivery d;

	return store_delivery_replay(store, ours.id, hook.id, hook_due.id, NOW + 9, &d, &err);
}

static bool webhooks_pending(void)
{
	char(*ids)[ID_SIZE];
	size_t n;

	if (!store_webhooks_pending(store, &ids, &n, &err))
		return false;
	tell(&n, sizeof(n));
	free(ids);
	return true;
}

static bool webhook_due(void)
{
	struct webhook_due *list;
	size_t n;

	if (!store_webhook_due(store, hook.id, 5, &list, &n, &err))
		return false;
	tell(&n, sizeof(n));
	free(list);
	return true;
}

static bool webhook_record(void)
{
	struct webhook_result r = {
		.delivery = hook_due.id,
		.began_at = hook_due.began_at,
		.endpoint = hook.id,
		.status = 500,
		.error = "no",
		.next_at = NOW + 60,
	};

	return store_webhook_record(store, &r, 1, &err);
}

static bool outbox_shift(void)
{
	return store_outbox_shift(store, 7, NOW + DAY, &err);
}

static bool outbox_oldest(void)
{
	int64_t oldest;
	bool ok = store_outbox_oldest(store, &oldest, &err);

	if (ok)
		tell(&oldest, sizeof(oldest));
	return ok;
}

#define READS false
#define WRITES true

static const struct {
	const char *name;
	bool (*run)(void);
	bool writes;
} cases[] = {
	{ "org_ensure", org_ensure, WRITES },
	{ "org_create", org_create, WRITES },
	{ "org_list", org_list, READS },
	{ "org_weigh", org_weigh, WRITES },
	{ "org_weight", org_weight, READS },
	{ "org_suspend", org_suspend, WRITES },
	{ "org_limit", org_limit, WRITES },
	{ "org_limits", org_limits, READS },
	{ "orgs_suspended", orgs_suspended, READS },
	{ "batches_to_cancel", batches_to_cancel, READS },
	{ "file_use", file_used, READS },
	{ "key_create", key_create, WRITES },
	{ "key_list", key_list, READS },
	{ "key_revoke", key_revoke, WRITES },
	{ "key_count", key_count, READS },
	{ "call_find", call_look, READS },
	{ "file_insert", file_insert_one, WRITES },
	{ "file_get", file_get, READS },
	{ "file_list", file_list, READS },
	{ "file_delete", file_delete, WRITES },
	{ "sweep", sweep, WRITES },
	{ "blobs_spare", blobs_spare, READS },
	{ "blob_gone", blob_gone, WRITES },
	{ "blob_known", blob_known, READS },
	{ "upload_insert", upload_insert, WRITES },
	{ "upload_get", upload_get, READS },
	{ "part_insert", part_insert, WRITES },
	{ "parts_get", parts_get, READS },
	{ "upload_complete", upload_complete, WRITES },
	{ "upload_cancel", upload_cancel, WRITES },
	{ "directory_get", directory_get, READS },
	{ "directory_put", directory_put, WRITES },
	{ "directory_turn", directory_turn, WRITES },
	{ "batch_insert", batch_insert_one, WRITES },
	{ "batch_get", batch_get, READS },
	{ "batch_list", batch_list, READS },
	{ "batches_open", batches_open, READS },
	{ "batches_enqueued", batches_enqueued, READS },
	{ "merge_get", merge_get, READS },
	{ "merge_put", merge_put, WRITES },
	{ "batch_move", batch_cancelling, WRITES },
	{ "batch_start", batch_start, WRITES },
	{ "batch_fail", batch_fail, WRITES },
	{ "batch_cancel_early", batch_cancel_early, WRITES },
	{ "batch_hold", batch_hold, WRITES },
	{ "batch_finish", batch_finish, WRITES },
	{ "webhook_create", webhook_create, WRITES },
	{ "webhook_get", webhook_get, READS },
	{ "webhook_list", webhook_list, READS },
	{ "webhook_update", webhook_update, WRITES },
	{ "webhook_rotate", webhook_rotate, WRITES },
	{ "webhook_delete", webhook_delete, WRITES },
	{ "webhook_configure", webhook_configure, WRITES },
	{ "delivery_list", delivery_list, READS },
	{ "delivery_replay", delivery_replay, WRITES },
	{ "webhooks_pending", webhooks_pending, READS },
	{ "webhook_due", webhook_due, READS },
	{ "webhook_record", webhook_record, WRITES },
	{ "outbox_shift", outbox_shift, WRITES },
	{ "outbox_oldest", outbox_oldest, READS },
};

/* One run of case `c`; whether it did its work. A store that is new has caches to fill. */
static bool run(size_t c, struct memory_sweep *s, uint64_t *ret_told)
{
	told = 0;
	memory_fail(s);
	bool ok = cases[c].run();
	memory_restore(s);
	if (!ok)
		assert_no_memory(&err);
	*ret_told = told;
	return ok;
}

/* A case that writes has its rows back once it has done its work; one that reads must tell the same
 * each time. batch_finish is two transactions: after the first, two states are right. */
static void sweep_case(size_t c)
{
	struct memory_sweep s = MEMORY_SWEEP;
	uint64_t before, answer = 0, now;

	reopen(); /* without what was in caches */
	before = database();
	while (memory_sweep_next(&s)) {
		bool ok = run(c, &s, &now);
		uint64_t after = database();
		if (!cases[c].writes || (!ok && cases[c].run != batch_finish))
			assert_true(after == before);
		if (!cases[c].writes && ok)
			assert_true(answer == 0 || now == answer);
		if (!cases[c].writes && ok)
			answer = now;
		if (cases[c].writes && (ok || after != before)) {
			/* the work is done (also where memory ran out on the way): anew */
			if (ok)
				assert_true(after != before);
			put_rows_back();
			assert_true(database() == before);
		}
		MUST(store_key_count(store, &now, &err)); /* readers and writer are free again */
		MUST(take_blob("file-none"));
	}
}

static void every_call(void **state)
{
	setup(state);
	rows_put();
	hook_put();
	keep_rows();
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		print_message("%s\n", cases[c].name);
		sweep_case(c);
	}
	keeper_close();
	teardown(state);
}

static void opening(void **state)
{
	void *none = NULL;

	(void)state;
	setup(&none);
	store_close(store);
	for (struct memory_sweep s = MEMORY_SWEEP_THIN; memory_sweep_next(&s);) {
		store = NULL;
		memory_fail(&s);
		bool ok = store_open(dir, &store, &err);
		memory_restore(&s);
		if (!ok)
			assert_no_memory(&err);
		store_close(store);
	}
	MUST(store_open(dir, &store, &err));
	teardown(&none);
}

/* ---- opening ---- */

static struct sqlite_db bare; /* only what migrations need of a store */

static bool migrate(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/meta.db", dir);
	int code = sqlite3_open(path, &bare.handle);
	return (code == SQLITE_OK || fail_sqlite(&err, &bare, code, path)) &&
	       sqlite_migrate(&bare, &err);
}

/* A new database: each step of its making may be the last; the next start goes on. */
static void migrating(void **state)
{
	char path[PATH_MAX];

	(void)state;
	log_set_level(LOG_OFF);
	for (struct memory_sweep s = MEMORY_SWEEP_THIN; memory_sweep_next(&s);) {
		dir = scratch_dir_new();
		snprintf(path, sizeof(path), "%s/meta.db", dir);
		FILE *empty = fopen(path, "w");
		assert_non_null(empty);
		assert_int_equal(fclose(empty), 0);
		memory_fail(&s);
		bool ok = migrate();
		memory_restore(&s);
		sqlite3_close(bare.handle);
		if (!ok) {
			assert_no_memory(&err);
			MUST(migrate());
			sqlite3_close(bare.handle);
		}
		scratch_dir_remove(dir);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call),
		cmocka_unit_test(opening),
		cmocka_unit_test(migrating),
	};

	memory_fault_sqlite();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

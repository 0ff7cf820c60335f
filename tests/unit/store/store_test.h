/* store_test.h: a store in a scratch directory with two organizations, and rows to put in it. */
#pragma once

#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/sys.h"
#include "store/postgres.h"
#include "store/sqlite.h"
#include "store/store_priv.h"

#define NOW INT64_C(1750000000)
#define DAY 86400

static char *dir;
static struct store *store;
static struct org ours, theirs;
static struct error err;

#define MUST(call)                                                                               \
	do {                                                                                     \
		if (!(call))                                                                     \
			fail_msg("%s: %s (%s, %d, %d)", #call, err.message, err.detail, err.sys, \
				 err.sqlite);                                                    \
	} while (0)

#define FAILS(call, expected_kind)                               \
	do {                                                     \
		assert_false(call);                              \
		assert_int_equal(err.kind, ERR_##expected_kind); \
	} while (0)

/* ---- which database: SQLite, or with LOWTIDE_TEST_STORE a schema of its own in the PostgreSQL that
 * LOWTIDE_TEST_POSTGRES leads to ---- */

#define SKIPPED 77 /* meson's */

static char postgres_url[512]; /* "": SQLite */

static inline void postgres_do(const char *what)
{
	char text[128];
	PGconn *conn = PQconnectdb(getenv("LOWTIDE_TEST_POSTGRES"));

	snprintf(text, sizeof(text), "SET client_min_messages = error; %s SCHEMA test_%d %s", what,
		 (int)getpid(), what[0] == 'D' ? "CASCADE" : "");
	PGresult *r = PQexec(conn, text);
	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		fail_msg("%s: %s", text, PQerrorMessage(conn));
	PQclear(r);
	PQfinish(conn);
}

static inline void place_make(void)
{
	const char *where = getenv("LOWTIDE_TEST_POSTGRES");

	if (getenv("LOWTIDE_TEST_STORE") == NULL)
		return;
	if (where == NULL)
		_exit(SKIPPED);
	postgres_do("CREATE");
	snprintf(postgres_url, sizeof(postgres_url), "%s options=-csearch_path=test_%d", where,
		 (int)getpid());
}

static inline void place_remove(void)
{
	if (postgres_url[0] != '\0')
		postgres_do("DROP");
}

static inline bool place_open_as(struct store **ret)
{
	return postgres_url[0] != '\0' ? store_connect(postgres_url, ret, &err)
				       : store_open(dir, ret, &err);
}

static inline bool place_open(void)
{
	return place_open_as(&store);
}

static inline void reopen(void)
{
	store_close(store);
	MUST(place_open());
}

static inline int setup(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	dir = scratch_dir_new();
	place_make();
	MUST(place_open());
	MUST(store_org_ensure(store, "ours", NOW, &ours, &err));
	MUST(store_org_ensure(store, "theirs", NOW, &theirs, &err));
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	store_close(store);
	place_remove();
	scratch_dir_remove(dir);
	return 0;
}

/* A key to make. Another call makes it anew. */
static inline struct key *key_of(const char *org, const char *hint)
{
	static struct key key;

	key = (struct key){ .created_at = NOW };
	snprintf(key.org, sizeof(key.org), "%s", org);
	snprintf(key.hint, sizeof(key.hint), "%s", hint);
	return &key;
}

/* What stands in the tables, where the interface does not tell. */
static inline int64_t number_of(const char *sql)
{
	sqlite3_stmt *statement;
	char text[32];

	if (postgres_url[0] != '\0') {
		MUST(postgres_exec(postgres_of(store->writer), sql, text, sizeof(text), &err));
		return text[0] == 't' ? 1 : strtoll(text, NULL, 10);
	}
	assert_int_equal(
		sqlite3_prepare_v2(sqlite_of(store->writer)->handle, sql, -1, &statement, NULL), 0);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return number;
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static inline struct file file_of(const struct org *org, int64_t created_at)
{
	struct file f = { .bytes = 100, .created_at = created_at };

	id_file(f.id);
	memcpy(f.org, org->id, sizeof(f.org));
	memset(f.sha256, 'a', 64);
	snprintf(f.filename, sizeof(f.filename), "requests.jsonl");
	return f;
}

static inline struct file put_file(const struct org *org, int64_t created_at)
{
	struct file f = file_of(org, created_at);
	char id[ID_SIZE];

	MUST(store_file_insert(store, &f, NULL, NULL, id, &err));
	assert_string_equal(id, f.id);
	return f;
}

static inline bool take_blob(const char *id)
{
	char ids[1][ID_SIZE];

	snprintf(ids[0], ID_SIZE, "%s", id);
	return store_blobs_gone(store, ids, 1, &err);
}

/* On an input file that is there. */
static inline struct batch batch_of(const struct org *org, int64_t created_at)
{
	struct batch b = { .created_at = created_at, .expires_at = created_at + DAY };
	struct file input = put_file(org, created_at);

	id_batch(b.id);
	memcpy(b.org, org->id, sizeof(b.org));
	snprintf(b.endpoint, sizeof(b.endpoint), "/v1/chat/completions");
	snprintf(b.input_file_id, sizeof(b.input_file_id), "%s", input.id);
	snprintf(b.completion_window, sizeof(b.completion_window), "24h");
	return b;
}

static inline struct batch put_batch(const struct org *org, int64_t created_at)
{
	struct batch b = batch_of(org, created_at);
	char id[ID_SIZE];

	MUST(store_batch_insert(store, &b, NULL, false, 0, id, &err));
	assert_string_equal(id, b.id);
	return b;
}

/* The status of a batch; its row is checked by others. */
static inline enum batch_status status_of(const char *id)
{
	struct batch b;

	MUST(store_batch_get(store, NULL, id, &b, &err));
	enum batch_status status = b.status;
	batch_done(&b);
	return status;
}

/* Runs `child` in a process of its own; how it ended, as waitpid() says. */
static inline int in_a_child(void (*child)(void))
{
	int status;

	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		child();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static inline bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Lists of batches by filter: what is found, against a list that is filtered by hand; and what it
 * costs among 100,000 (contract 11.3). */
#include "no_sync.h"
#include "store_test.h"

#define BIT(status) (1u << BATCH_##status)

/* ---- what is found ---- */

#define MADE 240

struct made {
	char id[ID_SIZE];
	int64_t created_at;
	enum batch_status status;
	char team, stage; /* a letter each; '\0': it has no such pair */
};

static struct made made[MADE];

static void metadata_of(const struct made *m, char to[static 64])
{
	char *p = to;

	*p++ = '{';
	if (m->team != '\0')
		p += sprintf(p, "\"team\":\"%c\"", m->team);
	if (m->stage != '\0')
		p += sprintf(p, "%s\"stage\":\"%c\"", m->team != '\0' ? "," : "", m->stage);
	sprintf(p, "}");
}

static void make(struct made *m)
{
	struct batch b = batch_of(&ours, m->created_at);
	char metadata[64], sql[128], id[ID_SIZE];

	metadata_of(m, metadata);
	b.metadata = m->team != '\0' || m->stage != '\0' ? metadata : NULL;
	MUST(store_batch_insert(store, &b, NULL, false, 0, id, &err));
	memcpy(m->id, b.id, sizeof(m->id));
	snprintf(sql, sizeof(sql), "UPDATE batch SET status = %d WHERE id = '%s'", (int)m->status,
		 m->id);
	MUST(db_exec(store->writer, sql, &err));
}

/* Some are rare, some are common; the clock steps back now and then. */
static void make_all(void)
{
	int64_t now = NOW;

	srandom(11);
	for (unsigned i = 0; i < MADE; i++) {
		now += random() % 40 == 0 ? -(random() % 30) : random() % 3;
		made[i] = (struct made){
			.created_at = now,
			.status = random() % 3 != 0 ? BATCH_COMPLETED
						    : (enum batch_status)(random() % 8),
			.team = "aaaaaabbbc\0"[random() % 11],
			.stage = "xxxxxxxyy\0"[random() % 10],
		};
		make(&made[i]);
		if (i % 3 == 0)
			put_batch(&theirs, now);
	}
}

static bool has(const struct made *m, const struct batch_label *label)
{
	int letter = strcmp(label->key, "team") == 0    ? m->team
		     : strcmp(label->key, "stage") == 0 ? m->stage
							: '\0';

	return letter != '\0' && label->value[0] == letter && label->value[1] == '\0';
}

static bool belongs(const struct made *m, const struct batch_query *q)
{
	if ((q->statuses != 0 && !(q->statuses >> m->status & 1)) ||
	    m->created_at <= q->created_after ||
	    (q->created_before != 0 && m->created_at >= q->created_before))
		return false;
	for (unsigned i = 0; i < q->label_count; i++)
		if (!has(m, &q->labels[i]))
			return false;
	return true;
}

/* One page, from the batch number `at` down; the number that the next one begins with, or -1. */
static int page_check(struct batch_query *q, int at)
{
	struct batch *page;
	size_t n, seen = 0;
	bool more, left = false;

	MUST(store_batch_list(store, q, &page, &n, &more, &err));
	for (; at >= 0; at--) {
		if (!belongs(&made[at], q))
			continue;
		if (seen == q->limit) {
			left = true;
			break;
		}
		if (seen == n)
			fail_msg(
				"%zu found; statuses %x, labels %u (%s=%s), after %lld, before %lld",
				n, q->statuses, q->label_count, q->labels[0].key,
				q->labels[0].value, (long long)q->created_after,
				(long long)q->created_before);
		assert_string_equal(page[seen++].id, made[at].id);
	}
	assert_int_equal(n, seen);
	assert_int_equal(more, left);
	for (size_t i = 0; i < n; i++)
		batch_done(&page[i]);
	free(page);
	return left ? at : -1;
}

static struct batch_query random_query(struct batch_label labels[static 3])
{
	static const struct batch_label all[] = { { "team", "a" },  { "team", "b" },
						  { "team", "c" },  { "stage", "x" },
						  { "stage", "y" }, { "team", "nobody" },
						  { "", "" },       { "team", "" } };
	struct batch_query q = { .org = ours.id, .labels = labels };

	q.limit = 1 + (unsigned)(random() % 30);
	q.statuses = random() % 2 ? (unsigned)(random() % 256) : 0;
	q.label_count = (unsigned)(random() % 4);
	for (unsigned i = 0; i < q.label_count; i++)
		labels[i] = all[random() % (i > 0 ? 5 : ARRAY_LEN(all))];
	if (random() % 3 == 0)
		q.created_after = NOW - 10 + random() % 250;
	if (random() % 3 == 0)
		q.created_before = NOW - 10 + random() % 250;
	return q;
}

/* 11.3: all joined by "and"; 10: newest first, each once, `after` any batch of the organization. */
static void what_is_asked_for_is_found(void **state)
{
	struct batch_label labels[3];

	(void)state;
	make_all();
	for (int round = 0; round < 1500; round++) {
		struct batch_query q = random_query(labels);
		int at = MADE - 1;
		if (random() % 4 == 0) {
			at = (int)(random() % MADE);
			q.after = made[at--].id; /* whether it is asked for or not */
		}
		while ((at = page_check(&q, at)) >= 0) {
			int last = at + 1; /* the last of the page */
			while (!belongs(&made[last], &q))
				last++;
			q.after = made[last].id;
		}
	}
	assert_true(number_of("SELECT max(run) FROM batch") > 3);
	assert_int_equal(number_of("SELECT count(*) FROM status_block WHERE bits = 0"), 0);
}

/* ---- pairs ---- */

static size_t found(const struct batch_label *labels, unsigned n)
{
	struct batch_query q = { .org = ours.id, .limit = 10, .labels = labels, .label_count = n };
	struct batch *page;
	size_t count;
	bool more;

	MUST(store_batch_list(store, &q, &page, &count, &more, &err));
	for (size_t i = 0; i < count; i++)
		batch_done(&page[i]);
	free(page);
	return count;
}

static void put_with(const struct org *org, const char *metadata)
{
	struct batch b = batch_of(org, NOW);
	char id[ID_SIZE];

	b.metadata = (char *)metadata;
	MUST(store_batch_insert(store, &b, NULL, false, 0, id, &err));
}

/* The text that JSON means, in any way it may be written; the last of a key that stands twice. */
static void pairs_are_compared_decoded_and_exactly(void **state)
{
	static const struct {
		struct batch_label label;
		size_t n;
	} asked[] = {
		{ { "a", "2" }, 1 },           { { "a", "1" }, 0 }, { { "A", "2" }, 0 },
		{ { "a", "2 " }, 0 },          { { "", "" }, 1 },   { { "job[1]", "x,y" }, 1 },
		{ { "\U0001f600", "\n" }, 1 }, { { "%", "_" }, 0 }, { { "their", "s" }, 0 },
	};

	(void)state;
	put_with(&ours, "{\"a\":\"1\",\"\\u0061\":\"2\",\"\":\"\"}");
	put_with(&ours, "{\"job[1]\":\"x,y\",\"\\ud83d\\ude00\":\"\\n\"}");
	put_with(&ours, "{}");
	put_with(&theirs, "{\"their\":\"s\",\"a\":\"3\"}");
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		if (found(&asked[i].label, 1) != asked[i].n)
			fail_msg("%s=%s", asked[i].label.key, asked[i].label.value);
}

/* As many as a batch can have, all of them and one of them wrong. */
static void sixteen_pairs(void **state)
{
	struct batch_label labels[BATCH_LABELS_MAX];
	char texts[BATCH_LABELS_MAX][8], metadata[512], *p = metadata;

	(void)state;
	for (unsigned i = 0; i < BATCH_LABELS_MAX; i++) {
		snprintf(texts[i], sizeof(texts[i]), "k%u", i);
		labels[i] = (struct batch_label){ texts[i], "v" };
		p += sprintf(p, "%s\"k%u\":\"v\"", i > 0 ? "," : "{", i);
		put_with(&ours, (char[]){ "{\"other\":\"v\"}" });
	}
	sprintf(p, "}");
	put_with(&ours, metadata);
	for (unsigned n = 1; n <= BATCH_LABELS_MAX; n++)
		assert_int_equal(found(labels, n), 1);
	for (unsigned i = 0; i < BATCH_LABELS_MAX; i++) {
		labels[i].key = "other";
		assert_int_equal(found(labels, BATCH_LABELS_MAX), 0);
		labels[i].key = texts[i];
	}
}

/* ---- what it costs ---- */

#define MANY 100000

/* Batches of every kind: half and half, all, one in a thousand, one alone. */
static void make_many(void)
{
	char *sql;

	assert_true(
		asprintf(&sql,
			 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
			 " WHERE i < %d)"
			 "INSERT INTO batch (id, org, endpoint, input_file_id, input_missing,"
			 " completion_window, output_expires_after_s, metadata, created_at,"
			 " expires_at, status, sequence, changed)"
			 "SELECT printf('batch_%%032x', i), '%s', '/v1/chat/completions', 'f', 0,"
			 " '24h', 0, json_object('half', (i %% 2) || '', 'other', (i %% 2) || '',"
			 " 'all', 'x', 'rare', (i %% 1000) || '', 'one', i || ''),"
			 " %lld + i, %lld, iif(i %% 10000 = 5, 5, 4 + 2 * (i %% 2)), i, i FROM n;"
			 "INSERT INTO progress (batch) SELECT id FROM batch",
			 MANY, ours.id, (long long)NOW, (long long)NOW + DAY) > 0);
	MUST(db_exec(store->writer, sql, &err));
	free(sql);
}

/* Steps of SQLite's machine for a page, by all statements of all readers. A million are some 10 ms
 * of a core of today. */
static int64_t steps_of(const struct batch_query *q, size_t expected)
{
	struct batch *page;
	int64_t steps = 0;
	size_t n;
	bool more;

	MUST(store_batch_list(store, q, &page, &n, &more, &err));
	assert_int_equal(n, expected);
	for (size_t i = 0; i < n; i++)
		batch_done(&page[i]);
	free(page);
	for (unsigned r = 0; r < READERS; r++) {
		for (int id = 0; id < SQL_COUNT; id++) {
			sqlite3_stmt *statement = sqlite_of(store->readers[r])->statements[id];
			if (statement == NULL)
				continue; /* it has not used that one */
			steps += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1);
			assert_int_equal(sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_SORT, 1),
					 0);
		}
	}
	return steps;
}

/* Contract 11.3, issue 11 (6): the first page of any filter, be it rare, absent or common, or of
 * filters that are each common and never meet. */
static void no_page_of_100000_is_dear(void **state)
{
	const struct {
		const char *name;
		struct batch_query q;
		size_t n;
		int64_t steps;
	} asked[] = {
		{ "none", { 0 }, 20, 2000 },
		{ "half",
		  { .label_count = 1, .labels = (struct batch_label[]){ { "half", "0" } } },
		  20,
		  5000 },
		{ "one",
		  { .label_count = 1, .labels = (struct batch_label[]){ { "one", "7" } } },
		  1,
		  2000 },
		{ "absent",
		  { .label_count = 1, .labels = (struct batch_label[]){ { "no", "7" } } },
		  0,
		  2000 },
		{ "rare status", { .statuses = BIT(FAILED) }, 10, 5000 },
		{ "no status", { .statuses = BIT(CANCELLING) | BIT(VALIDATING) }, 0, 2000 },
		{ "all statuses", { .statuses = 255 }, 20, 10000 },
		{ "rare status and half",
		  { .statuses = BIT(FAILED),
		    .label_count = 1,
		    .labels = (struct batch_label[]){ { "half", "1" } } },
		  10,
		  20000 },
		{ "time", { .created_after = NOW + 100, .created_before = NOW + 110 }, 9, 3000 },
		{ "time and one",
		  { .created_before = NOW + 1000,
		    .label_count = 1,
		    .labels = (struct batch_label[]){ { "one", "500" } } },
		  1,
		  3000 },
		{ "time and status",
		  { .created_before = NOW + 50000, .statuses = BIT(COMPLETED) | BIT(FAILED) },
		  20,
		  5000 },
		{ "rare and common",
		  { .label_count = 3,
		    .labels = (struct batch_label[]){ { "all", "x" },
						      { "half", "1" },
						      { "rare", "7" } } },
		  20,
		  40000 },
		{ "halves that never meet",
		  { .label_count = 2,
		    .labels = (struct batch_label[]){ { "half", "0" }, { "other", "1" } } },
		  0,
		  300000 },
		{ "half and a status that never meet",
		  { .statuses = BIT(EXPIRED),
		    .label_count = 1,
		    .labels = (struct batch_label[]){ { "half", "0" } } },
		  0,
		  300000 },
	};

	if (postgres_url[0] != '\0')
		skip(); /* steps are SQLite's */
	(void)state;
	make_many();
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		struct batch_query q = asked[i].q;
		q.org = ours.id;
		q.limit = 20;
		int64_t steps = steps_of(&q, asked[i].n);
		if (steps > asked[i].steps)
			fail_msg("%s: %lld steps", asked[i].name, (long long)steps);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(what_is_asked_for_is_found),
		WITH_STORE(pairs_are_compared_decoded_and_exactly),
		WITH_STORE(sixteen_pairs),
		WITH_STORE(no_page_of_100000_is_dear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

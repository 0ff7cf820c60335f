/* Attempts, in virtual time (12): when they are made, what each result leads to, who waits for
 * whom; the store is a real one. */
#include "unit.h"

#include <sqlite3.h>

#include "client_fake.h"
#include "log_seen.h"
#include "store/store_priv.h"
#include "webhook/attempts.h"
#include "webhook/signature.h"
#include "webhook/webhook_impl.h"

#define HOUR INT64_C(3600)

static char *dir;
static struct store *store;
static struct org ours;
static struct client *client;
static struct webhooks *hooks;
static struct error err;

#define MUST(call)                                                               \
	do {                                                                     \
		if (!(call))                                                     \
			fail_msg("%s: %s (%s)", #call, err.message, err.detail); \
	} while (0)

/* ---- receivers: what comes to them, and what they answer ---- */

struct seen {
	char url[64], id[ID_SIZE], signature[200], body[400];
	int64_t timestamp, at_s;
};
static struct seen seen[600];
static unsigned seen_count;
static struct fake_answer good, bad; /* of URLs with "bad" in them */

static void header_copy(const struct fake_request *rq, const char *name, char *to, size_t size)
{
	const struct header *h = header_find(rq->headers, rq->header_count, name);

	assert_non_null(h);
	assert_true(slice_copy(h->value, to, size));
}

static void script(void *ctx, const struct fake_request *rq, struct fake_answer *ret)
{
	struct seen *s = &seen[seen_count++];
	char timestamp[24];

	(void)ctx;
	assert_true(seen_count < 600);
	assert_true(rq->fresh && rq->look_up); /* each attempt looks its receiver up anew */
	assert_string_equal(rq->method, "POST");
	snprintf(s->url, sizeof(s->url), "%s", rq->url);
	header_copy(rq, "webhook-id", s->id, sizeof(s->id));
	header_copy(rq, "webhook-signature", s->signature, sizeof(s->signature));
	header_copy(rq, "webhook-timestamp", timestamp, sizeof(timestamp));
	s->timestamp = strtoll(timestamp, NULL, 10);
	s->at_s = sys.now_s();
	assert_true(slice_copy(rq->body, s->body, sizeof(s->body)));
	*ret = strstr(rq->url, "bad") != NULL ? bad : good;
}

static unsigned seen_at(const char *url)
{
	unsigned n = 0;

	for (unsigned i = 0; i < seen_count; i++)
		n += strcmp(seen[i].url, url) == 0;
	return n;
}

/* ---- the world ---- */

static int setup(void **state)
{
	static const struct webhooks_config config = { .timeout_ms = 15000, .user_agent = "u" };

	(void)state;
	dir = scratch_dir_new();
	client = client_fake_open(script, NULL);
	MUST(store_open(dir, &store, &err));
	MUST(store_org_ensure(store, "ours", sys.now_s(), &ours, &err));
	MUST(webhooks_new(&config, store, client, &hooks, &err));
	turn_begin(hooks);
	seen_count = 0;
	good = (struct fake_answer){ .status = 200 };
	bad = (struct fake_answer){ .status = 500 };
	log_seen_begin();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_end(hooks);
	webhooks_free(hooks);
	client_close(client);
	store_close(store);
	scratch_dir_remove(dir);
	log_seen_end();
	return 0;
}

static struct webhook_endpoint endpoint(const char *url)
{
	struct webhook_endpoint e = { .event_types = WEBHOOK_ALL_TYPES, .created_at = 1 };

	id_endpoint(e.id);
	secret_make(e.secret);
	memcpy(e.org, ours.id, sizeof(e.org));
	snprintf(e.name, sizeof(e.name), "n");
	snprintf(e.url, sizeof(e.url), "%s", url);
	MUST(store_webhook_create(store, &e, 0, &err));
	return e;
}

/* A batch that has ended. */
static void batch_ends(void)
{
	struct batch b = { .created_at = sys.now_s(), .expires_at = sys.now_s() + 86400 };
	char id[ID_SIZE];
	bool moved;

	id_batch(b.id);
	memcpy(b.org, ours.id, sizeof(b.org));
	snprintf(b.endpoint, sizeof(b.endpoint), "/v1/x");
	snprintf(b.input_file_id, sizeof(b.input_file_id), "file-none");
	snprintf(b.completion_window, sizeof(b.completion_window), "24h");
	MUST(store_batch_insert(store, &b, NULL, true, 0, id, &err));
	MUST(store_batch_fail(store, b.id, "[]", sys.now_s(), &moved, &err));
	assert_true(moved);
}

static void turn(void)
{
	turn_run(hooks);
	loop_turn(hooks, 0);
}

/* Both threads' turns, for so long. */
static void run_for(int64_t seconds)
{
	uint64_t end_ms = client_fake_now_ms() + (uint64_t)seconds * 1000;

	while (client_fake_now_ms() < end_ms) {
		uint64_t wait_ms = turn_run(hooks), left_ms = end_ms - client_fake_now_ms();
		wait_ms = wait_ms < left_ms ? wait_ms : left_ms;
		loop_turn(hooks, 0); /* starts what was handed over */
		if (hooks->ended == NULL)
			loop_turn(hooks, (int)wait_ms);
	}
	turn();
}

static struct webhook_delivery delivery(const struct webhook_endpoint *e)
{
	struct webhook_delivery *list;
	size_t n;
	bool more;

	MUST(store_delivery_list(store, ours.id, e->id, NULL, 1, &list, &n, &more, &err));
	assert_int_equal(n, 1);
	struct webhook_delivery one = list[0];
	free(list);
	return one;
}

/* ---- attempts ---- */

static void what_is_taken_is_over(void **state)
{
	struct webhook_endpoint e = endpoint("http://good/");
	AUTO(buf_free) struct buf signature = BUF(200);

	(void)state;
	batch_ends();
	run_for(100);
	assert_int_equal(seen_count, 1);
	struct webhook_delivery d = delivery(&e);
	assert_string_equal(seen[0].id, d.id);
	assert_true(signature_append(e.secret, d.id, seen[0].timestamp, slice_of(seen[0].body),
				     &signature));
	assert_true(slice_is(buf_slice(&signature), seen[0].signature));
	assert_non_null(strstr(seen[0].body, "\"type\":\"batch.failed\""));
	assert_non_null(strstr(seen[0].body, d.event));
	assert_int_equal(d.attempts, 1);
	assert_int_equal(d.status, 200);
	assert_int_equal(d.next_at, 0);
	assert_string_equal(d.error, "");
	assert_int_equal(hooks->attempts[WEBHOOK_TAKEN], 1);
	assert_int_equal(hooks->under_way, 0);
}

/* Tried for 72 hours, with the same id and body; then given up. Each timestamp is the attempt's. */
static void what_is_not_taken_is_given_up_after_72_hours(void **state)
{
	struct webhook_endpoint e = endpoint("http://bad/");

	(void)state;
	int64_t began = sys.now_s();
	batch_ends();
	run_for(72 * HOUR - 60);
	assert_int_not_equal(delivery(&e).next_at, 0);
	run_for(200);
	struct webhook_delivery d = delivery(&e);
	assert_int_equal(d.next_at, 0);
	assert_int_equal(d.status, 500);
	assert_int_equal(d.attempts, seen_count);
	assert_in_range(seen_count, 12, 17);
	for (unsigned i = 0; i < seen_count; i++) {
		assert_string_equal(seen[i].id, seen[0].id);
		assert_string_equal(seen[i].body, seen[0].body);
		assert_int_equal(seen[i].timestamp, seen[i].at_s);
		if (i > 0)
			assert_string_not_equal(seen[i].signature, seen[0].signature);
	}
	assert_in_range(seen[1].at_s - seen[0].at_s, 4, 7);
	assert_in_range(seen[2].at_s - seen[1].at_s, 24, 37);
	assert_in_range(seen[seen_count - 1].at_s - began, 72 * HOUR, 72 * HOUR + 2);
	assert_int_equal(hooks->given_up, 1);
	assert_int_equal(log_seen_count("webhook.failing", e.id), 1); /* once, not each time */
	assert_int_equal(log_seen_count("webhook.given_up", e.id), 1);
	run_for(100 * HOUR);
	assert_int_equal(delivery(&e).attempts, seen_count);
}

static void each_end_has_its_words(void **state)
{
	static const struct {
		struct fake_answer answer;
		enum webhook_end how;
		const char *words;
	} cases[] = {
		{ { .status = 301 }, WEBHOOK_ANSWERED, "redirects are not followed" },
		{ { .status = 404 }, WEBHOOK_ANSWERED, "status 404" },
		{ { .how = EXCHANGE_UNREACHABLE, .said = "nobody" }, WEBHOOK_UNREACHABLE, "nobody" },
		{ { .how = EXCHANGE_CERTIFICATE, .said = "not signed" },
		  WEBHOOK_UNREACHABLE,
		  "certificate" },
		{ { .how = EXCHANGE_BROKEN, .said = "reset" }, WEBHOOK_UNREACHABLE, "broke: reset" },
		{ { .how = EXCHANGE_TIMEOUT, .after_ms = FAKE_NEVER },
		  WEBHOOK_TIMEOUT,
		  "No answer in time" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct webhook_endpoint e = endpoint("http://bad/");
		uint64_t before = hooks->attempts[cases[i].how];
		bad = cases[i].answer;
		batch_ends();
		turn();
		loop_turn(hooks, 20000);
		loop_turn(hooks, 0);
		turn();
		assert_non_null(strstr(delivery(&e).error, cases[i].words));
		assert_true(hooks->attempts[cases[i].how] > before);
		MUST(store_webhook_delete(store, ours.id, e.id, &err));
		run_for(20);
	}
}

/* The head is what counts. */
static void one_that_says_2xx_and_breaks_off_has_it(void **state)
{
	struct webhook_endpoint e = endpoint("http://good/");

	(void)state;
	good = (struct fake_answer){ .how = EXCHANGE_BROKEN, .status = 202, .body = "x" };
	batch_ends();
	run_for(60);
	assert_int_equal(delivery(&e).next_at, 0);
	assert_int_equal(seen_count, 1);
}

static void well_again(void **state)
{
	struct webhook_endpoint e = endpoint("http://bad/");

	(void)state;
	batch_ends();
	run_for(2);
	bad = (struct fake_answer){ .status = 204 };
	run_for(60);
	assert_int_equal(seen_count, 2);
	assert_int_equal(delivery(&e).next_at, 0);
	assert_int_equal(log_seen_count("webhook.failing", "status=500"), 1);
	assert_int_equal(log_seen_count("webhook.well_again", e.id), 1);
	assert_int_equal(hooks->oldest_at, 0);
}

/* ---- who waits for whom ---- */

/* One that hangs has four attempts at once, and one when it is known for it; others wait for
 * nothing. */
static void one_that_hangs_holds_up_nobody(void **state)
{
	struct webhook_endpoint hangs = endpoint("http://bad/"),
				good_one = endpoint("http://good/");

	(void)state;
	bad = (struct fake_answer){ .how = EXCHANGE_TIMEOUT, .after_ms = FAKE_NEVER };
	for (int i = 0; i < 20; i++)
		batch_ends();
	for (int i = 0; i < 20; i++)
		turn();
	assert_int_equal(seen_at("http://good/"), 20);
	assert_int_equal(delivery(&good_one).next_at, 0);
	assert_int_equal(seen_at("http://bad/"), WEBHOOK_ENDPOINT_MAX);
	client_fake_sleep(15000);
	turn();
	turn();
	turn();
	assert_int_equal(seen_at("http://bad/"), WEBHOOK_ENDPOINT_MAX + 1);
	client_fake_sleep(15000);
	turn();
	turn();
	turn();
	assert_int_equal(seen_at("http://bad/"), WEBHOOK_ENDPOINT_MAX + 2);
	assert_int_equal(hooks->under_way, 1);
	assert_int_not_equal(delivery(&hangs).next_at, 0);
}

/* Very many that hang take half of all that may be under way at once. */
static void those_that_hang_leave_room(void **state)
{
	(void)state;
	bad = (struct fake_answer){ .how = EXCHANGE_TIMEOUT, .after_ms = FAKE_NEVER };
	for (int i = 0; i < 200; i++)
		endpoint("http://bad/");
	batch_ends();
	for (int i = 0; i < 4; i++)
		turn();
	assert_int_equal(hooks->under_way, 200); /* nothing is known of them yet */
	client_fake_sleep(15000);
	for (int i = 0; i < 3; i++)
		turn();
	seen_count = 0;
	client_fake_sleep(7000); /* all are due again */
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(hooks->under_way, WEBHOOK_ALL_MAX / 2);
	endpoint("http://good/");
	batch_ends();
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(seen_at("http://good/"), 1);
}

/* ---- what changes meanwhile ---- */

static void a_secret_that_is_rotated_signs_beside_the_new_one(void **state)
{
	struct webhook_endpoint e = endpoint("http://good/");
	char secret[WEBHOOK_SECRET_BYTES];
	AUTO(buf_free) struct buf both = BUF(200);

	(void)state;
	secret_make(secret);
	struct webhook_endpoint turned;
	MUST(store_webhook_rotate(store, ours.id, e.id, secret, sys.now_s() + 24 * HOUR,
				  sys.now_s(), &turned, &err));
	assert_string_equal(turned.old_secret, e.secret);
	batch_ends();
	run_for(10);
	struct slice body = slice_of(seen[0].body);
	assert_true(signature_append(secret, seen[0].id, seen[0].timestamp, body, &both));
	buf_char(&both, ' ');
	assert_true(signature_append(e.secret, seen[0].id, seen[0].timestamp, body, &both));
	assert_true(slice_is(buf_slice(&both), seen[0].signature));
	run_for(25 * HOUR);
	batch_ends();
	run_for(10);
	assert_null(strchr(seen[1].signature, ' '));
}

static void a_deleted_endpoint_is_sent_nothing_more(void **state)
{
	struct webhook_endpoint e = endpoint("http://bad/");

	(void)state;
	batch_ends();
	turn(); /* one is under way */
	MUST(store_webhook_delete(store, ours.id, e.id, &err));
	run_for(10 * HOUR);
	assert_int_equal(seen_count, 1);
	assert_null(hooks->all);
}

static void a_replay_begins_anew(void **state)
{
	struct webhook_endpoint e = endpoint("http://bad/");
	struct webhook_delivery d;

	(void)state;
	batch_ends();
	run_for(73 * HOUR);
	unsigned before = seen_count;
	MUST(store_delivery_replay(store, ours.id, e.id, delivery(&e).id, sys.now_s(), &d, &err));
	run_for(20);
	assert_int_equal(seen_count, before + 2); /* at once, then after 5 s */
	bad = (struct fake_answer){ .status = 200 };
	run_for(80);
	d = delivery(&e);
	assert_int_equal(d.next_at, 0);
	assert_int_equal(d.attempts, seen_count);
	assert_string_equal(seen[seen_count - 1].id, seen[0].id);
}

/* ---- faults ---- */

/* As another process that writes has it. */
static sqlite3 *write_lock_take(void)
{
	char path[PATH_MAX];
	sqlite3 *db;

	store->write_wait_ms = 1;
	snprintf(path, sizeof(path), "%s/meta.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	return db;
}

/* What was taken is recorded as soon as the store is well again, and sent once. */
static void a_store_that_fails_for_a_while(void **state)
{
	struct webhook_endpoint e = endpoint("http://good/");

	(void)state;
	batch_ends();
	turn();
	loop_turn(hooks, 0);
	sqlite3 *other = write_lock_take();
	assert_int_equal(turn_run(hooks), 1000);
	assert_int_equal(turn_run(hooks), 1000);
	sqlite3_close(other);
	run_for(100);
	assert_int_equal(delivery(&e).next_at, 0);
	assert_int_equal(seen_count, 1);
	assert_int_equal(log_seen_count("webhook.store_fault", "doing=record"), 1);
}

/* What the process did not record is due at the next start. */
static void a_crash_sends_it_again(void **state)
{
	static const struct webhooks_config config = { .timeout_ms = 15000, .user_agent = "u" };
	struct webhook_endpoint e = endpoint("http://good/");

	(void)state;
	batch_ends();
	turn();
	loop_turn(hooks, 0); /* taken, and not recorded */
	assert_int_equal(seen_count, 1);
	loop_end(hooks);
	webhooks_free(hooks);
	MUST(webhooks_new(&config, store, client, &hooks, &err));
	turn_begin(hooks);
	run_for(10);
	assert_int_equal(seen_count, 2);
	assert_string_equal(seen[0].id, seen[1].id);
	assert_int_equal(delivery(&e).next_at, 0);
}

/* ---- the clock ---- */

static int64_t clock_off_s;
static int64_t (*clock_right)(void);

static int64_t clock_wrong(void)
{
	return clock_right() + clock_off_s;
}

static void clock_step(int64_t seconds)
{
	if (sys.now_s != clock_wrong)
		clock_right = sys.now_s;
	clock_off_s += seconds;
	sys.now_s = clock_wrong;
}

/* Back by a day: the next attempt is not a day later. Ahead by four: it is not given up. */
static void a_clock_that_steps(void **state)
{
	struct webhook_endpoint e = endpoint("http://bad/");

	(void)state;
	clock_off_s = 0;
	batch_ends();
	run_for(2);
	assert_int_equal(seen_count, 1);
	clock_step(-24 * HOUR);
	run_for(10);
	assert_int_equal(seen_count, 2);
	clock_step(96 * HOUR);
	run_for(45);
	assert_int_equal(seen_count, 3);
	assert_int_not_equal(delivery(&e).next_at, 0);
	assert_int_equal(hooks->given_up, 0);
	clock_step(-72 * HOUR);
	bad = (struct fake_answer){ .status = 200 };
	run_for(200);
	assert_int_equal(delivery(&e).next_at, 0);
	assert_int_equal(seen_count, 4);
}

/* ---- of several processes one delivers ---- */

/* What is due to be sent four days from now, by a clock that was wrong, is sent before that. */
static void one_that_yields_at_first_begins_nothing(void **state)
{
	static const struct webhooks_config config = { .timeout_ms = 15000,
						       .user_agent = "u",
						       .yields = true };

	(void)state;
	(void)endpoint("http://good/");
	clock_off_s = 0;
	clock_step(96 * HOUR);
	batch_ends();
	clock_step(-96 * HOUR);
	webhooks_free(hooks);
	MUST(webhooks_new(&config, store, client, &hooks, &err));
	turn_begin(hooks);
	run_for(10 * HOUR);
	assert_int_equal(seen_count, 0);
	webhooks_yield(hooks, false);
	run_for(ATTEMPTS_WAIT_MAX_S + 60);
	assert_int_equal(seen_count, 1);
}

/* ---- test calls ---- */

static struct webhook_test_end tested;
static unsigned tested_count;

static void on_tested(void *ctx, const struct webhook_test_end *end)
{
	(void)ctx;
	tested = *end;
	tested_count++;
}

static void test_calls(void **state)
{
	struct webhook_endpoint e = endpoint("http://good/"), other = endpoint("http://bad/");

	(void)state;
	tested_count = 0;
	MUST(webhooks_test(hooks, &e, BATCH_EXPIRED, on_tested, NULL, &err));
	assert_false(webhooks_test(hooks, &e, BATCH_EXPIRED, on_tested, NULL, &err));
	assert_int_equal(err.kind, ERR_RATE_LIMIT);
	run_for(1);
	assert_int_equal(tested_count, 1);
	assert_int_equal(tested.status, 200);
	assert_null(tested.error);
	assert_non_null(strstr(seen[0].body, "batch.expired"));
	bad = (struct fake_answer){ .how = EXCHANGE_TIMEOUT, .after_ms = FAKE_NEVER };
	MUST(webhooks_test(hooks, &other, BATCH_EXPIRED, on_tested, NULL, &err));
	run_for(1);
	hooks->draining = true; /* nobody will wait for it */
	run_for(1);
	assert_int_equal(tested_count, 2);
	assert_int_equal(tested.status, 0);
	assert_non_null(tested.error);
	assert_false(webhooks_test(hooks, &e, BATCH_EXPIRED, on_tested, NULL, &err));
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_int_equal(hooks->attempts[WEBHOOK_TAKEN], 0); /* they are no deliveries */
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(what_is_taken_is_over),
		IN_WORLD(what_is_not_taken_is_given_up_after_72_hours),
		IN_WORLD(each_end_has_its_words),
		IN_WORLD(one_that_says_2xx_and_breaks_off_has_it),
		IN_WORLD(well_again),
		IN_WORLD(one_that_hangs_holds_up_nobody),
		IN_WORLD(those_that_hang_leave_room),
		IN_WORLD(a_secret_that_is_rotated_signs_beside_the_new_one),
		IN_WORLD(a_deleted_endpoint_is_sent_nothing_more),
		IN_WORLD(a_replay_begins_anew),
		IN_WORLD(a_store_that_fails_for_a_while),
		IN_WORLD(a_crash_sends_it_again),
		IN_WORLD(a_clock_that_steps),
		IN_WORLD(one_that_yields_at_first_begins_nothing),
		IN_WORLD(test_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

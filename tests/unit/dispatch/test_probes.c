/* test_probes.c: what is sent to an upstream, or a model on it, whose circuit breaker is open; and
 * lines that may be what ends the server. */
#include "servers.h"

#include "dispatch/trials.h"

static void fail_all(struct server *s)
{
	s->answer = (struct fake_answer){ .status = 500, .after_ms = 100 };
}

/* ---- how often ---- */

static void one_a_second_and_after_a_minute_fewer(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	fail_all(&servers.of[0]);
	world_batch(&w, 100);
	world_run(&w, 400000);
	assert_int_equal(servers_count(0, 0, 1000), 4); /* `concurrency`: then it is open */
	for (uint64_t at_ms = 2000; at_ms < 50000; at_ms += 10000)
		assert_in_range(servers_count(0, at_ms, at_ms + 10000), 9, 10);
	assert_in_range(servers_count(0, 62000, 122000), 3, 6); /* after 2, 4, 8, 16, 30 s */
	assert_in_range(servers_count(0, 200000, 400000), 6, 7);
	assert_int_equal(w.ended, 0);
	world_close(&w);
}

static void probes_one_by_one(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	fail_all(&servers.of[0]);
	world_batch(&w, 100);
	world_run(&w, 1000);
	unsigned n = servers.n;
	servers.of[0].answer.after_ms = FAKE_NEVER;
	world_run(&w, 24000); /* one that hangs is waited for, but not for ever */
	assert_in_range(servers.n - n, 4, 6);
	for (unsigned i = n; i < servers.n; i++)
		assert_true(servers.requests[i].hasty && servers.requests[i].look_up);
	world_close(&w);
}

static void the_first_good_answer_opens_it_for_all(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	fail_all(&servers.of[0]);
	world_batch(&w, 40);
	world_run(&w, 5000);
	servers.of[0].answer = (struct fake_answer){ .body = ANSWER_200, .after_ms = 100 };
	world_run(&w, 5000);
	assert_int_equal(w.ended, 40);
	world_close(&w);
}

static void what_fails_while_it_is_down_is_not_charged(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	fail_all(&servers.of[0]);
	world_batch(&w, 4);
	world_run(&w, 30000);
	assert_int_equal(w.ended, 0);
	servers.of[0].answer = (struct fake_answer){ .body = ANSWER_200, .after_ms = 100 };
	world_run(&w, 5000);
	assert_int_equal(w.ended, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(w.batches[0].outcomes[i]->http_status, 200);
	world_close(&w);
}

static void health_that_turns_good_makes_one_at_once(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	fail_all(&servers.of[0]);
	servers.of[0].health = 503;
	world_batch(&w, 10);
	world_run(&w, 200000);
	unsigned n = servers.n;
	while (servers.n == n)
		world_run(&w, 100);
	uint64_t probed_ms = world_ms();
	servers.of[0].health = 200;
	world_run(&w, 5200); /* health is asked for each 5 s by now, a probe is due in 30 */
	assert_int_equal(servers.n, n + 2);
	assert_true(servers.requests[n + 1].at_ms > probed_ms);
	world_run(&w, 20000);
	assert_int_equal(servers.n, n + 2); /* that it stays good is nothing new */
	world_close(&w);
}

/* ---- of what ---- */

static bool was_sent_before(unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (servers.requests[k].batch == servers.requests[i].batch &&
		    servers.requests[k].line == servers.requests[i].line)
			return true;
	return false;
}

static void lines_that_wait_and_new_ones_take_turns(void **state)
{
	struct upstream_config a = server_config(0);
	struct world w;

	(void)state;
	a.concurrency = 1;
	servers_open_with(&w, WORLD_CONFIG, &a, 1);
	fail_all(&servers.of[0]);
	world_batch(&w, 100);
	world_batch(&w, 100);
	world_run(&w, 12000);
	assert_int_equal(servers.requests[0].batch, 0);
	assert_int_equal(servers.requests[1].batch, 1); /* that has not failed yet */
	for (unsigned i = 2; i < 11; i++)
		assert_int_equal(was_sent_before(i), i % 2 == 1);
	world_close(&w);
}

static bool is_poison(const struct request *rq)
{
	return rq->batch == 0;
}

static void fail_poison(const struct request *rq, struct fake_answer *ret)
{
	if (is_poison(rq))
		*ret = (struct fake_answer){ .status = 500, .after_ms = 100 };
}

static void a_batch_that_alone_fails_does_not_hold_up_another(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].choose = fail_poison;
	world_batch(&w, 8);
	struct world_batch *sound = world_batch(&w, 100);
	world_run(&w, 20000);
	assert_int_equal(sound->ended, 100);
	world_close(&w);
}

static void models_take_turns_at_finding_out(void **state)
{
	unsigned of[2] = { 0 };
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].unreachable = true;
	world_batch_of(&w, "m", 50);
	world_batch_of(&w, "n", 50);
	world_run(&w, 30000);
	for (unsigned i = 0; i < servers.n; i++) {
		if (servers.requests[i].at_ms < 5000)
			continue;
		of[servers.requests[i].batch]++;
		assert_int_not_equal(servers.requests[i].batch, servers.requests[i - 1].batch);
	}
	assert_in_range(of[0], 11, 13);
	assert_in_range(of[1], 11, 13);
	world_close(&w);
}

static void fail_model_m(const struct request *rq, struct fake_answer *ret)
{
	if (strstr(rq->body, "\"model\":\"m\"") != NULL)
		ret->status = 500;
}

static void a_model_that_is_down_leaves_the_others_alone(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].choose = fail_model_m;
	struct world_batch *m = world_batch_of(&w, "m", 50), *n = world_batch_of(&w, "n", 100);
	world_run(&w, 5000);
	assert_int_equal(m->ended, 0);
	assert_int_equal(n->ended, 100);
	world_close(&w);
}

/* ---- lines that end the server ---- */

/* Server a dies 50 ms after it got a line that kills it, with all that is in flight, and is up 2 s
 * later. */
static struct {
	bool hit, dead;
	uint64_t hit_ms, died_ms;
	unsigned deaths;
} killing;

static void hit(const struct request *rq, struct fake_answer *ret)
{
	if (rq->line != 0)
		return;
	ret->after_ms = FAKE_NEVER;
	killing.hit = true;
	killing.hit_ms = rq->at_ms;
}

static void server_die(struct world *w)
{
	client_fake_break(w->client, "http://a.test");
	killing.hit = false;
	killing.dead = true;
	killing.died_ms = world_ms();
	killing.deaths++;
	servers.of[0].unreachable = true;
}

static void killing_run(struct world *w, uint64_t ms)
{
	for (uint64_t until_ms = world_ms() + ms; world_ms() < until_ms;) {
		world_run(w, 10);
		if (killing.hit && world_ms() >= killing.hit_ms + 50)
			server_die(w);
		if (killing.dead && world_ms() >= killing.died_ms + 2000)
			killing.dead = servers.of[0].unreachable = false;
	}
}

static void killing_begin(struct world *w, unsigned lines, unsigned max_attempts)
{
	struct dispatch_config config = WORLD_CONFIG;
	struct upstream_config a = server_config(0);

	memset(&killing, 0, sizeof(killing));
	config.max_attempts = max_attempts;
	servers_open_with(w, config, &a, 1);
	servers.of[0].choose = hit;
	servers.of[0].health = 200;
	world_batch(w, lines);
}

static void a_line_that_kills_goes_alone_and_last_and_ends(void **state)
{
	struct world w;

	(void)state;
	killing_begin(&w, 60, 6);
	killing_run(&w, 60000);
	assert_int_equal(w.ended, 60);
	assert_int_equal(killing.deaths, TRIALS_DEATHS + 1);
	const struct outcome *killer = w.batches[0].outcomes[0];
	assert_int_equal(killer->fault, OUTCOME_UPSTREAM);
	for (unsigned i = 1; i < 60; i++)
		assert_int_equal(w.batches[0].outcomes[i]->http_status, 200);
	/* alone: nothing was in flight beside it the last time */
	uint64_t last_ms = killing.hit_ms;
	assert_int_equal(servers_count(0, last_ms - 99, last_ms), 0);
	assert_int_equal(servers_count(0, last_ms, last_ms + 50), 1);
	world_close(&w);
}

static void lines_that_were_beside_it_do_not_end(void **state)
{
	struct world w;

	(void)state;
	/* all of them are there at each death */
	killing_begin(&w, 4, 3);
	killing_run(&w, 60000);
	assert_int_equal(w.ended, 4);
	assert_int_equal(w.batches[0].outcomes[0]->fault, OUTCOME_UPSTREAM);
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(w.batches[0].outcomes[i]->http_status, 200);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_a_second_and_after_a_minute_fewer),
		cmocka_unit_test(probes_one_by_one),
		cmocka_unit_test(the_first_good_answer_opens_it_for_all),
		cmocka_unit_test(what_fails_while_it_is_down_is_not_charged),
		cmocka_unit_test(health_that_turns_good_makes_one_at_once),
		cmocka_unit_test(lines_that_wait_and_new_ones_take_turns),
		cmocka_unit_test(a_batch_that_alone_fails_does_not_hold_up_another),
		cmocka_unit_test(models_take_turns_at_finding_out),
		cmocka_unit_test(a_model_that_is_down_leaves_the_others_alone),
		cmocka_unit_test(a_line_that_kills_goes_alone_and_last_and_ends),
		cmocka_unit_test(lines_that_were_beside_it_do_not_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

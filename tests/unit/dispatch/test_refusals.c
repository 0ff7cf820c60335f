/* test_refusals.c: an engine with a bounded queue that other clients fill, too: what it refuses is
 * sent again, the limit is cut, and nothing is taken for an outage. */
#include "servers.h"

#include "dispatch/view.h"

#define REFUSED_VLLM                                                                              \
	"{\"error\":{\"message\":\"The engine is currently busy and cannot accept new requests. " \
	"Please try again later or on a different instance.\",\"type\":\"Service Unavailable\","  \
	"\"param\":null,\"code\":503}}"

/* The engine: of what is in flight there, `others` are another client's, which sends the next
 * request as soon as one of its own is answered. */
static struct {
	unsigned slots, bound;         /* requests that run at once; that run and wait */
	unsigned others, others_first; /* those of the first 3 s */
	int status;
	const char *refusal;
	bool has_metrics;
	uint64_t ends_ms[4 * 512]; /* of ours */
	unsigned taken, refused, most;
} bounded;

static unsigned engine_others(void)
{
	return world_ms() < 3000 ? bounded.others_first : bounded.others;
}

static unsigned engine_ours(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < bounded.taken; i++)
		n += bounded.ends_ms[i] > world_ms();
	return n;
}

static void engine_line(const struct fake_request *rq, struct fake_answer *ret)
{
	unsigned ours = engine_ours(), all = ours + engine_others();
	unsigned slots = bounded.slots;
	char body[96];

	snprintf(body, sizeof(body), "%.*s", SLICE_ARG(rq->body));
	unsigned line = number_behind(body, "\"n\":");

	if (all >= bounded.bound) {
		bounded.refused++;
		*ret = (struct fake_answer){ .status = bounded.status,
					     .body = bounded.refusal,
					     .after_ms = 5 };
		return;
	}
	/* slots go round: each is in one for a second, more or less */
	uint64_t ms = (700 + line * 137 % 600) * (all + 1 > slots ? all + 1 : slots) / slots;
	assert_true(bounded.taken < ARRAY_LEN(bounded.ends_ms));
	bounded.ends_ms[bounded.taken++] = world_ms() + ms;
	bounded.most = ours + 1 > bounded.most ? ours + 1 : bounded.most;
	*ret = (struct fake_answer){ .body = ANSWER_200, .after_ms = ms };
}

static void engine_metrics(struct fake_answer *ret)
{
	static char text[200];
	unsigned all = engine_ours() + engine_others(),
		 running = all < bounded.slots ? all : bounded.slots;

	snprintf(text, sizeof(text), "vllm:num_requests_running %u\nvllm:num_requests_waiting %u\n",
		 running, all - running);
	*ret = (struct fake_answer){ .body = text, .after_ms = 3 };
}

static void engine_script(void *ctx, const struct fake_request *rq, struct fake_answer *ret)
{
	(void)ctx;
	if (strcmp(rq->method, "GET") != 0)
		engine_line(rq, ret);
	else if (bounded.has_metrics && url_ends(rq->url, "/metrics"))
		engine_metrics(ret);
	else if (url_ends(rq->url, "/models"))
		*ret = (struct fake_answer){ .body = "{\"data\":[]}", .after_ms = 5 };
	else if (url_ends(rq->url, "/health"))
		*ret = (struct fake_answer){ .status = 200 };
	else
		ret->status = 404;
}

static void engine_open(struct world *w)
{
	struct upstream_config a = server_config(0);

	memset(&bounded, 0, sizeof(bounded));
	bounded.others = bounded.others_first = 6;
	bounded.slots = 8;
	bounded.bound = 12;
	bounded.status = 503;
	bounded.refusal = REFUSED_VLLM;
	a.concurrency = 0;
	a.max_concurrency = 1024;
	a.metrics = GAUGES_AUTO;
	servers.begun_ms = 1000000; /* the fake's clock begins so */
	world_open_with(w, engine_script, NULL, WORLD_CONFIG, &a, 1);
	assert_int_equal(client_fake_now_ms(), servers.begun_ms);
	log_seen_begin();
}

/* What became of it; the limit of the lane. */
static double engine_ran(struct world *w, unsigned lines, unsigned most_s)
{
	struct scheduling_view v;

	for (unsigned i = 0; i < 20 * most_s && w->ended < lines; i++)
		world_run(w, 50);
	uint64_t ms = world_ms();
	world_view(w, &v);
	const struct view_upstream *u = &v.upstreams[0];
	double limit = u->lanes[0].limit.requests;
	print_message("%u of %u lines in %.1f s, %u requests, %u refused, at most %u at once, "
		      "limit %.1f\n",
		      w->ended, lines, (double)ms / 1000, bounded.taken + bounded.refused,
		      bounded.refused, bounded.most, limit);
	assert_int_equal(w->ended, lines);
	for (unsigned i = 0; i < w->batch_count; i++)
		for (unsigned n = 0; n < w->batches[i].lines; n++)
			assert_int_equal(w->batches[i].outcomes[n]->http_status, 200);
	assert_int_equal(log_seen_count("upstream.down", ""), 0);
	assert_int_equal(u->trips, 0);
	assert_int_equal(bounded.taken, lines);
	assert_true(10 * (bounded.taken + bounded.refused) <= 13 * lines);
	assert_int_equal(u->answered_2xx, lines);
	assert_int_equal(u->answered_throttled, bounded.refused);
	assert_int_equal(u->answered_5xx, 0);
	scheduling_view_done(&v);
	return limit;
}

static void engine_close(struct world *w)
{
	world_close(w);
	log_seen_end();
}

/* 6 of ours at once take (700 .. 1,300) x 12 / 8 ms each: 4 a second. With metrics there is less:
 * the other client's requests are seen, and make room. */
#define LINES 120u
#define BEST_S (LINES / 4)

static void none_is_lost(void **state)
{
	struct world w;

	(void)state;
	engine_open(&w);
	world_batch(&w, LINES);
	double limit = engine_ran(&w, LINES, BEST_S * 6 / 5);
	assert_true(limit >= 4 && limit <= 7);
	engine_close(&w);

	engine_open(&w);
	bounded.has_metrics = true;
	world_batch(&w, LINES);
	(void)engine_ran(&w, LINES, 3 * BEST_S);
	engine_close(&w);
}

static void not_even_where_the_first_answers_are_refusals(void **state)
{
	struct world w;

	(void)state;
	engine_open(&w);
	bounded.others_first = bounded.bound;
	world_batch(&w, LINES);
	double limit = engine_ran(&w, LINES, 5 + BEST_S * 6 / 5);
	assert_true(limit >= 4 && limit <= 7);
	engine_close(&w);
}

/* A gateway's own words, in front of an engine whose metrics say that it runs something. */
static void metrics_speak_for_one_that_says_nothing(void **state)
{
	struct world w;

	(void)state;
	engine_open(&w);
	bounded.others_first = bounded.bound;
	bounded.has_metrics = true;
	bounded.refusal = "Service Unavailable";
	world_batch(&w, LINES);
	(void)engine_ran(&w, LINES, 3 * BEST_S);
	engine_close(&w);
}

static void what_is_well_beside_them_speaks_for_one_that_says_nothing(void **state)
{
	struct world w;

	(void)state;
	engine_open(&w);
	bounded.refusal = "Service Unavailable";
	world_batch(&w, LINES);
	double limit = engine_ran(&w, LINES, BEST_S * 6 / 5);
	assert_true(limit >= 4 && limit <= 7);
	engine_close(&w);
}

static void it_is_the_same_with_429(void **state)
{
	struct world w;

	(void)state;
	engine_open(&w);
	bounded.status = 429;
	bounded.refusal = "{\"error\":\"Model is overloaded\",\"error_type\":\"overloaded\"}";
	world_batch(&w, LINES);
	double limit = engine_ran(&w, LINES, BEST_S * 6 / 5);
	assert_true(limit >= 4 && limit <= 7);
	engine_close(&w);
}

/* 74 of ours at once: 59 a second. A refusal holds up nothing beside itself. */
static void with_many_in_flight_it_does_not_sag(void **state)
{
	struct world w;

	(void)state;
	engine_open(&w);
	bounded.slots = 64;
	bounded.bound = 80;
	for (unsigned i = 0; i < WORLD_BATCHES_MAX; i++)
		world_batch(&w, 512);
	(void)engine_ran(&w, WORLD_BATCHES_MAX * 512, 35 * 5 / 4);
	engine_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_is_lost),
		cmocka_unit_test(not_even_where_the_first_answers_are_refusals),
		cmocka_unit_test(metrics_speak_for_one_that_says_nothing),
		cmocka_unit_test(it_is_the_same_with_429),
		cmocka_unit_test(what_is_well_beside_them_speaks_for_one_that_says_nothing),
		cmocka_unit_test(with_many_in_flight_it_does_not_sag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

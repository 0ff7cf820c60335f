/* test_online.c: clients' own requests beside the lines, on the fake client. */
#include "world.h"

#include "limit/limit_impl.h"

static struct fake_answer next; /* to an online request */
static bool lines_refused;
static unsigned onlines, lines;
static char sent[256];

static void on_request(void *ctx, const struct fake_request *rq, struct fake_answer *ret)
{
	(void)ctx;
	if (strcmp(rq->method, "GET") == 0) {
		ret->status = 404;
		return;
	}
	if (header_find(rq->headers, rq->header_count, "X-Client") == NULL) {
		lines++;
		ret->body = "{\"choices\":[{\"message\":{\"content\":\"x\"}}]}";
		ret->after_ms = 1000;
		if (lines_refused)
			*ret = (struct fake_answer){ .status = 429 };
		return;
	}
	onlines++;
	snprintf(sent, sizeof(sent), "%s %.*s", rq->url, SLICE_ARG(rq->body));
	assert_true(slice_is(header_find(rq->headers, rq->header_count, "Authorization")->value,
			     "Bearer sk-up"));
	*ret = next;
}

/* ---- the one who asks ---- */

struct asker {
	struct online online;
	int status;
	char body[64];
	bool full; /* no room for pieces */
	bool ended, released;
	enum online_end how;
};

static void on_head(void *ctx, const struct exchange_head *h)
{
	((struct asker *)ctx)->status = h->status;
}

static bool on_body(void *ctx, struct slice piece)
{
	struct asker *a = ctx;

	if (!a->full)
		strncat(a->body, piece.p, piece.n);
	return !a->full;
}

static void on_end(void *ctx, enum online_end how)
{
	struct asker *a = ctx;

	assert_false(a->ended);
	a->ended = true;
	a->how = how;
}

static void on_released(void *ctx)
{
	((struct asker *)ctx)->released = true;
}

static const struct online_ops ops = { on_head, on_body, on_end, on_released };

static void asker_set(struct asker *a)
{
	*a = (struct asker){ .online = { .ops = &ops,
					 .ctx = a,
					 .endpoint = "/v1/chat/completions",
					 .model = SLICE("m"),
					 .body = SLICE("{\"model\":\"m\"}") } };
	assert_true(headers_add(&a->online.headers, SLICE("X-Client"), SLICE("1")));
}

static void asker_ask(struct world *w, struct asker *a)
{
	asker_set(a);
	dispatch_online(w->dispatch, &a->online);
}

static void asker_release(struct world *w, struct asker *a)
{
	dispatch_online_release(w->dispatch, &a->online);
	world_run(w, 1);
	assert_true(a->released);
	headers_free(&a->online.headers);
}

static void world_begin(struct world *w)
{
	onlines = lines = 0;
	lines_refused = false;
	next = (struct fake_answer){
		.how = EXCHANGE_WHOLE, .body = "data", .piece = 2, .gap_ms = 10
	};
	world_open(w, on_request, NULL);
}

/* ---- the tests ---- */

static void an_answer_is_passed_on(void **state)
{
	struct asker a;
	struct world w;

	(void)state;
	world_begin(&w);
	asker_ask(&w, &a);
	world_run(&w, 5);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "da");
	world_run(&w, 100);
	assert_string_equal(a.body, "data");
	assert_int_equal(a.how, ONLINE_WHOLE);
	assert_string_equal(sent, "http://up.test/v1/chat/completions {\"model\":\"m\"}");
	asker_release(&w, &a);
	world_close(&w);
}

/* A pause that refusals ask for is for lines. */
static void it_goes_while_lines_are_refused(void **state)
{
	struct asker a;
	struct world w;

	(void)state;
	world_begin(&w);
	lines_refused = true;
	world_batch(&w, 20);
	world_run(&w, 100);
	assert_int_equal(lines, 4);
	assert_true(throttle_pauses(&w.dispatch->upstreams->throttle));
	asker_ask(&w, &a);
	world_run(&w, 100);
	assert_int_equal(a.how, ONLINE_WHOLE);
	assert_int_equal(a.status, 200);
	asker_release(&w, &a);
	world_close(&w);
}

static void its_units_count_until_it_has_ended(void **state)
{
	static const unsigned rows[][2] = { { 0, 1 }, { 1, 1 }, { 4, 4 } };
	struct asker a;
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		world_begin(&w);
		asker_set(&a);
		a.online.units = rows[i][0];
		dispatch_online(w.dispatch, &a.online);
		world_run(&w, 5);
		const struct slots *s = &w.dispatch->slots;
		assert_int_equal(s->online, 1);
		assert_int_equal(s->online_units, rows[i][1]);
		assert_int_equal(w.dispatch->upstreams->slots.online_units, rows[i][1]);
		if (i == 1)
			world_run(&w, 100);
		asker_release(&w, &a);
		assert_int_equal(s->online_units, 0);
		world_close(&w);
	}
}

static void it_goes_beside_lines_that_fill_the_limit(void **state)
{
	struct asker a;
	struct world w;

	(void)state;
	world_begin(&w);
	world_batch(&w, 20);
	world_run(&w, 10);
	assert_int_equal(lines, 4);
	asker_ask(&w, &a);
	world_run(&w, 100);
	assert_true(a.ended);
	assert_int_equal(w.ended, 0);
	asker_release(&w, &a);
	world_close(&w);
}

/* When a streamed answer begins tells the limit whether it had to wait. */
static void the_limit_is_told_when_one_begins(void **state)
{
	static const struct {
		const char *type;
		unsigned told;
	} rows[] = { { "text/event-stream; charset=utf-8", 1 }, { "application/json", 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct asker a;
		struct world w;

		world_begin(&w);
		next.headers[0] = (struct header){ SLICE("Content-Type"), slice_of(rows[i].type) };
		world_batch(&w, 20);
		world_run(&w, 100);
		const struct model *m = model_find(w.dispatch->models, "m");
		const struct lane *lane = lane_find(m, w.dispatch->upstreams);
		limit_configure(lane->limit, &(struct limit_config){ .max = 8 },
				sys.monotonic_us());
		asker_ask(&w, &a);
		world_run(&w, 100);
		assert_true(a.ended);
		assert_int_equal(lane->limit->first.ended.count, rows[i].told);
		asker_release(&w, &a);
		world_close(&w);
	}
}

static void one_who_reads_slowly_is_waited_for(void **state)
{
	struct asker a;
	struct world w;

	(void)state;
	world_begin(&w);
	asker_ask(&w, &a);
	a.full = true;
	world_run(&w, 1000);
	assert_string_equal(a.body, "");
	a.full = false;
	dispatch_online_more(w.dispatch, &a.online);
	world_run(&w, 100);
	assert_string_equal(a.body, "data");
	assert_int_equal(a.how, ONLINE_WHOLE);
	asker_release(&w, &a);
	world_close(&w);
}

static void ends_that_are_no_answer(void **state)
{
	static const struct {
		enum exchange_end how;
		enum online_end want;
	} rows[] = {
		{ EXCHANGE_UNREACHABLE, ONLINE_UNREACHABLE },
		{ EXCHANGE_BROKEN, ONLINE_BROKEN },
		{ EXCHANGE_MALFORMED, ONLINE_MALFORMED },
		{ EXCHANGE_TIMEOUT, ONLINE_TIMEOUT },
	};
	struct asker a;
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		world_begin(&w);
		next = (struct fake_answer){ .how = rows[i].how };
		asker_ask(&w, &a);
		world_run(&w, 100);
		assert_true(a.ended);
		assert_int_equal(a.how, rows[i].want);
		assert_int_equal(onlines, 1);
		asker_release(&w, &a);
		world_close(&w);
	}
}

static void one_that_is_released_is_stopped(void **state)
{
	struct asker a;
	struct world w;

	(void)state;
	world_begin(&w);
	next.after_ms = FAKE_NEVER;
	asker_ask(&w, &a);
	world_run(&w, 100);
	assert_false(a.ended);
	asker_release(&w, &a);
	assert_false(a.ended);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_passed_on),
		cmocka_unit_test(it_goes_while_lines_are_refused),
		cmocka_unit_test(its_units_count_until_it_has_ended),
		cmocka_unit_test(it_goes_beside_lines_that_fill_the_limit),
		cmocka_unit_test(the_limit_is_told_when_one_begins),
		cmocka_unit_test(one_who_reads_slowly_is_waited_for),
		cmocka_unit_test(ends_that_are_no_answer),
		cmocka_unit_test(one_that_is_released_is_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

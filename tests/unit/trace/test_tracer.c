/* test_tracer.c: the queue and the requests, in virtual time: what is sent when, again, or dropped.
 * The script is the collector. */
#include "unit.h"

#include "base/sys.h"
#include "client_fake.h"
#include "log_seen.h"
#include "trace/tracer_impl.h"

static struct {
	struct tracer *tracer;
	struct client *client;
	unsigned requests, spans; /* that came */
	uint64_t at_ms[64];
	int status; /* that it answers with; 0: it never does */
	const char *body;
	char url[64];
} seen;

static unsigned spans_in(struct slice text)
{
	static const char mark[] = "\"spanId\"";
	const char *end = text.p + text.n;
	unsigned n = 0;

	for (const char *p = text.p;
	     (p = memmem(p, (size_t)(end - p), mark, sizeof(mark) - 1)) != NULL; p++)
		n++;
	return n;
}

static void collect(void *ctx, const struct fake_request *rq, struct fake_answer *ret)
{
	(void)ctx;
	assert_string_equal(rq->method, "POST");
	assert_string_equal(rq->url, seen.url);
	assert_int_equal(rq->header_count, 1);
	seen.at_ms[seen.requests++ % 64] = rq->at_ms;
	seen.spans += spans_in(rq->body);
	*ret = (struct fake_answer){ .status = seen.status, .body = seen.body };
	if (seen.status == 0)
		ret->after_ms = FAKE_NEVER;
}

static void open_at(const char *endpoint)
{
	struct error err;

	memset(&seen, 0, sizeof(seen));
	seen.status = 200;
	seen.client = client_fake_open(collect, NULL);
	snprintf(seen.url, sizeof(seen.url), "http://c:4318/v1/traces");
	assert_true(tracer_new(&(struct tracer_config){ .endpoint = endpoint,
							.version = "0.1.0",
							.sample = 10,
							.client = seen.client },
			       &seen.tracer, &err));
}

static int opened(void **state)
{
	(void)state;
	open_at("http://c:4318");
	return 0;
}

static int closed(void **state)
{
	(void)state;
	tracer_close(seen.tracer);
	return 0;
}

static void run(uint64_t ms)
{
	uint64_t until = client_fake_now_ms() + ms;

	client_fake_until(seen.client, until);
	while (client_fake_now_ms() < until)
		assert_true(tracer_turn(seen.tracer));
	assert_true(tracer_turn(seen.tracer));
}

static void end_spans(unsigned n)
{
	while (n-- > 0) {
		const struct trace_context own = trace_context_new(NULL);
		span_end(seen.tracer, span_start("x", SPAN_INTERNAL, &own, NULL));
	}
}

static void assert_counts(uint64_t sent, uint64_t dropped)
{
	struct tracer_counts counts = tracer_counts(seen.tracer);

	assert_int_equal(counts.sent, sent);
	assert_int_equal(counts.dropped, dropped);
}

static void few_wait_for_more(void **state)
{
	uint64_t began = client_fake_now_ms();

	(void)state;
	end_spans(1);
	run(500);
	end_spans(2);
	run(400);
	assert_int_equal(seen.requests, 0);
	run(200);
	assert_int_equal(seen.requests, 1);
	assert_int_equal(seen.at_ms[0], began + TRACER_EVERY_MS);
	assert_counts(3, 0);
	end_spans(1);
	run(900);
	assert_int_equal(seen.requests, 1);
	run(200);
	assert_int_equal(seen.requests, 2);
	assert_counts(4, 0);
}

static void many_go_at_once_in_pieces(void **state)
{
	(void)state;
	end_spans(2 * TRACER_BATCH_SPANS + 1);
	run(0);
	run(0);
	run(0);
	assert_int_equal(seen.requests, 2);
	run(TRACER_EVERY_MS);
	assert_int_equal(seen.requests, 3);
	assert_int_equal(seen.spans, 2 * TRACER_BATCH_SPANS + 1);
	assert_counts(2 * TRACER_BATCH_SPANS + 1, 0);
}

static void what_is_too_much_is_dropped(void **state)
{
	(void)state;
	seen.status = 0;
	end_spans(TRACER_SPANS_MAX + 7);
	assert_counts(0, 7);
	log_seen_begin();
	run(100); /* one request is out: its spans no longer wait */
	end_spans(TRACER_BATCH_SPANS + 1);
	assert_counts(0, 8);
	run(100);
	end_spans(100);
	run(100);
	assert_counts(0, 108);
	assert_int_equal(log_seen_count("tracing.dropped", ""), 1); /* once */
	log_seen_end();
}

/* After 1, 2, 4, 8 s; then they are dropped. */
static void again_and_again_then_dropped(void **state)
{
	static const int statuses[] = { 429, 502, 503, 504 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		seen.requests = 0;
		seen.status = statuses[i];
		end_spans(2);
		run(60000);
		assert_int_equal(seen.requests, TRACER_TRIES);
		for (unsigned k = 1; k < TRACER_TRIES; k++)
			assert_int_equal(seen.at_ms[k] - seen.at_ms[k - 1], 1000u << (k - 1));
		assert_counts(0, 2 * (i + 1));
	}
}

static void taken_at_last(void **state)
{
	(void)state;
	seen.status = 503;
	end_spans(2);
	run(2500);
	assert_int_equal(seen.requests, 2);
	seen.status = 200;
	run(5000);
	assert_int_equal(seen.requests, 3);
	assert_counts(2, 0);
}

static void what_is_refused_is_not_sent_again(void **state)
{
	static const int statuses[] = { 400, 401, 404, 413, 500, 302 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		seen.requests = 0;
		seen.status = statuses[i];
		end_spans(1);
		run(10000);
		assert_int_equal(seen.requests, 1);
		assert_counts(0, i + 1);
	}
}

static void one_that_hangs_is_given_up(void **state)
{
	(void)state;
	seen.status = 0;
	end_spans(1);
	run(TRACER_EVERY_MS + TRACER_TIMEOUT_MS + 500);
	assert_int_equal(seen.requests, 1);
	run(1000);
	assert_int_equal(seen.requests, 2);
	run(10 * TRACER_TIMEOUT_MS);
	assert_int_equal(seen.requests, TRACER_TRIES);
	assert_counts(0, 1);
}

/* The log is told when it begins and when it is over. */
static void the_log_is_told_twice(void **state)
{
	(void)state;
	log_seen_begin();
	seen.status = 400;
	for (int i = 0; i < 5; i++) {
		end_spans(1);
		run(5000);
	}
	assert_int_equal(log_seen_count("tracing.dropped", ""), 1);
	seen.status = 200;
	for (int i = 0; i < 20; i++) {
		end_spans(1);
		run(5000);
	}
	assert_int_equal(log_seen_count("tracing.resumed", ""), 1);
	seen.status = 400;
	end_spans(1);
	run(5000);
	assert_int_equal(log_seen_count("tracing.dropped", ""), 2);
	log_seen_end();
}

static void part_of_it_is_rejected(void **state)
{
	(void)state;
	seen.body = "{\"partialSuccess\":{\"rejectedSpans\":\"2\"}}";
	end_spans(5);
	run(2000);
	assert_counts(3, 2);
	seen.body = "{\"partialSuccess\":{\"rejectedSpans\":\"99\"}}";
	end_spans(1);
	run(2000);
	assert_counts(3, 3);
}

/* Turns after the end was asked for; ms that they took. */
static uint64_t turns_to_the_end(void)
{
	uint64_t began = client_fake_now_ms();

	client_fake_until(seen.client, FAKE_NEVER);
	seen.tracer->closing = true;
	seen.tracer->close_ms = began + TRACER_END_MS;
	while (tracer_turn(seen.tracer))
		;
	return client_fake_now_ms() - began;
}

static void at_the_end_what_waits_is_sent_at_once(void **state)
{
	(void)state;
	end_spans(TRACER_BATCH_SPANS + 3);
	assert_int_equal(turns_to_the_end(), 0);
	assert_counts(TRACER_BATCH_SPANS + 3, 0);
}

static void at_the_end_nobody_waits_long(void **state)
{
	(void)state;
	seen.status = 0;
	end_spans(3);
	assert_int_equal(turns_to_the_end(), TRACER_END_MS);
}

static void at_the_end_nobody_waits_for_one_that_fails(void **state)
{
	(void)state;
	seen.status = 503;
	end_spans(3);
	assert_true(turns_to_the_end() < 10);
	assert_int_equal(seen.requests, 1);
}

static void one_line_in_so_many(void **state)
{
	(void)state;
	for (uint64_t record = 0; record < 100; record++)
		assert_int_equal(tracer_samples(seen.tracer, record), record % 10 == 0);
	assert_false(tracer_samples(NULL, 0));
	seen.tracer->sample = 0;
	assert_false(tracer_samples(seen.tracer, 0));
}

static void without_a_tracer_nothing_is_kept(void **state)
{
	const struct trace_context own = trace_context_new(NULL);

	(void)state;
	span_end(NULL, span_start("x", SPAN_INTERNAL, &own, NULL));
	span_end(NULL, NULL);
	span_end_at(seen.tracer, NULL, 5);
	assert_int_equal(tracer_counts(NULL).sent, 0);
	tracer_close(NULL);
}

static void the_path_may_be_there_already(void **state)
{
	(void)state;
	open_at("http://c:4318/v1/traces");
	end_spans(1);
	run(2000); /* the script looks at the URL */
	assert_counts(1, 0);
	tracer_close(seen.tracer);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, opened, closed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPENED(few_wait_for_more),
		OPENED(many_go_at_once_in_pieces),
		OPENED(what_is_too_much_is_dropped),
		OPENED(again_and_again_then_dropped),
		OPENED(taken_at_last),
		OPENED(what_is_refused_is_not_sent_again),
		OPENED(one_that_hangs_is_given_up),
		OPENED(the_log_is_told_twice),
		OPENED(part_of_it_is_rejected),
		OPENED(at_the_end_what_waits_is_sent_at_once),
		OPENED(at_the_end_nobody_waits_long),
		OPENED(at_the_end_nobody_waits_for_one_that_fails),
		OPENED(one_line_in_so_many),
		OPENED(without_a_tracer_nothing_is_kept),
		cmocka_unit_test(the_path_may_be_there_already),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

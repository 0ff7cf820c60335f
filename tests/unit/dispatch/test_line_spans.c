/* test_line_spans.c: the spans of a line: which there are, and what they say. */
#include "unit.h"

#include "client_fake.h"
#include "dispatch/line_spans.h"
#include "trace/otlp.h"
#include "trace/span_impl.h"
#include "trace/tracer_impl.h"
#include "upstream/upstream.h"

#define BATCH "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static struct tracer *tracer;
static struct trace_context batch;
static struct upstream upstream;
static struct line_spans spans;

static void nobody(void *ctx, const struct fake_request *rq, struct fake_answer *ret)
{
	(void)ctx;
	(void)rq;
	(void)ret;
}

static int opened(void **state)
{
	static char name[] = "up", url[] = "http://up.test/v1";
	struct error err;

	(void)state;
	assert_true(tracer_new(&(struct tracer_config){ .endpoint = "http://c",
							.version = "1",
							.sample = 1,
							.client = client_fake_open(nobody, NULL) },
			       &tracer, &err));
	assert_true(trace_context_read(SLICE(BATCH), &batch));
	upstream = (struct upstream){ .config = { .name = name, .base_url = url } };
	spans = (struct line_spans){ 0 };
	return 0;
}

static int closed(void **state)
{
	(void)state;
	assert_null(spans.line);
	assert_null(spans.attempt);
	tracer_close(tracer);
	return 0;
}

static void send_attempt(unsigned number)
{
	line_spans_send(&spans, tracer,
			&(struct line_sending){ .batch = &batch,
						.batch_id = "batch_1",
						.endpoint = "/v1/chat/completions",
						.model = "m",
						.record = 7,
						.number = number,
						.upstream = &upstream });
}

static void answer(enum exchange_end how, int status, enum blame blame)
{
	const struct attempt_end end = { .how = how,
					 .status = status,
					 .tokens = { .input = 5, .output = 3 } };

	line_spans_answer(&spans, &end, blame);
}

static void end(enum exchange_end how, int status, enum outcome_fault fault)
{
	const struct attempt_end e = { .how = how,
				       .status = status,
				       .tokens = { .input = 5, .output = 3 } };

	line_spans_end(&spans, &e, fault, 2);
}

/* Whether the `n`th span that has ended says so. */
static bool says(unsigned n, const char *text)
{
	AUTO(buf_free) struct buf written = BUF(1 << 20);
	const struct span *s = tracer->head;

	while (n-- > 0 && s != NULL)
		s = s->next;
	assert_non_null(s);
	otlp_span(&written, s);
	buf_char(&written, '\0');
	return strstr(written.p, text) != NULL;
}

#define NUMBER(key, value) "{\"key\":\"" key "\",\"value\":{\"intValue\":\"" value "\"}}"
#define TEXT(key, value) "{\"key\":\"" key "\",\"value\":{\"stringValue\":\"" value "\"}}"

static void a_line_with_two_attempts(void **state)
{
	struct trace_context line;

	(void)state;
	send_attempt(1);
	line = *span_context(spans.line);
	assert_memory_equal(line.trace_id, batch.trace_id, TRACE_ID_BYTES);
	answer(EXCHANGE_WHOLE, 500, BLAME_SERVER);
	assert_null(spans.attempt);
	send_attempt(2);
	assert_memory_equal(span_context(spans.line), &line, sizeof(line)); /* the same */
	answer(EXCHANGE_WHOLE, 200, BLAME_NOBODY);
	end(EXCHANGE_WHOLE, 200, OUTCOME_ANSWERED);
	assert_int_equal(tracer->n, 3);
	assert_true(says(0, "\"name\":\"chat m\",\"kind\":3"));
	assert_true(says(0, TEXT("error.type", "500")) && says(0, "\"status\":{\"code\":2}"));
	assert_true(says(0, TEXT("url.full", "http://up.test/v1/chat/completions")));
	assert_true(says(0, TEXT("lowtide.upstream", "up")));
	assert_false(says(0, "resend_count"));
	assert_true(says(1, NUMBER("http.request.resend_count", "1")));
	assert_true(says(1, NUMBER("gen_ai.usage.input_tokens", "5")));
	assert_false(says(1, "error.type") || says(1, "status\":{"));
	assert_true(says(2, "\"parentSpanId\":\"00f067aa0ba902b7\",\"name\":\"line\",\"kind\":1"));
	assert_true(says(2, NUMBER("lowtide.line.record", "7")));
	assert_true(says(2, NUMBER("lowtide.line.attempts", "2")));
}

static void how_an_attempt_fails(void **state)
{
	static const struct {
		enum exchange_end how;
		int status;
		enum blame blame;
		const char *type;
	} ends[] = {
		{ EXCHANGE_UNREACHABLE, 0, BLAME_UNREACHABLE, "unreachable" },
		{ EXCHANGE_TIMEOUT, 0, BLAME_SERVER, "timeout" },
		{ EXCHANGE_BROKEN, 200, BLAME_SERVER, "broken" },
		{ EXCHANGE_TOO_LARGE, 200, BLAME_LINE, "answer_too_large" },
		{ EXCHANGE_CODED, 200, BLAME_SERVER, "coded_answer" },
		{ EXCHANGE_WHOLE, 404, BLAME_PATH, "404" },
		{ EXCHANGE_WHOLE, 200, BLAME_SERVER, "invalid_answer" },
	};
	char text[100];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
		send_attempt(i + 1);
		answer(ends[i].how, ends[i].status, ends[i].blame);
		snprintf(text, sizeof(text), TEXT("error.type", "%s"), ends[i].type);
		assert_true(says(i, text));
		assert_false(says(i, "gen_ai.usage"));
	}
	end(EXCHANGE_TIMEOUT, 0, OUTCOME_TIMEOUT);
}

static void what_is_not_sent_is_no_attempt(void **state)
{
	(void)state;
	send_attempt(1);
	line_spans_unsend(&spans);
	assert_int_equal(tracer->n, 0);
	send_attempt(1);
	line_spans_drop(&spans);
	assert_int_equal(tracer->n, 2);
	assert_true(says(0, TEXT("error.type", "dropped")) && says(1, "\"name\":\"line\""));
}

static void a_line_that_is_not_traced(void **state)
{
	(void)state;
	answer(EXCHANGE_WHOLE, 200, BLAME_NOBODY);
	end(EXCHANGE_WHOLE, 200, OUTCOME_ANSWERED);
	line_spans_unsend(&spans);
	line_spans_drop(&spans);
	batch.sampled = false;
	send_attempt(1);
	assert_int_equal(tracer->n, 0);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, opened, closed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPENED(a_line_with_two_attempts),
		OPENED(how_an_attempt_fails),
		OPENED(what_is_not_sent_is_no_attempt),
		OPENED(a_line_that_is_not_traced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

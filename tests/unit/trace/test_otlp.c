/* test_otlp.c: spans and their text. tests/support/collector.py reads it by OpenTelemetry's own
 * definitions. */
#include "unit.h"

#include "base/json.h"
#include "trace/otlp.h"
#include "trace/span_impl.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define OWN "00-4bf92f3577b34da6a3ce929d0e0e4736-0102030405060708-01"

static struct trace_context context(const char *text)
{
	struct trace_context c;

	assert_true(trace_context_read(slice_of(text), &c));
	return c;
}

static struct span *span_of(const struct trace_context *parent)
{
	const struct trace_context own = context(OWN);

	return span_start_at("chat m", SPAN_CLIENT, &own, parent, 1000);
}

static void assert_written(const struct span *s, const char *expected)
{
	AUTO(buf_free) struct buf text = BUF(1 << 20);

	otlp_span(&text, s);
	buf_char(&text, '\0');
	assert_string_equal(text.p, expected);
}

static void a_span_is_written_whole(void **state)
{
	const struct trace_context parent = context(PARENT);
	struct span *s = span_of(&parent);

	(void)state;
	s->end_ns = UINT64_MAX;
	span_text(s, "a", SLICE("x\"\n\xff"));
	span_number(s, "b", INT64_MIN);
	s->events[s->event_count++] = (struct span_event){ "began", 1001 };
	s->events[s->event_count++] = (struct span_event){ "went", 1002 };
	span_fail(s, "500");
	span_fail(s, "later");
	assert_written(
		s,
		"{\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"spanId\":\"0102030405060708\","
		"\"parentSpanId\":\"00f067aa0ba902b7\",\"name\":\"chat m\",\"kind\":3,"
		"\"startTimeUnixNano\":\"1000\",\"endTimeUnixNano\":\"18446744073709551615\","
		"\"attributes\":[{\"key\":\"a\",\"value\":{\"stringValue\":\"x\\\"\\n\xef\xbf\xbd\"}},"
		"{\"key\":\"b\",\"value\":{\"intValue\":\"-9223372036854775808\"}},"
		"{\"key\":\"error.type\",\"value\":{\"stringValue\":\"500\"}}],"
		"\"events\":[{\"timeUnixNano\":\"1001\",\"name\":\"began\"},"
		"{\"timeUnixNano\":\"1002\",\"name\":\"went\"}],\"status\":{\"code\":2}}");
	span_drop(s);
}

static void the_first_of_a_trace_has_no_parent(void **state)
{
	const struct trace_context none = { 0 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct span *s = span_of(i == 0 ? NULL : &none);
		assert_written(s, "{\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4736\","
				  "\"spanId\":\"0102030405060708\",\"name\":\"chat m\",\"kind\":3,"
				  "\"startTimeUnixNano\":\"1000\",\"endTimeUnixNano\":\"0\","
				  "\"attributes\":[]}");
		span_drop(s);
	}
}

static void a_request_is_json(void **state)
{
	AUTO(buf_free) struct buf text = BUF(1 << 20);
	struct span *s = span_of(NULL);
	struct json j;
	struct slice all;

	(void)state;
	otlp_begin(&text, "0.1.0", "0a");
	otlp_span(&text, s);
	otlp_span(&text, s);
	otlp_end(&text);
	json_init(&j, buf_slice(&text));
	assert_true(json_skip(&j, &all) && json_end(&j));
	assert_non_null(memmem(text.p, text.n, "\"attributes\":[]},{\"traceId\"", 27));
	span_drop(s);
}

/* However much is said of it. */
static void a_span_has_a_fixed_size(void **state)
{
	static char text[2000];
	struct span *s = span_of(NULL);
	AUTO(buf_free) struct buf written = BUF(1 << 20);

	(void)state;
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 100; i++) {
		span_text(s, "k", (struct slice){ text, i % 2 == 0 ? sizeof(text) : 1 });
		span_number(s, "n", i);
		span_event(s, "e");
	}
	span_name(s, "chat", (struct slice){ text, sizeof(text) });
	assert_int_equal(s->attribute_count, SPAN_ATTRIBUTES_MAX);
	assert_int_equal(s->event_count, SPAN_EVENTS_MAX);
	assert_int_equal(s->text_n, SPAN_TEXT_BYTES);
	otlp_span(&written, s);
	assert_true(written.n < 8192);
	span_drop(s);
}

static void nothing_is_said_of_no_span(void **state)
{
	struct trace_context own = context(OWN);

	(void)state;
	own.sampled = false;
	struct span *s = span_start("x", SPAN_INTERNAL, &own, NULL);
	assert_null(s);
	span_text(s, "k", SLICE("v"));
	span_number(s, "n", 1);
	span_event(s, "e");
	span_name(s, "chat", SLICE("m"));
	span_fail(s, "x");
	assert_null(span_header(s));
	assert_null(span_context(s));
	span_drop(s);
	own.sampled = true;
	s = span_start("x", SPAN_INTERNAL, &own, NULL);
	assert_string_equal(span_header(s), "traceparent: " OWN);
	span_text(s, "k", SLICE("")); /* nor is nothing said of one */
	assert_int_equal(s->attribute_count, 0);
	span_drop(s);
}

static void operations_are_those_of_the_conventions(void **state)
{
	(void)state;
	assert_string_equal(trace_operation("/v1/chat/completions"), "chat");
	assert_string_equal(trace_operation("/v1/messages"), "chat");
	assert_string_equal(trace_operation("/v1/completions"), "text_completion");
	assert_string_equal(trace_operation("/v1/embeddings"), "embeddings");
	assert_string_equal(trace_operation("/v1/rerank"), "rerank");
	assert_string_equal(trace_operation("x"), "x");
}

static void what_a_collector_rejects(void **state)
{
	static const struct {
		const char *answer;
		uint64_t rejected;
	} answers[] = {
		{ "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"x\"}}", 3 },
		{ "{\"partialSuccess\":{\"rejectedSpans\":4}}", 4 },
		{ "{\"partialSuccess\":{\"rejectedSpans\":-1}}", 0 },
		{ "{\"partialSuccess\":{\"rejectedSpans\":\"x\"}}", 0 },
		{ "{\"partialSuccess\":{\"rejectedSpans\":\"\"}}", 0 },
		{ "{\"partialSuccess\":null}", 0 },
		{ "{\"partialSuccess\":{}}", 0 },
		{ "{}", 0 },
		{ "[]", 0 },
		{ "{\"partialSuccess\":{\"rejectedSpans\":5}", 0 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		assert_int_equal(otlp_rejected(slice_of(answers[i].answer)), answers[i].rejected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_span_is_written_whole),
		cmocka_unit_test(the_first_of_a_trace_has_no_parent),
		cmocka_unit_test(a_request_is_json),
		cmocka_unit_test(a_span_has_a_fixed_size),
		cmocka_unit_test(nothing_is_said_of_no_span),
		cmocka_unit_test(operations_are_those_of_the_conventions),
		cmocka_unit_test(what_a_collector_rejects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

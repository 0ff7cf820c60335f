/* line_spans.c: see line_spans.h. */
#include "dispatch/line_spans.h"

#include <stdio.h>

#include "base/attr.h"
#include "trace/tracer.h"
#include "upstream/upstream.h"

/* error.type of an end without an answer. */
static const char *end_word(enum exchange_end how)
{
	static const char *const words[] = {
		[EXCHANGE_UNREACHABLE] = "unreachable",
		[EXCHANGE_CERTIFICATE] = "certificate",
		[EXCHANGE_PROXY] = "proxy",
		[EXCHANGE_BROKEN] = "broken",
		[EXCHANGE_STALE] = "broken",
		[EXCHANGE_TIMEOUT] = "timeout",
		[EXCHANGE_UNPROCESSED] = "unprocessed",
		[EXCHANGE_CODED] = "coded_answer",
		[EXCHANGE_TOO_LARGE] = "answer_too_large",
		[EXCHANGE_MALFORMED] = "malformed_answer",
	};

	return words[how];
}

/* What an attempt ended with; nothing is wrong where it is a whole 2xx that counts as one. */
static void end_tell(struct span *s, const struct attempt_end *e, bool good)
{
	char status[12];

	if (e->status > 0)
		span_number(s, ATTR_STATUS, e->status);
	if (e->how != EXCHANGE_WHOLE) {
		span_fail(s, end_word(e->how));
	} else if (e->status >= 300) {
		snprintf(status, sizeof(status), "%d", e->status);
		span_fail(s, status);
	} else if (!good) {
		span_fail(s, "invalid_answer");
	} else if (e->tokens.input + e->tokens.output > 0) {
		span_number(s, ATTR_INPUT_TOKENS, (int64_t)e->tokens.input);
		span_number(s, ATTR_OUTPUT_TOKENS, (int64_t)e->tokens.output);
	}
}

static void line_begin(struct line_spans *s, const struct line_sending *what)
{
	const struct trace_context own = trace_context_new(what->batch);

	s->line = span_start("line", SPAN_INTERNAL, &own, what->batch);
	span_text(s->line, ATTR_BATCH, slice_of(what->batch_id));
	span_number(s->line, ATTR_RECORD, (int64_t)what->record);
	span_text(s->line, ATTR_MODEL, slice_of(what->model));
}

/* "http://host/v1" and "/v1/embeddings" make "http://host/v1/embeddings", as transfer_url() does. */
static void url_tell(struct span *s, const char *base, const char *endpoint)
{
	char url[256];

	snprintf(url, sizeof(url), "%s%s", base,
		 strncmp(endpoint, "/v1/", 4) == 0 ? endpoint + 3 : endpoint);
	span_text(s, ATTR_URL, slice_of(url));
}

void line_spans_send(struct line_spans *s, struct tracer *t, const struct line_sending *what)
{
	const struct upstream_config *u = &what->upstream->config;
	const char *operation = trace_operation(what->endpoint);

	s->tracer = t;
	if (s->line == NULL)
		line_begin(s, what);
	if (s->line == NULL)
		return;
	const struct trace_context own = trace_context_new(span_context(s->line));
	s->attempt = span_start("", SPAN_CLIENT, &own, span_context(s->line));
	span_name(s->attempt, operation, slice_of(what->model));
	span_text(s->attempt, ATTR_OPERATION, slice_of(operation));
	span_text(s->attempt, ATTR_MODEL, slice_of(what->model));
	span_text(s->attempt, ATTR_METHOD, SLICE("POST"));
	url_tell(s->attempt, u->base_url, what->endpoint);
	span_text(s->attempt, ATTR_UPSTREAM, slice_of(u->name));
	if (what->number > 1)
		span_number(s->attempt, ATTR_RESEND, what->number - 1);
}

void line_spans_unsend(struct line_spans *s)
{
	span_drop(TAKE(s->attempt));
}

void line_spans_answer(struct line_spans *s, const struct attempt_end *e, enum blame blame)
{
	if (s->attempt == NULL)
		return;
	end_tell(s->attempt, e, blame == BLAME_NOBODY);
	span_end(s->tracer, TAKE(s->attempt));
}

void line_spans_end(struct line_spans *s, const struct attempt_end *e, enum outcome_fault fault,
		    unsigned attempts)
{
	if (s->line == NULL)
		return;
	span_number(s->line, ATTR_ATTEMPTS, attempts);
	end_tell(s->line, e, fault == OUTCOME_ANSWERED);
	span_end(s->tracer, TAKE(s->line));
}

void line_spans_drop(struct line_spans *s)
{
	if (s->attempt != NULL)
		span_fail(s->attempt, "dropped");
	span_end(s->tracer, TAKE(s->attempt));
	if (s->line != NULL)
		span_fail(s->line, "dropped");
	span_end(s->tracer, TAKE(s->line));
}

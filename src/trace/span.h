/* span.h: one span of a trace: what took how long, under which other span.
 *
 *	span_start() -> span_text(), span_number(), span_event() ... -> span_end() (tracer.h) or span_drop()
 *
 * A span is a struct of fixed size, so that what is traced costs no more than a malloc, whatever the
 * texts are; it is written as text in the tracer's thread. All functions take NULL for a span that
 * there is no memory for, or that is not recorded, and do nothing.
 *
 * Never in a span: bodies, keys, custom_ids, metadata.
 *
 * Threads: a span is used by one thread at a time, until it is ended. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "trace/context.h"

struct span;

/* As OTLP numbers them. */
enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER = 2, SPAN_CLIENT = 3 };

#define SPAN_NAME_BYTES 96u
#define SPAN_ATTRIBUTES_MAX 24u
#define SPAN_EVENTS_MAX 8u
#define SPAN_TEXT_BYTES 768u /* of all texts of a span together; what does not fit is cut */
/* "traceparent: …" with its NUL */
#define SPAN_HEADER_BYTES (13u + TRACEPARENT_BYTES + 1u)

/* Names of OpenTelemetry's semantic conventions. */
#define ATTR_METHOD "http.request.method"
#define ATTR_STATUS "http.response.status_code"
#define ATTR_ROUTE "http.route"
#define ATTR_RESEND "http.request.resend_count"
#define ATTR_URL "url.full"
#define ATTR_ERROR "error.type"
#define ATTR_OPERATION "gen_ai.operation.name"
#define ATTR_MODEL "gen_ai.request.model"
#define ATTR_INPUT_TOKENS "gen_ai.usage.input_tokens"
#define ATTR_OUTPUT_TOKENS "gen_ai.usage.output_tokens"
/* And our own. */
#define ATTR_BATCH "lowtide.batch.id"
#define ATTR_RECORD "lowtide.line.record" /* lines that are not blank before it in the file */
#define ATTR_ORG "lowtide.organization"
#define ATTR_ATTEMPTS "lowtide.line.attempts"
#define ATTR_REQUEST "lowtide.request.id"
#define ATTR_UPSTREAM "lowtide.upstream"

/* Begins now, with the ids of `own`. `parent` NULL, or none: it is the first of its trace. NULL: no
 * memory, or `own` is not sampled. */
struct span *span_start(const char *name, enum span_kind kind, const struct trace_context *own,
			const struct trace_context *parent);
/* Of what lies in the past: Unix time in ns. To be ended with span_end_at() (tracer.h). */
struct span *span_start_at(const char *name, enum span_kind kind, const struct trace_context *own,
			   const struct trace_context *parent, uint64_t start_ns);
/* The `name` of a span that stands for a request to a model: "chat m-1". */
void span_name(struct span *s, const char *operation, struct slice model);
const struct trace_context *span_context(const struct span *s); /* NULL of NULL */
/* The line "traceparent: …" that makes what it is sent with a child of it; good until the span ends.
 * NULL of NULL. */
const char *span_header(struct span *s);

/* `key` and `value` of an event's name are static. Beyond the most of a span they are left out. */
void span_text(struct span *s, const char *key, struct slice value);
void span_number(struct span *s, const char *key, int64_t value);
/* Something happened now. */
void span_event(struct span *s, const char *name);
/* It failed: its error.type. The first to say so counts. */
void span_fail(struct span *s, const char *error_type);

/* It was nothing. */
void span_drop(struct span *s);

uint64_t trace_now_ns(void); /* Unix time */

/* gen_ai.operation.name of an endpoint, "/v1/chat/completions": "chat"; its last word where the
 * conventions have none. Static, or within `endpoint`. */
const char *trace_operation(const char *endpoint);

/* tracer.h: takes spans that have ended and sends them to a collector, by OTLP over HTTP
 * (`tracing.endpoint`), from a thread and a client (client/client.h) of its own.
 *
 * Nobody waits for it: a span is dropped where TRACER_SPANS_MAX wait already, where the collector
 * does not take it after some tries, and at the end after TRACER_END_MS. What is dropped is counted,
 * and told in the log when it begins and when it is over.
 *
 * NULL for a tracer is fine everywhere: nothing is traced. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "trace/span.h"

struct client;
struct tracer;

#define TRACER_SPANS_MAX 4096u  /* that wait */
#define TRACER_BATCH_SPANS 512u /* of one request */
#define TRACER_EVERY_MS 1000u   /* that the first of these waits at most */
#define TRACER_TIMEOUT_MS 10000u
#define TRACER_TRIES 5u /* of one request: after 1, 2, 4, 8 s */
#define TRACER_END_MS 2000u

struct tracer_config {
	const char *endpoint;  /* "http://collector:4318", "https://host/v1/traces"; copied */
	const char *version;   /* of the program; static */
	unsigned sample;       /* one line in so many is traced; 0: none */
	struct client *client; /* taken over, whether opening succeeds or not */
};

MUST_USE bool tracer_open(const struct tracer_config *config, struct tracer **ret,
			  struct error *err);
/* Sends what waits, for TRACER_END_MS at most. Nobody ends a span any more. */
void tracer_close(struct tracer *t);

/* Whether the line `record` of a batch is one of those that are traced: the same ones after a
 * restart. Any thread. */
bool tracer_samples(const struct tracer *t, uint64_t record);

/* The span ends now, or at a Unix time in ns, and changes hands: it is sent, or dropped where too
 * many wait. A span of NULL is fine. Any thread; does not wait. */
void span_end(struct tracer *t, struct span *s);
void span_end_at(struct tracer *t, struct span *s, uint64_t end_ns);

struct tracer_counts {
	uint64_t sent, dropped; /* spans */
};
/* Any thread. */
struct tracer_counts tracer_counts(const struct tracer *t);

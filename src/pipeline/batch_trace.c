/* batch_trace.c: see batch_trace.h. */
#include "pipeline/batch_trace.h"

#include "base/log.h"
#include "pipeline/coordinator.h"
#include "pipeline/pipeline.h"
#include "trace/tracer.h"

void batch_trace_begin(const struct coordinator_env *env, const char *batch_id,
		       struct batch_trace *ret)
{
	char traceparent[BATCH_TRACEPARENT_SIZE];
	struct error err;

	*ret = (struct batch_trace){ 0 };
	if (env->config->tracer == NULL)
		return;
	if (!store_batch_trace(env->store, batch_id, traceparent, &err))
		log_fault("batch.trace_unknown", &err, kv_str("batch", batch_id));
	else if (traceparent[0] != '\0')
		(void)trace_context_read(slice_of(traceparent), &ret->parent);
	ret->own = trace_context_of(batch_id, &ret->parent);
}

static uint64_t ns_of(int64_t unix_s)
{
	return (uint64_t)unix_s * 1000000000u;
}

/* When the batch entered the state; 0: it did not. */
static int64_t entered_at(const struct batch *b, enum batch_status status)
{
	return status == BATCH_VALIDATING ? b->created_at : b->at[status];
}

/* A phase ends where a later one begins, the last with the batch. */
static void phase_trace(struct tracer *tracer, const struct batch_trace *t, const struct batch *b,
			enum batch_status status, uint64_t end_ns)
{
	int64_t from = entered_at(b, status);

	if (from == 0)
		return;
	for (int next = (int)status + 1; next < BATCH_STATUS_COUNT; next++)
		if (b->at[next] >= from && ns_of(b->at[next]) < end_ns &&
		    !batch_is_final((enum batch_status)next))
			end_ns = ns_of(b->at[next]);
	const struct trace_context own = trace_context_new(&t->own);
	struct span *s = span_start_at(batch_status_name(status), SPAN_INTERNAL, &own, &t->own,
				       ns_of(from));
	span_text(s, ATTR_BATCH, slice_of(b->id));
	span_end_at(tracer, s, end_ns);
}

static void figures_tell(struct span *s, const struct batch *b)
{
	const struct {
		const char *key;
		uint64_t value;
	} figures[] = {
		{ "lowtide.lines.total", b->counts.total },
		{ "lowtide.lines.completed", b->counts.completed },
		{ "lowtide.lines.failed", b->counts.failed },
		{ "lowtide.lines.expired", b->counts.expired },
		{ "lowtide.lines.cancelled", b->counts.cancelled },
		{ "lowtide.lines.retried", b->counts.retried },
		{ ATTR_INPUT_TOKENS, b->usage.input },
		{ ATTR_OUTPUT_TOKENS, b->usage.output },
	};

	for (size_t i = 0; i < ARRAY_LEN(figures); i++)
		span_number(s, figures[i].key, (int64_t)figures[i].value);
}

static void batch_tell(struct span *s, const struct batch *b)
{
	const char *operation = trace_operation(b->endpoint);

	span_text(s, ATTR_BATCH, slice_of(b->id));
	span_text(s, ATTR_ORG, slice_of(b->org));
	span_text(s, "lowtide.batch.status", slice_of(batch_status_name(b->status)));
	span_text(s, ATTR_OPERATION, slice_of(operation));
	if (b->model != NULL)
		span_text(s, ATTR_MODEL, slice_of(b->model));
	figures_tell(s, b);
	if (b->status == BATCH_FAILED)
		span_fail(s, "failed");
}

void batch_trace_end(const struct coordinator_env *env, const char *batch_id,
		     const struct batch_trace *t)
{
	static const enum batch_status phases[] = { BATCH_VALIDATING, BATCH_IN_PROGRESS,
						    BATCH_FINALIZING, BATCH_CANCELLING };
	AUTO(batch_done) struct batch b = { 0 };
	uint64_t now_ns = trace_now_ns();
	struct error err;

	if (!t->own.sampled)
		return;
	if (!store_batch_get(env->store, NULL, batch_id, &b, &err)) {
		if (err.kind != ERR_NOT_FOUND)
			log_fault("batch.trace_unknown", &err, kv_str("batch", batch_id));
		return;
	}
	if (!batch_is_final(b.status))
		return;
	struct tracer *tracer = env->config->tracer;
	struct span *s = span_start_at("batch", SPAN_INTERNAL, &t->own, &t->parent,
				       ns_of(b.created_at));
	for (size_t i = 0; i < ARRAY_LEN(phases); i++)
		phase_trace(tracer, t, &b, phases[i], now_ns);
	if (s != NULL)
		batch_tell(s, &b);
	span_end_at(tracer, s, now_ns);
}

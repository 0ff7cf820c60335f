/* world.h: a dispatch on the fake client, turned by hand in the test's own thread, with one batch of lines. */
#pragma once

#include "unit.h"

#include "client_fake.h"
#include "dispatch/dispatch_impl.h"

#define WORLD_LINES_MAX 64u

struct world {
	struct dispatch *dispatch;
	struct client *client;
	struct flow *flow;
	unsigned lines; /* of the batch; set before world_batch() */
	bool lent, dropped;
	/* how they ended, by record */
	unsigned ended;
	struct outcome *outcomes[WORLD_LINES_MAX];
};

static bool world_segment_next(void *owner, struct segment_cursor *ret)
{
	struct world *w = owner;

	if (w->lent)
		return false;
	w->lent = true;
	*ret = (struct segment_cursor){ .lines = w->lines };
	return true;
}

static bool world_look(void *owner, uint64_t record, struct line_look *ret)
{
	(void)owner;
	(void)record;
	*ret = (struct line_look){ .body_bytes = 100 };
	return true;
}

static bool world_line_read(void *owner, uint64_t record, struct buf *to, struct request_line *ret,
			    struct error *err)
{
	(void)owner;
	(void)err;
	buf_printf(to, "%u {\"model\":\"m\",\"n\":%u}", (unsigned)record, (unsigned)record);
	size_t space = strcspn(to->p, " ");
	ret->custom_id = (struct slice){ to->p, space };
	ret->body = (struct slice){ to->p + space + 1, to->n - space - 1 };
	return true;
}

/* It is durable at once. */
static void world_ended(void *ctx, struct outcome *o)
{
	struct world *w = ctx;

	assert_true(o->record < WORLD_LINES_MAX);
	assert_null(w->outcomes[o->record]);
	w->outcomes[o->record] = o;
	w->ended++;
	flow_recorded(w->flow, o);
}

static void world_dropped(void *owner)
{
	((struct world *)owner)->dropped = true;
}

static void world_fault(void *owner, const struct error *err)
{
	(void)owner;
	fail_msg("a fault: %s", err->message);
}

static inline void world_open(struct world *w, fake_script script, void *ctx)
{
	static const struct dispatch_ops ops = {
		.segment_next = world_segment_next,
		.look = world_look,
		.line_read = world_line_read,
		.ended = world_ended,
		.dropped = world_dropped,
		.fault = world_fault,
	};
	static char name[] = "up", url[] = "http://up.test/v1", key[] = "sk-up";
	const struct upstream_config upstream = {
		.name = name,
		.base_url = url,
		.api_key = key,
		.weight = 1,
		.concurrency = 4,
		.max_concurrency = 8,
		.metrics = GAUGES_AUTO,
	};
	struct dispatch_config config = {
		.max_attempts = 2,
		.patience_ms = 600000,
		.line_timeout_ms = 30000,
		.response_bytes_max = 1u << 20,
	};
	struct error err;

	*w = (struct world){ .client = client_fake_open(script, ctx) };
	config.client = w->client;
	assert_true(dispatch_new(&config, &upstream, 1, &ops, w, &w->dispatch, &err));
}

static inline void world_batch(struct world *w, unsigned lines)
{
	const struct flow_config config = {
		.owner = w,
		.id = "batch_1",
		.endpoint = "/v1/chat/completions",
		.model = "m",
		.org = "org_1",
		.org_weight = 1,
		.expires_at = sys.now_s() + 86400,
		.rest_lines = lines,
		.rest_bytes = 100ull * lines,
	};
	struct error err;

	w->lines = lines;
	assert_true(flow_new(w->dispatch, &w->flow, &err));
	flow_open(w->flow, &config);
}

/* Turns of the loop, for so long by the fake's clock; what is due at its end is done. */
static inline void world_run(struct world *w, uint64_t ms)
{
	uint64_t until = client_fake_now_ms() + ms;

	client_fake_until(w->client, until);
	while (client_fake_now_ms() < until)
		dispatch_turn(w->dispatch);
	dispatch_turn(w->dispatch);
	client_fake_until(w->client, FAKE_NEVER);
}

static inline void world_close(struct world *w)
{
	if (w->flow != NULL) {
		flow_drop(w->flow);
		for (int i = 0; i < 10 && !w->dropped; i++)
			dispatch_turn(w->dispatch);
		assert_true(w->dropped);
		flow_free(w->flow);
	}
	dispatch_close(w->dispatch);
	for (unsigned i = 0; i < WORLD_LINES_MAX; i++)
		outcome_free(w->outcomes[i]);
}

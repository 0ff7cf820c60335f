/* line_transfer.c: see line_transfer.h. */
#include "dispatch/line_transfer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/dispatch_impl.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"

#define LINE_SENDS_MAX \
	2u /* on a kept connection that turns out to be dead, and once more; a further attempt is
	    * another one, on a new connection */
/* longer answers are looked at from either end, and read by the recorder */
#define SCAN_BYTES (1u << 20)

static bool transfer_open(struct line_transfer *t, const struct exchange_ops *ops)
{
	const struct headers *headers = &target_of(t->transfer.upstream)->headers;

	return exchange_open(&t->transfer.exchange,
			     &(struct exchange_setup){
				     .route = t->transfer.route,
				     .ops = ops,
				     .headers = headers->list,
				     .header_count = headers->n,
				     .decode = true,
				     .sends_max = LINE_SENDS_MAX,
				     .timeout_ms = t->transfer.dispatch->config.line_timeout_ms,
			     });
}

static void line_transfer_free(struct line_transfer *t)
{
	exchange_close(&t->transfer.exchange);
	memory_line_close(&t->memory);
	free(t);
}

static struct line_transfer *line_transfer_new(struct dispatch *d, struct upstream *u,
					       const struct exchange_ops *ops)
{
	struct line_transfer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->transfer =
		(struct transfer){ .dispatch = d, .upstream = u, .route = target_of(u)->route };
	memory_line_open(&t->memory, &d->memory, &t->transfer.exchange);
	if (transfer_open(t, ops))
		return t;
	line_transfer_free(t);
	return NULL;
}

struct line_transfer *line_transfer_take(struct dispatch *d, struct upstream *u,
					 const struct exchange_ops *ops)
{
	struct line_transfer *t = target_of(u)->free_transfers;

	assert(on_dispatch_thread());
	if (t == NULL)
		return line_transfer_new(d, u, ops);
	assert(t->line == NULL && t->transfer.upstream == u);
	target_of(u)->free_transfers = t->next_free;
	return t;
}

void line_transfer_give(struct line_transfer *t)
{
	struct target *of = target_of(t->transfer.upstream);

	assert(on_dispatch_thread() && !t->transfer.exchange.under_way);
	memory_line_over(&t->memory);
	t->line = NULL;
	t->next_free = of->free_transfers;
	of->free_transfers = t;
}

bool line_transfer_url(struct line_transfer *t, const char *endpoint)
{
	AUTO(buf_free) struct buf url = BUF(4096);

	if (strcmp(t->endpoint, endpoint) == 0)
		return true;
	if (!transfer_url(&t->transfer, endpoint, &url) ||
	    !exchange_url(&t->transfer.exchange, url.p))
		return false;
	return slice_copy(slice_of(endpoint), t->endpoint, sizeof(t->endpoint));
}

void line_transfers_trim(struct upstream *u)
{
	struct target *of = target_of(u);

	while (of->free_transfers != NULL) {
		struct line_transfer *t = of->free_transfers;

		of->free_transfers = t->next_free;
		line_transfer_free(t);
	}
}

static bool looks_whole(struct slice body)
{
	size_t first = 0, last = body.n;

	while (first < body.n && strchr(" \t\r\n", body.p[first]) != NULL)
		first++;
	while (last > first && strchr(" \t\r\n", body.p[last - 1]) != NULL)
		last--;
	return last > first && body.p[first] == '{' && body.p[last - 1] == '}';
}

void line_transfer_read(struct line_transfer *t, struct attempt_end *e, struct answer_facts *facts)
{
	struct slice body = buf_slice(&t->memory.answer);

	e->body = body;
	if (e->how != EXCHANGE_WHOLE || e->status < 200 || e->status >= 300)
		return;
	if (body.n > SCAN_BYTES && looks_whole(answer_text(body))) {
		answer_tokens_find(body, &e->tokens);
		return;
	}
	answer_scan(body, facts);
	e->facts = facts;
	if (facts->fault != ANSWER_GOOD)
		e->content_type = exchange_header(&t->transfer.exchange, "content-type");
	e->tokens = facts->usage;
}

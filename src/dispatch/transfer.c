/* transfer.c: what is in flight, and how it ended. */
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/wait.h"

struct transfer *transfer_of(struct exchange *x)
{
	return container_of(x, struct transfer, exchange);
}

static int64_t transfer_wait_ms(const struct exchange *x)
{
	const struct wait_headers h = {
		.retry_after = exchange_header(x, "retry-after"),
		.retry_after_ms = exchange_header(x, "retry-after-ms"),
		.reset_requests = exchange_header(x, "x-ratelimit-reset-requests"),
		.reset_tokens = exchange_header(x, "x-ratelimit-reset-tokens"),
		.remaining_requests = exchange_header(x, "x-ratelimit-remaining-requests"),
		.remaining_tokens = exchange_header(x, "x-ratelimit-remaining-tokens"),
	};
	return wait_read_ms(&h, sys.now_s());
}

void transfer_end(const struct transfer *t, const struct exchange_result *r,
		  struct attempt_end *ret)
{
	const struct exchange *x = &t->exchange;

	*ret = (struct attempt_end){
		.how = r->how,
		.status = r->status,
		.ended_us = sys.monotonic_us(),
		.by_way = target_of(t->upstream)->route->by_way,
		.detail = r->said,
	};
	if (r->how != EXCHANGE_WHOLE || r->status < 300)
		return;
	ret->content_type = exchange_header(x, "content-type");
	ret->error_type = exchange_header(x, "x-amzn-errortype");
	ret->wait_ms = transfer_wait_ms(x);
}

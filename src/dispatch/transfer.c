/* transfer.c: what is in flight, and how it ended. */
#include "dispatch/transfer.h"

#include <string.h>

#include "base/sys.h"
#include "dispatch/wait.h"
#include "upstream/upstream.h"

bool transfer_url(const struct transfer *t, const char *endpoint, struct buf *to)
{
	buf_text(to, t->upstream->config.base_url);
	buf_text(to, strncmp(endpoint, "/v1/", 4) == 0 ? endpoint + 3 : endpoint);
	buf_char(to, '\0');
	return !to->failed;
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
		.by_way = t->route->by_way,
		.detail = r->said,
	};
	if (r->how != EXCHANGE_WHOLE || r->status < 300)
		return;
	ret->content_type = exchange_header(x, "content-type");
	ret->error_type = exchange_header(x, "x-amzn-errortype");
	ret->wait_ms = transfer_wait_ms(x);
}

/* transfer.c: what libcurl has in hand, and how it says that it ended. */
#include <string.h>

#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/wait.h"

bool transfer_open(struct dispatch *d, struct transfer *t)
{
	t->easy = wire_handle(d->wire, t->upstream->route);
	return t->easy != NULL && curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t) == CURLE_OK &&
	       curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->detail) == CURLE_OK;
}

struct slice transfer_header(const struct transfer *t, const char *name)
{
	struct curl_header *header;
	if (curl_easy_header(t->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return (struct slice){ NULL, 0 };
	/* an empty header's value is its line end: that is none */
	return (struct slice){ header->value, strcspn(header->value, "\r\n") };
}

static int64_t transfer_wait_ms(const struct transfer *t)
{
	const struct wait_headers h = {
		.retry_after = transfer_header(t, "retry-after"),
		.retry_after_ms = transfer_header(t, "retry-after-ms"),
		.reset_requests = transfer_header(t, "x-ratelimit-reset-requests"),
		.reset_tokens = transfer_header(t, "x-ratelimit-reset-tokens"),
		.remaining_requests = transfer_header(t, "x-ratelimit-remaining-requests"),
		.remaining_tokens = transfer_header(t, "x-ratelimit-remaining-tokens"),
	};
	return wait_read_ms(&h, sys.now_s());
}

/* A connection that was kept may have been closed by the other side long ago. */
static bool was_kept(const struct transfer *t)
{
	long connections = 0;
	return curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connections) == CURLE_OK &&
	       connections == 0;
}

static enum attempt_wire wire_of(const struct transfer *t, CURLcode code, bool sent, int status)
{
	if (code == CURLE_OK)
		return ATTEMPT_ANSWERED;
	if (wire_certificate_fault(code, t->detail))
		return ATTEMPT_CERTIFICATE;
	if (wire_never_processed(code, t->detail))
		return ATTEMPT_UNPROCESSED;
	if (wire_proxy_refused(t->easy, code))
		return ATTEMPT_PROXY;
	if (code == CURLE_BAD_CONTENT_ENCODING)
		return ATTEMPT_CODED;
	if (!sent)
		return ATTEMPT_UNREACHABLE;
	if (code == CURLE_OPERATION_TIMEDOUT)
		return ATTEMPT_TIMEOUT;
	/* The request was stopped by ourselves before its third connection: all were dead. */
	if (code == CURLE_ABORTED_BY_CALLBACK || (status == 0 && was_kept(t)))
		return ATTEMPT_STALE;
	return ATTEMPT_BROKEN;
}

void transfer_end(struct transfer *t, CURLcode code, bool sent, struct attempt_end *ret)
{
	long status = 0;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	*ret = (struct attempt_end){
		.wire = wire_of(t, code, sent, (int)status),
		.status = (int)status,
		.by_way = wire_by_way(t->upstream->route),
		.detail = code == CURLE_OK ? "" : wire_sentence(code, t->detail, sent),
	};
	if (ret->wire != ATTEMPT_ANSWERED || status < 300)
		return;
	ret->content_type = transfer_header(t, "content-type");
	ret->error_type = transfer_header(t, "x-amzn-errortype");
	ret->wait_ms = transfer_wait_ms(t);
}

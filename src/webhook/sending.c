/* sending.c: an exchange that is used once: each attempt looks its receiver up anew, and makes a
 * connection of its own, whose address is judged. */
#include "webhook/sending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "webhook/event.h"
#include "webhook/signature.h"

#define HEARD_MAX (64u << 10) /* of an answer, which nobody reads */
#define SIGNATURES_BYTES 160
#define BODY_BYTES 1024

struct sending *sending_new(const struct webhook_due *due)
{
	struct sending *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->due = *due;
	s->body = BUF(BODY_BYTES);
	return s;
}

void sending_free(struct sending *s)
{
	if (s == NULL)
		return;
	buf_free(&s->body);
	webhook_due_done(&s->due);
	free(s);
}

/* ---- how it ends ---- */

static void sending_close(struct sending *s)
{
	exchange_close(&s->exchange);
	client_route_free(TAKE(s->route));
}

static void end(struct sending *s, enum webhook_end how, const char *why)
{
	s->how = how;
	s->latency_ms = sys.monotonic_ms() - s->began_ms;
	snprintf(s->error, sizeof(s->error), "%s", why);
	sending_close(s);
	s->over(s->over_ctx, s);
}

/* The head says whether it was taken: a receiver that breaks off behind a 2xx has it. */
static void end_answered(struct sending *s)
{
	char why[WEBHOOK_ERROR_BYTES];

	if (s->status >= 200 && s->status <= 299) {
		end(s, WEBHOOK_TAKEN, "");
		return;
	}
	snprintf(why, sizeof(why), "The receiver answered with status %d%s.", s->status,
		 s->status >= 300 && s->status <= 399 ? ", and redirects are not followed" : "");
	end(s, WEBHOOK_ANSWERED, why);
}

static void on_done(struct exchange *x, const struct exchange_result *r)
{
	struct sending *s = (struct sending *)x;
	char why[WEBHOOK_ERROR_BYTES];

	if (r->status >= 200) {
		s->status = r->status;
		end_answered(s);
		return;
	}
	snprintf(why, sizeof(why), "%s: %.150s",
		 r->how == EXCHANGE_TIMEOUT       ? "No answer in time"
		 : r->how == EXCHANGE_UNREACHABLE ? "No connection"
		 : r->how == EXCHANGE_CERTIFICATE ? "A certificate was refused"
						  : "The connection broke",
		 r->said);
	end(s, r->how == EXCHANGE_TIMEOUT ? WEBHOOK_TIMEOUT : WEBHOOK_UNREACHABLE, why);
}

static enum exchange_taken on_body(struct exchange *x, struct slice piece)
{
	struct sending *s = (struct sending *)x;

	s->heard += piece.n;
	return s->heard > HEARD_MAX ? EXCHANGE_REFUSED : EXCHANGE_TAKEN;
}

static const struct exchange_ops ops = { .body = on_body, .done = on_done };

/* ---- how it begins ---- */

/* While a secret is rotated receivers may know the one or the other. */
static bool sign(struct sending *s, int64_t now, struct buf *to)
{
	const struct webhook_due *d = &s->due;
	struct slice body = buf_slice(&s->body);

	if (!signature_append(d->secret, d->id, now, body, to))
		return false;
	if (d->old_secret[0] == '\0' || d->old_until <= now)
		return true;
	buf_char(to, ' ');
	return signature_append(d->old_secret, d->id, now, body, to);
}

static bool exchange_make(struct sending *s, struct client *client,
			  const struct webhooks_config *config)
{
	AUTO(buf_free) struct buf signatures = BUF(SIGNATURES_BYTES);
	char timestamp[24];
	int64_t now = sys.now_s();

	snprintf(timestamp, sizeof(timestamp), "%lld", (long long)now);
	if (!sign(s, now, &signatures))
		return false;
	const struct header headers[] = {
		{ SLICE("Content-Type"), SLICE("application/json") },
		{ SLICE("User-Agent"), slice_of(config->user_agent) },
		{ SLICE("webhook-id"), slice_of(s->due.id) },
		{ SLICE("webhook-timestamp"), slice_of(timestamp) },
		{ SLICE("webhook-signature"), buf_slice(&signatures) },
	};
	s->route = client_route_new(client, s->due.url, &config->tls);
	if (s->route == NULL)
		return false;
	const struct exchange_setup setup = {
		.route = s->route,
		.ops = &ops,
		.headers = headers,
		.header_count = ARRAY_LEN(headers),
		.sends_max = 1,
		.timeout_ms = config->timeout_ms,
	};
	return exchange_open(&s->exchange, &setup) && exchange_url(&s->exchange, s->due.url);
}

void sending_start(struct sending *s, struct client *client, const struct webhooks_config *config,
		   sending_fn over, void *ctx)
{
	const struct webhook_due *d = &s->due;
	const struct event event = { d->event, d->batch, d->type, d->at };

	s->over = over;
	s->over_ctx = ctx;
	s->began_ms = sys.monotonic_ms();
	event_write(&s->body, &event);
	const struct exchange_request rq = {
		.body = buf_slice(&s->body),
		.fresh = true,
		.look_up = true,
	};
	if (d->secret[0] == '\0')
		end(s, WEBHOOK_UNREACHABLE, "The configuration no longer has this endpoint.");
	else if (s->body.failed || !exchange_make(s, client, config) ||
		 !exchange_start(&s->exchange, &rq))
		end(s, WEBHOOK_UNREACHABLE, "The server has no memory for this attempt.");
}

void sending_stop(struct sending *s)
{
	sending_close(s);
}

/* world.h: a remote on the fake client: answers in turn, and what was asked. */
#pragma once

#include "unit.h"

#include "client_fake.h"
#include "remote/remote_impl.h"

#define ASKED_MAX 32

struct asked {
	char method[8], url[256], body[640], key[64], authorization[64], header[64];
	uint64_t at_ms;
};

struct world {
	struct remote *remote;
	struct fake_answer answers[ASKED_MAX]; /* the last one is given again and again */
	unsigned answer_n, asked_n;
	struct asked asked[ASKED_MAX];
	char noted[256];
	unsigned notes;
	struct error err;
};

static void text_put(struct slice s, char *to, size_t size)
{
	snprintf(to, size, "%.*s", SLICE_ARG(s));
}

static void world_script(void *ctx, const struct fake_request *rq, struct fake_answer *ret)
{
	struct world *w = ctx;
	const struct header *key = header_find(rq->headers, rq->header_count, "Idempotency-Key");
	const struct header *bearer = header_find(rq->headers, rq->header_count, "Authorization");

	assert_true(w->asked_n < ASKED_MAX && w->answer_n > 0);
	struct asked *a = &w->asked[w->asked_n];
	*a = (struct asked){ .at_ms = rq->at_ms };
	text_put(slice_of(rq->method), a->method, sizeof(a->method));
	text_put(slice_of(rq->url), a->url, sizeof(a->url));
	text_put(rq->body, a->body, sizeof(a->body));
	text_put(rq->header != NULL ? slice_of(rq->header) : SLICE(""), a->header,
		 sizeof(a->header));
	text_put(key != NULL ? key->value : SLICE(""), a->key, sizeof(a->key));
	text_put(bearer != NULL ? bearer->value : SLICE(""), a->authorization,
		 sizeof(a->authorization));
	*ret = w->answers[w->asked_n < w->answer_n ? w->asked_n : w->answer_n - 1];
	w->asked_n++;
}

static void world_note(void *ctx, const char *text)
{
	struct world *w = ctx;

	w->notes++;
	text_put(slice_of(text), w->noted, sizeof(w->noted));
}

static void world_open(struct world *w, const char *key)
{
	struct remote_setup s = {
		.url = "http://127.0.0.1:8000/v1",
		.key = key,
		.note = world_note,
		.note_ctx = w,
	};

	setenv("HOME", "/nonexistent", 1);
	unsetenv("XDG_CONFIG_HOME");
	*w = (struct world){ 0 };
	assert_true(remote_open_on(client_fake_open(world_script, w), &s, &w->remote, &w->err));
}

static void world_close(struct world *w)
{
	remote_close(w->remote);
}

/* A server that is none of ours. */
static struct fake_answer *world_stranger_says(struct world *w, int status, const char *body)
{
	struct fake_answer *a = &w->answers[w->answer_n++];

	*a = (struct fake_answer){ .how = EXCHANGE_WHOLE, .status = status, .body = body };
	return a;
}

static struct fake_answer *world_says(struct world *w, int status, const char *body)
{
	struct fake_answer *a = world_stranger_says(w, status, body);

	a->headers[0] = (struct header){ SLICE("x-request-id"), SLICE("req_0") };
	return a;
}

static void world_breaks(struct world *w, enum exchange_end how, const char *said)
{
	w->answers[w->answer_n++] = (struct fake_answer){ .how = how, .said = said };
}

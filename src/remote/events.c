/* events.c: streams of server-sent events that go on behind the last id after each end. */
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "remote/event_reader.h"
#include "remote/remote_impl.h"

#define QUIET_MS 45000u /* the server sends a comment every 15 s */
#define PAUSE_MS 1000u

struct listening {
	struct event_reader reader;
	enum remote_taken (*each)(void *ctx, const char *event, const json_t *data,
				  struct error *err);
	void *ctx;
	uint64_t heard_ms;
	bool enough;
};

static enum remote_taken hand_on(struct listening *l, struct error *err)
{
	struct slice text = buf_slice(&l->reader.data);
	json_t *data = json_loadb(text.n > 0 ? text.p : "", text.n,
				  JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);

	if (data == NULL) {
		fail(err, ERR_UPSTREAM,
		     "an event of the server is no JSON: is it a lowtide server? (LOWTIDE_URL)");
		return REMOTE_FAULT;
	}
	const char *name = l->reader.name[0] != '\0' ? l->reader.name : "message";
	enum remote_taken taken = l->each(l->ctx, name, data, err);
	json_decref(data);
	l->enough = taken == REMOTE_ENOUGH;
	return taken;
}

static enum remote_taken on_piece(void *ctx, struct slice piece, struct error *err)
{
	struct listening *l = ctx;

	l->heard_ms = sys.monotonic_ms();
	for (;;) {
		bool event;
		if (!event_reader_next(&l->reader, &piece, &event)) {
			fail(err, ERR_UPSTREAM, "an event of the server is too large to be one");
			return REMOTE_FAULT;
		}
		if (!event)
			return REMOTE_MORE;
		enum remote_taken taken = hand_on(l, err);
		if (taken != REMOTE_MORE)
			return taken;
	}
}

static bool listen_once(struct remote *r, const char *path, struct listening *l, struct error *err)
{
	char header[EVENT_NAME_BYTES + 24];
	struct remote_request q = { .method = "GET", .path = path };
	struct remote_sink sink = { on_piece, l, QUIET_MS };

	if (l->reader.id[0] != '\0') {
		snprintf(header, sizeof(header), "Last-Event-ID: %s", l->reader.id);
		q.header = header;
	}
	event_reader_restart(&l->reader);
	return remote_call(r, &q, &sink, NULL, err);
}

static bool listen_on(struct remote *r, const char *path, struct listening *l, struct error *err)
{
	uint64_t patience_ms = (uint64_t)r->patience_s * 1000;

	l->heard_ms = sys.monotonic_ms();
	for (;;) {
		bool good = listen_once(r, path, l, err);
		if (l->enough || (!good && !r->may_pass))
			return good;
		if (sys.monotonic_ms() - l->heard_ms > patience_ms)
			return good ? fail(err, ERR_UNAVAILABLE,
					   "%s ends its events at once, again and again: call again later",
					   r->url)
				    : false;
		remote_wait(r, PAUSE_MS);
	}
}

bool remote_events(struct remote *r, const char *path,
		   enum remote_taken (*each)(void *ctx, const char *event, const json_t *data,
					     struct error *err),
		   void *ctx, struct error *err)
{
	struct listening l = { .each = each, .ctx = ctx };

	event_reader_init(&l.reader);
	bool good = listen_on(r, path, &l, err);
	event_reader_free(&l.reader);
	return good;
}

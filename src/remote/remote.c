/* remote.c: a server from opening to closing, and what it answered last. */
#include <stdlib.h>

#include "base/sys.h"
#include "remote/kept.h"
#include "remote/remote_impl.h"

static bool remote_make(struct remote *r, const struct remote_setup *s, struct error *err)
{
	AUTO(where_done) struct remote_where where = { 0 };

	if (!where_find(s, &where, err))
		return false;
	struct tls_pem tls = { .ca = where.ca };
	r->route = client_route_new(r->client, where.url, &tls);
	if (r->route == NULL)
		return fail_memory(err);
	r->url = TAKE(where.url);
	r->key = TAKE(where.key);
	r->patience_s = s->patience_s > 0 ? s->patience_s : REMOTE_PATIENCE_S;
	r->note = s->note;
	r->note_ctx = s->note_ctx;
	return true;
}

bool remote_open_on(struct client *client, const struct remote_setup *s, struct remote **ret,
		    struct error *err)
{
	struct remote *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		client_close(client);
		return fail_memory(err);
	}
	r->client = client;
	if (!remote_make(r, s, err)) {
		remote_close(r);
		return false;
	}
	*ret = r;
	return true;
}

bool remote_open(const struct remote_setup *s, struct remote **ret, struct error *err)
{
	struct client *client;

	return client_open(&client, err) && remote_open_on(client, s, ret, err);
}

void remote_close(struct remote *r)
{
	if (r == NULL)
		return;
	client_route_free(r->route);
	client_close(r->client);
	headers_free(&r->answer);
	kept_wipe(r->key);
	free(r->url);
	free(r);
}

const char *remote_url(const struct remote *r)
{
	return r->url;
}

int remote_status(const struct remote *r)
{
	return r->status;
}

struct slice remote_header(const struct remote *r, const char *name)
{
	const struct header *h = header_find(r->answer.list, r->answer.n, name);

	return h != NULL ? h->value : (struct slice){ NULL, 0 };
}

uint64_t remote_length(const struct remote *r)
{
	return r->length;
}

bool remote_may_pass(const struct remote *r)
{
	return r->may_pass;
}

bool remote_refused_this(const struct remote *r)
{
	return r->status >= 400 && r->status < 500 && r->status != 401 && r->status != 403 &&
	       r->status != 429;
}

bool remote_path_unknown(const struct remote *r)
{
	return r->path_unknown;
}

void remote_wait(struct remote *r, uint64_t ms)
{
	uint64_t until = sys.monotonic_ms() + ms, now;
	bool woken;

	while ((now = sys.monotonic_ms()) < until)
		client_wait(r->client, (int)(until - now), &woken);
}

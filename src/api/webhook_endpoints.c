/* webhook_endpoints.c: rows of the store, and tables of what is shown of them. */
#include "api/webhook_endpoints.h"

#include <stdlib.h>

#include "api/layout.h"
#include "api/objects.h"
#include "api/paging.h"
#include "api/webhook_members.h"
#include "base/sys.h"
#include "webhook/event.h"
#include "webhook/signature.h"

#define LIMIT_MAX 100
#define LIMIT_DEFAULT 20
#define OLD_SECRET_S (24 * INT64_C(3600))

/* ---- what is shown ---- */

#define E(member) COLUMN(struct webhook_endpoint, member)

static void put_event_types(struct buf *to, const void *row)
{
	const struct webhook_endpoint *e = row;

	event_types_write(to, e->event_types);
}

static void put_hint(struct buf *to, const void *row)
{
	const struct webhook_endpoint *e = row;
	char hint[SECRET_HINT_BYTES];

	secret_hint(e->secret, hint);
	buf_json_string(to, slice_of(hint));
}

static const struct json_member endpoint_members[] = {
	{ "id", E(id) },
	{ "object", .literal = "\"webhook_endpoint\"" },
	{ "created_at", E(created_at) },
	{ "updated_at", E(updated_at) },
	{ "name", E(name) },
	{ "url", E(url) },
	{ "event_types", .write = put_event_types },
	{ "signing_secret_hint", .write = put_hint },
	{ "old_secret_expires_at", E(old_until), FORM_NULL_IF_ZERO },
	{ "signing_secret", E(secret) }, /* the last: shown once */
};

static void endpoint_write(struct buf *to, const struct webhook_endpoint *e, bool with_secret)
{
	object_write(to, endpoint_members, ARRAY_LEN(endpoint_members) - !with_secret, e);
}

#define D(member) COLUMN(struct webhook_delivery, member)

static void put_type(struct buf *to, const void *row)
{
	const struct webhook_delivery *d = row;

	buf_json_string(to, slice_of(event_type_name(d->type)));
}

static const struct json_member delivery_members[] = {
	{ "id", D(id) },
	{ "object", .literal = "\"webhook_endpoint.delivery\"" },
	{ "event_id", D(event) },
	{ "type", .write = put_type },
	{ "at", D(at) },
	{ "attempts", D(attempts) },
	{ "status", D(status), FORM_NULL_IF_ZERO },
	{ "latency_ms", D(latency_ms), FORM_NULL_IF_NEGATIVE },
	{ "error", D(error), FORM_NULL_IF_ZERO },
	{ "next_at", D(next_at), FORM_NULL_IF_ZERO },
};

static void delivery_write(struct buf *to, const struct webhook_delivery *d)
{
	object_write(to, delivery_members, ARRAY_LEN(delivery_members), d);
}

/* ---- create, update ---- */

static bool allows_private(const struct request *rq)
{
	return webhooks_config_of(rq->api->config.webhooks)->allow_private;
}

bool webhooks_create(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(webhook_endpoint_done) struct webhook_endpoint e = { .created_at = sys.now_s() };
	struct webhook_members given;

	if (!webhook_members_read(buf_slice(&rq->body), true, allows_private(rq), &given, err))
		return false;
	id_endpoint(e.id);
	secret_make(e.secret);
	memcpy(e.org, rq->key.org, sizeof(e.org));
	memcpy(e.name, given.name, sizeof(e.name));
	memcpy(e.url, given.url, sizeof(e.url));
	e.event_types = given.event_types;
	e.updated_at = e.created_at;
	if (!store_webhook_create(rq->api->store, &e, rq->api->config.webhook_endpoints_max, err))
		return false;
	endpoint_write(&r->body, &e, true);
	return true;
}

bool webhooks_update(struct request *rq, struct http_response *r, struct error *err)
{
	struct webhook_members given;
	AUTO(webhook_endpoint_done) struct webhook_endpoint e = { 0 };

	if (!store_webhook_get(rq->api->store, rq->key.org, rq->object_id, &e, err) ||
	    !webhook_members_read(buf_slice(&rq->body), false, allows_private(rq), &given, err))
		return false;
	const struct webhook_change change = {
		.name = given.name[0] != '\0' ? given.name : NULL,
		.url = given.url[0] != '\0' ? given.url : NULL,
		.event_types = given.event_types,
	};
	if (!store_webhook_update(rq->api->store, rq->key.org, rq->object_id, &change, sys.now_s(),
				  &e, err))
		return false;
	endpoint_write(&r->body, &e, false);
	return true;
}

bool webhooks_rotate_secret(struct request *rq, struct http_response *r, struct error *err)
{
	char secret[WEBHOOK_SECRET_BYTES];
	AUTO(webhook_endpoint_done) struct webhook_endpoint e = { 0 };
	int64_t now = sys.now_s();
	bool keep;

	if (!store_webhook_get(rq->api->store, rq->key.org, rq->object_id, &e, err) ||
	    !webhook_keep_old_read(buf_slice(&rq->body), &keep, err))
		return false;
	secret_make(secret);
	if (!store_webhook_rotate(rq->api->store, rq->key.org, rq->object_id, secret,
				  keep ? now + OLD_SECRET_S : 0, now, &e, err))
		return false;
	endpoint_write(&r->body, &e, true);
	explicit_bzero(secret, sizeof(secret));
	return true;
}

/* ---- get, list, delete ---- */

bool webhooks_get(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(webhook_endpoint_done) struct webhook_endpoint e = { 0 };

	if (!store_webhook_get(rq->api->store, rq->key.org, rq->object_id, &e, err))
		return false;
	endpoint_write(&r->body, &e, false);
	return true;
}

bool webhooks_list(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(auto_free) struct webhook_endpoint *found = NULL;
	struct page page;
	size_t n = 0;
	bool more;

	if (!page_read(rq->http, LIMIT_MAX, LIMIT_DEFAULT, &page, err) ||
	    !store_webhook_list(rq->api->store, rq->key.org, page.after, page.limit, &found, &n,
				&more, err))
		return false;
	list_begin(&r->body);
	for (size_t i = 0; i < n; i++) {
		list_item(&r->body, i);
		endpoint_write(&r->body, &found[i], false);
		webhook_endpoint_done(&found[i]);
	}
	list_end(&r->body, n > 0 ? found[0].id : NULL, n > 0 ? found[n - 1].id : NULL, more);
	return true;
}

bool webhooks_delete(struct request *rq, struct http_response *r, struct error *err)
{
	if (!store_webhook_delete(rq->api->store, rq->key.org, rq->object_id, err))
		return false;
	buf_text(&r->body, "{\"id\":");
	buf_json_string(&r->body, slice_of(rq->object_id));
	buf_text(&r->body, ",\"object\":\"webhook_endpoint.deleted\",\"deleted\":true}");
	return true;
}

/* ---- deliveries ---- */

bool webhooks_deliveries(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(auto_free) struct webhook_delivery *found = NULL;
	struct page page;
	size_t n = 0;
	bool more;

	if (!page_read(rq->http, WEBHOOK_LOG, WEBHOOK_LOG, &page, err) ||
	    !store_delivery_list(rq->api->store, rq->key.org, rq->object_id, page.after, page.limit,
				 &found, &n, &more, err))
		return false;
	list_begin(&r->body);
	for (size_t i = 0; i < n; i++) {
		list_item(&r->body, i);
		delivery_write(&r->body, &found[i]);
	}
	list_end(&r->body, n > 0 ? found[0].id : NULL, n > 0 ? found[n - 1].id : NULL, more);
	return true;
}

bool webhooks_replay(struct request *rq, struct http_response *r, struct error *err)
{
	struct webhook_delivery d;

	if (!webhook_body_check(buf_slice(&rq->body), err) ||
	    !store_delivery_replay(rq->api->store, rq->key.org, rq->object_id, rq->part_id,
				   sys.now_s(), &d, err))
		return false;
	delivery_write(&r->body, &d);
	return true;
}

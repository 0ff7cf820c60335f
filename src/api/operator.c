/* operator.c: organizations and keys as tables of their members, and the calls on them. */
#include "api/operator.h"

#include <stdio.h>

#include "api/layout.h"
#include "api/limits_list.h"
#include "api/members.h"
#include "api/number.h"
#include "api/objects.h"
#include "api/routes.h"
#include "base/log.h"
#include "base/sys.h"

/* ---- whose call it is ---- */

bool operator_admits(const struct request *rq, struct error *err)
{
	enum route_keys keys = rq->route->keys;

	bool open = rq->key.id[0] == '\0'; /* the route needs no key */

	if (open || keys == KEYS_OF_ALL || keys == KEYS_OPTIONAL || keys == KEYS_FOR_AN_ORG ||
	    (keys == KEYS_OF_OPERATOR) == rq->key.is_operator)
		return true;
	return fail(err, ERR_FORBIDDEN, "%s",
		    rq->key.is_operator
			    ? "An operator's key looks after organizations, keys and batches. It "
			      "has no files and sends no requests."
			    : "This call is for the operator of this server (lowtide key create "
			      "--operator).");
}

static bool fail_missing_org(struct error *err)
{
	return fail_param(err, "org", "missing_required_parameter",
			  "Missing required parameter: 'org'.");
}

bool operator_named(struct request *rq, const char *name, struct org *ret, struct error *err)
{
	if (store_org_get(rq->api->store, name, ret, err))
		return true;
	if (err->kind == ERR_NOT_FOUND)
		snprintf(err->param, sizeof(err->param), "org");
	return false;
}

bool operator_scope(struct request *rq, struct error *err)
{
	const char *name = http_query(rq->http, "org");
	struct org org;

	if (!rq->key.is_operator || rq->route->keys != KEYS_FOR_AN_ORG)
		return true;
	if (name == NULL || name[0] == '\0')
		return fail_missing_org(err);
	if (!operator_named(rq, name, &org, err))
		return false;
	memcpy(rq->key.org, org.id, sizeof(rq->key.org));
	return store_org_limits(rq->api->store, org.id, rq->key.limits, err);
}

void operator_log(const struct request *rq, int status)
{
	const char *org = http_query(rq->http, "org");

	if (!rq->key.is_operator ||
	    (rq->route != NULL && rq->route->keys == KEYS_OPTIONAL)) /* a look at /metrics */
		return;
	log_info("operator.call", kv_str("key", rq->key.id), kv_str("hint", rq->key.hint),
		 kv_str("method", http_method(rq->http)), kv_str("path", http_path(rq->http)),
		 kv_str("org", org != NULL ? org : ""), kv_int("status", status),
		 kv_str("request", rq->id));
}

/* ---- organizations ---- */

static const struct json_member org_members[] = {
	{ "id", COLUMN(struct org, id) },
	{ "object", .literal = "\"org\"" },
	{ "name", COLUMN(struct org, name) },
	{ "created_at", COLUMN(struct org, created_at) },
	{ "suspended_at", COLUMN(struct org, suspended_at), FORM_NULL_IF_ZERO },
	{ "weight", COLUMN(struct org, weight) },
	{ "keys", COLUMN(struct org, keys) },
};

bool operator_orgs(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(auto_free) struct org *orgs = NULL;
	size_t n;

	if (!store_org_list(rq->api->store, &orgs, &n, err))
		return false;
	list_begin(&r->body);
	for (size_t i = 0; i < n; i++) {
		list_item(&r->body, i);
		object_write(&r->body, org_members, ARRAY_LEN(org_members), &orgs[i]);
	}
	list_end(&r->body, n > 0 ? orgs[0].id : NULL, n > 0 ? orgs[n - 1].id : NULL, false);
	return true;
}

bool operator_org(struct request *rq, struct http_response *r, struct error *err)
{
	struct org org;

	int64_t limits[ORG_LIMITS];

	if (!store_org_get(rq->api->store, rq->object_id, &org, err) ||
	    !store_org_limits(rq->api->store, org.id, limits, err))
		return false;
	buf_char(&r->body, '{');
	members_write(&r->body, org_members, ARRAY_LEN(org_members), &org);
	buf_text(&r->body, ",\"limits\":");
	if (!limits_write(rq, org.id, limits, &r->body, err))
		return false;
	buf_char(&r->body, '}');
	return true;
}

/* `m` is a number, and its text is what number_read() takes. */
static bool read_number(const struct member *m, int64_t least, int64_t most, int64_t *ret,
			struct error *err)
{
	return (m->type == JSON_NUMBER || fail_type(err, m->path, JSON_NUMBER, m->type, m->text)) &&
	       number_read(m->path, m->text, least, most, ret, err);
}

/* null: the configured one. A name that is no limit's is refused: it would be thought set. */
static bool read_limits(struct slice text, struct org_change *ret, struct error *err)
{
	struct json j;
	struct slice key;
	char path[64];

	json_init(&j, text);
	(void)json_next(&j);
	while (json_member(&j, &key)) {
		unsigned i = 0;
		while (i < ORG_LIMITS && !json_key_is(key, org_limit_names[i]))
			i++;
		if (i == ORG_LIMITS)
			return fail_param(err, "limits", "invalid_value",
					  "Invalid value for 'limits': there is no limit '%.*s'.",
					  (int)(key.n < 64 ? key.n : 64), key.p);
		snprintf(path, sizeof(path), "limits.%s", org_limit_names[i]);
		struct member m = { .name = path, .path = path, .type = json_next(&j) };
		m.text = j.value;
		ret->limits[i].changes = true;
		ret->limits[i].to = LIMIT_AS_CONFIGURED;
		if (m.type != JSON_NULL &&
		    !read_number(&m, 0, ORG_LIMIT_MOST, &ret->limits[i].to, err))
			return false;
	}
	return true;
}

static bool read_change(struct slice body, struct org_change *ret, struct error *err)
{
	struct member m[] = { { "weight", "weight" }, { "limits", "limits" } };
	int64_t weight = 0;

	if (!members_find(body, m, ARRAY_LEN(m)))
		return fail(err, ERR_INVALID, "We could not parse the JSON body of your request.");
	if (!member_absent(&m[0]) && !read_number(&m[0], 1, ORG_WEIGHT_MAX, &weight, err))
		return false;
	ret->weight = (unsigned)weight;
	return member_absent(&m[1]) ||
	       (member_require(&m[1], JSON_OBJECT, err) && read_limits(m[1].text, ret, err));
}

bool operator_org_set(struct request *rq, struct http_response *r, struct error *err)
{
	struct org_change change = { 0 };

	return read_change(buf_slice(&rq->body), &change, err) &&
	       store_org_change(rq->api->store, rq->object_id, &change, err) &&
	       operator_org(rq, r, err);
}

/* No body, or an object that may hold `cancel`. */
static bool read_cancel(struct slice body, bool *ret, struct error *err)
{
	struct member cancel = { .name = "cancel" };

	*ret = false;
	if (body.n == 0)
		return true;
	if (!members_find(body, &cancel, 1))
		return fail(err, ERR_INVALID, "We could not parse the JSON body of your request.");
	return member_bool(&cancel, ret, err);
}

/* Its keys and batches follow at once, also in a server beside this one. */
bool operator_suspend(struct request *rq, struct http_response *r, struct error *err)
{
	bool cancel;

	if (!read_cancel(buf_slice(&rq->body), &cancel, err) ||
	    !store_org_suspend(rq->api->store, rq->object_id, sys.now_s(), cancel, err))
		return false;
	log_info("operator.org_suspended", kv_str("by", rq->key.id), kv_str("org", rq->object_id),
		 kv_str("cancel", cancel ? "true" : "false"), kv_str("request", rq->id));
	return operator_org(rq, r, err);
}

bool operator_resume(struct request *rq, struct http_response *r, struct error *err)
{
	bool ignored;

	if (!read_cancel(buf_slice(&rq->body), &ignored, err) ||
	    !store_org_suspend(rq->api->store, rq->object_id, 0, false, err))
		return false;
	return operator_org(rq, r, err);
}

/* ---- keys ---- */

struct new_key {
	struct key key;
	const char *secret;
};

#define K(member) COLUMN(struct new_key, member)
#define KEY_MEMBERS                                                                          \
	{ "id", K(key.id) }, { "object", .literal = "\"key\"" }, { "org", K(key.org_name) }, \
		{ "operator", K(key.is_operator) }, { "hint", K(key.hint) },                 \
		{ "created_at", K(key.created_at) },                                         \
	{                                                                                    \
		"revoked_at", K(key.revoked_at), FORM_NULL_IF_ZERO                           \
	}

static const struct json_member key_members[] = { KEY_MEMBERS };
static const struct json_member new_key_members[] = { KEY_MEMBERS, { "key", K(secret) } };

bool operator_keys(struct request *rq, struct http_response *r, struct error *err)
{
	const char *name = http_query(rq->http, "org");
	AUTO(auto_free) struct key *keys = NULL;
	struct org org;
	size_t n;

	if (name != NULL && !operator_named(rq, name, &org, err))
		return false;
	if (!store_key_list(rq->api->store, name != NULL ? org.id : NULL, &keys, &n, err))
		return false;
	list_begin(&r->body);
	for (size_t i = 0; i < n; i++) {
		const struct new_key row = { .key = keys[i] };
		list_item(&r->body, i);
		object_write(&r->body, key_members, ARRAY_LEN(key_members), &row);
	}
	list_end(&r->body, n > 0 ? keys[0].id : NULL, n > 0 ? keys[n - 1].id : NULL, false);
	return true;
}

static bool org_name_check(const char *name, size_t n, struct error *err)
{
	bool good = n > 0 && n < sizeof((struct org){ 0 }.name);

	for (size_t i = 0; i < n && good; i++)
		good = (unsigned char)name[i] >= ' ' && name[i] != 0x7f;
	return good || fail_param(err, "org", "invalid_value",
				  "Invalid value for 'org': the name of an organization has 1 to "
				  "%zu bytes and no control characters.",
				  sizeof((struct org){ 0 }.name) - 1);
}

/* The organization to be, and whether it is to be a key of the operator. */
static bool read_new_key(struct slice body, char org[static sizeof((struct org){ 0 }.name)],
			 bool *ret_operator, struct error *err)
{
	struct member m[] = { { .name = "org" }, { .name = "operator" } };
	AUTO(auto_free) char *name = NULL;
	size_t n;

	if (!members_find(body, m, ARRAY_LEN(m)))
		return fail(err, ERR_INVALID, "We could not parse the JSON body of your request.");
	if (!member_bool(&m[1], ret_operator, err))
		return false;
	if (member_absent(&m[0]) && *ret_operator) {
		snprintf(org, sizeof((struct org){ 0 }.name), "%s", OPERATOR_ORG);
		return true;
	}
	if (!member_require(&m[0], JSON_STRING, err) || !member_text(&m[0], &name, &n, err) ||
	    !org_name_check(name, n, err))
		return false;
	memcpy(org, name, n + 1);
	return true;
}

/* The key is in this answer, and kept nowhere. */
bool operator_key_create(struct request *rq, struct http_response *r, struct error *err)
{
	struct new_key made = { .key.created_at = sys.now_s() };
	char org_name[sizeof((struct org){ 0 }.name)], secret[64], hash[65];
	struct org org;

	if (!read_new_key(buf_slice(&rq->body), org_name, &made.key.is_operator, err) ||
	    !store_org_ensure(rq->api->store, org_name, made.key.created_at, &org, err))
		return false;
	id_secret(secret);
	id_secret_hash(slice_of(secret), hash);
	id_secret_hint(secret, made.key.hint);
	memcpy(made.key.org, org.id, sizeof(made.key.org));
	memcpy(made.key.org_name, org.name, sizeof(made.key.org_name));
	made.secret = secret;
	bool good = store_key_create(rq->api->store, &made.key, hash, err);
	if (good) {
		object_write(&r->body, new_key_members, ARRAY_LEN(new_key_members), &made);
		log_info("operator.key_made", kv_str("by", rq->key.id), kv_str("key", made.key.id),
			 kv_str("org", org.name), kv_int("operator", made.key.is_operator));
	}
	explicit_bzero(secret, sizeof(secret));
	return good;
}

bool operator_key_delete(struct request *rq, struct http_response *r, struct error *err)
{
	if (strncmp(rq->object_id, "key_", 4) != 0)
		return fail(err, ERR_NOT_FOUND, "No API key found with id '%s'.", rq->object_id);
	if (!store_key_revoke(rq->api->store, rq->object_id, sys.now_s(), err))
		return false;
	buf_text(&r->body, "{\"id\":");
	buf_json_string(&r->body, slice_of(rq->object_id));
	buf_text(&r->body, ",\"object\":\"key\",\"deleted\":true}");
	return true;
}

/* Endpoints of webhooks: whose they are, how many, in which order; the configuration's. */
#include "store_test.h"

#include "store/webhooks.h"

static struct webhook_endpoint endpoint_of(const struct org *org)
{
	struct webhook_endpoint e = { .event_types = WEBHOOK_ALL_TYPES, .created_at = NOW };

	id_endpoint(e.id);
	memcpy(e.org, org->id, sizeof(e.org));
	snprintf(e.name, sizeof(e.name), "name");
	snprintf(e.url, sizeof(e.url), "https://example.com/");
	snprintf(e.secret, sizeof(e.secret), "whsec_first");
	return e;
}

static struct webhook_endpoint put(const struct org *org)
{
	struct webhook_endpoint e = endpoint_of(org);

	MUST(store_webhook_create(store, &e, 0, &err));
	return e;
}

static struct webhook_endpoint get(const char *id)
{
	struct webhook_endpoint e;

	MUST(store_webhook_get(store, ours.id, id, &e, &err));
	return e;
}

static void an_endpoint_reads_back_whole(void **state)
{
	struct webhook_endpoint e = put(&ours), got = get(e.id);

	(void)state;
	assert_string_equal(got.org, ours.id);
	assert_string_equal(got.name, "name");
	assert_string_equal(got.url, "https://example.com/");
	assert_string_equal(got.secret, "whsec_first");
	assert_string_equal(got.old_secret, "");
	assert_int_equal(got.event_types, WEBHOOK_ALL_TYPES);
	assert_int_equal(got.created_at, NOW);
	assert_int_equal(got.updated_at, NOW);
	assert_int_equal(got.old_until, 0);
}

/* (16.21) */
static void others_endpoints_are_not_found(void **state)
{
	struct webhook_endpoint e = put(&ours), got, *list;
	const struct webhook_change change = { .name = "theirs" };
	struct webhook_delivery *log, d;
	size_t n;
	bool more;

	(void)state;
	FAILS(store_webhook_get(store, theirs.id, e.id, &got, &err), NOT_FOUND);
	FAILS(store_webhook_update(store, theirs.id, e.id, &change, NOW, &got, &err), NOT_FOUND);
	FAILS(store_webhook_rotate(store, theirs.id, e.id, "whsec_x", 0, NOW, &got, &err),
	      NOT_FOUND);
	FAILS(store_webhook_delete(store, theirs.id, e.id, &err), NOT_FOUND);
	FAILS(store_delivery_list(store, theirs.id, e.id, NULL, 10, &log, &n, &more, &err),
	      NOT_FOUND);
	FAILS(store_delivery_replay(store, theirs.id, e.id, "wh_1", NOW, &d, &err), NOT_FOUND);
	FAILS(store_webhook_list(store, theirs.id, e.id, 10, &list, &n, &more, &err), INVALID);
	assert_string_equal(err.param, "after");
	MUST(store_webhook_list(store, theirs.id, NULL, 10, &list, &n, &more, &err));
	assert_int_equal(n, 0);
	free(list);
	assert_string_equal(get(e.id).name, "name");
	assert_string_equal(get(e.id).secret, "whsec_first");
}

static void an_organization_has_so_many(void **state)
{
	struct webhook_endpoint one = put(&ours), more = endpoint_of(&ours);

	(void)state;
	put(&theirs);
	MUST(store_webhook_create(store, &more, 2, &err));
	more = endpoint_of(&ours);
	FAILS(store_webhook_create(store, &more, 2, &err), INVALID);
	assert_string_equal(err.code, "webhook_endpoint_quota_exceeded");
	MUST(store_webhook_delete(store, ours.id, one.id, &err));
	MUST(store_webhook_create(store, &more, 2, &err));
}

/* (10) */
static void pages_are_newest_first(void **state)
{
	struct webhook_endpoint e[5], *list;
	const char *after = NULL;
	size_t n, at = 5;
	bool more = true;

	(void)state;
	for (int i = 0; i < 5; i++) {
		e[i] = put(&ours);
		put(&theirs);
	}
	while (more) {
		MUST(store_webhook_list(store, ours.id, after, 2, &list, &n, &more, &err));
		for (size_t i = 0; i < n; i++)
			assert_string_equal(list[i].id, e[--at].id);
		after = e[at].id;
		free(list);
	}
	assert_int_equal(at, 0);
}

static void changes(void **state)
{
	struct webhook_endpoint e = put(&ours), got;
	struct webhook_change change = { .name = "name" };

	(void)state;
	MUST(store_webhook_update(store, ours.id, e.id, &change, NOW + 5, &got, &err));
	assert_int_equal(got.updated_at, NOW); /* it is as it was */
	change = (struct webhook_change){ .url = "https://example.org/",
					  .event_types = 1u << BATCH_FAILED };
	MUST(store_webhook_update(store, ours.id, e.id, &change, NOW + 6, &got, &err));
	assert_int_equal(got.updated_at, NOW + 6);
	assert_string_equal(got.name, "name");
	assert_string_equal(got.url, "https://example.org/");
	assert_int_equal(got.event_types, 1u << BATCH_FAILED);
	MUST(store_webhook_rotate(store, ours.id, e.id, "whsec_second", NOW + DAY, NOW + 7, &got,
				  &err));
	assert_string_equal(got.secret, "whsec_second");
	assert_string_equal(got.old_secret, "whsec_first");
	assert_int_equal(got.old_until, NOW + DAY);
	MUST(store_webhook_rotate(store, ours.id, e.id, "whsec_third", 0, NOW + 8, &got, &err));
	assert_string_equal(got.old_secret, "");
	assert_int_equal(got.old_until, 0);
}

/* They are no organization's to see; those that are configured no longer go. */
static void the_configurations(void **state)
{
	struct webhook_endpoint list[2] = { endpoint_of(&ours), endpoint_of(&ours) }, got;

	(void)state;
	snprintf(list[0].id, ID_SIZE, "config-one");
	snprintf(list[1].id, ID_SIZE, "config-two");
	list[1].org[0] = '\0';
	MUST(store_webhook_configure(store, list, 2, NOW, &err));
	assert_int_equal(number_of("SELECT count(*) FROM webhook_endpoint WHERE configured"), 2);
	assert_int_equal(number_of("SELECT count(*) FROM webhook_endpoint WHERE secret <> ''"), 0);
	assert_int_equal(number_of("SELECT count(*) FROM webhook_endpoint WHERE org IS NULL"), 1);
	FAILS(store_webhook_get(store, ours.id, "config-one", &got, &err), NOT_FOUND);
	FAILS(store_webhook_delete(store, ours.id, "config-one", &err), NOT_FOUND);
	struct webhook_endpoint *page;
	size_t n;
	bool more;
	MUST(store_webhook_list(store, ours.id, NULL, 10, &page, &n, &more, &err));
	assert_int_equal(n, 0);
	free(page);
	struct webhook_endpoint own = endpoint_of(&ours);
	MUST(store_webhook_create(store, &own, 1, &err)); /* they do not count */
	snprintf(list[0].url, sizeof(list[0].url), "https://changed.example/");
	MUST(store_webhook_configure(store, list, 1, NOW, &err));
	assert_int_equal(number_of("SELECT count(*) FROM webhook_endpoint WHERE configured AND url "
				   "= 'https://changed.example/'"),
			 1);
	MUST(store_webhook_configure(store, NULL, 0, NOW, &err));
	assert_int_equal(number_of("SELECT count(*) FROM webhook_endpoint"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(an_endpoint_reads_back_whole),
		WITH_STORE(others_endpoints_are_not_found),
		WITH_STORE(an_organization_has_so_many),
		WITH_STORE(pages_are_newest_first),
		WITH_STORE(changes),
		WITH_STORE(the_configurations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

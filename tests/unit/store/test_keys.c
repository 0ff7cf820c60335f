/* Organizations and keys: made once, found by hash, gone for good once revoked. */
#include "store_test.h"

static void put_key(const struct org *org, const char *hash, const char *hint, int64_t now)
{
	struct key key = *key_of(org->id, hint);

	key.created_at = now;
	MUST(store_key_create(store, &key, hash, &err));
}

static void an_organization_is_made_once(void **state)
{
	struct org again, other;

	(void)state;
	MUST(store_org_ensure(store, "ours", NOW + 5, &again, &err));
	assert_string_equal(again.id, ours.id);
	assert_int_equal(again.created_at, NOW);
	assert_string_not_equal(ours.id, theirs.id);
	FAILS(store_org_create(store, "ours", NOW, &other, &err), INVALID);
	assert_string_equal(err.param, "name");
	MUST(store_org_create(store, "third", NOW, &other, &err));
	assert_string_equal(other.name, "third");
	assert_int_equal(other.keys, 0);
}

static void a_name_has_1_to_127_bytes(void **state)
{
	char name[129];
	struct org org;

	(void)state;
	memset(name, 'x', sizeof(name));
	name[128] = '\0';
	FAILS(store_org_ensure(store, name, NOW, &org, &err), INVALID);
	name[127] = '\0';
	MUST(store_org_ensure(store, name, NOW, &org, &err));
	assert_string_equal(org.name, name);
	FAILS(store_org_create(store, "", NOW, &org, &err), INVALID);
}

static void organizations_are_listed_by_name_with_their_keys(void **state)
{
	struct org *orgs;
	size_t n;

	(void)state;
	put_key(&theirs, "h1", "sk-1", NOW);
	put_key(&theirs, "h2", "sk-2", NOW);
	put_key(&theirs, "h3", "sk-3", NOW);
	MUST(store_key_revoke(store, "sk-3", NOW, &err));
	MUST(store_org_list(store, &orgs, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(orgs[0].name, "ours");
	assert_int_equal(orgs[0].keys, 0);
	assert_string_equal(orgs[1].id, theirs.id);
	assert_int_equal(orgs[1].keys, 2);
	assert_int_equal(orgs[1].created_at, NOW);
	free(orgs);
}

static void an_organization_has_a_weight(void **state)
{
	unsigned weight;
	struct org *orgs;
	size_t n;

	(void)state;
	assert_int_equal(ours.weight, 1);
	MUST(store_org_weigh(store, "ours", 1000, &err));
	MUST(store_org_weight(store, ours.id, &weight, &err));
	assert_int_equal(weight, 1000);
	MUST(store_org_weight(store, theirs.id, &weight, &err));
	assert_int_equal(weight, 1);
	FAILS(store_org_weigh(store, "ours", 0, &err), INVALID);
	assert_string_equal(err.param, "weight");
	FAILS(store_org_weigh(store, "ours", 1001, &err), INVALID);
	FAILS(store_org_weigh(store, "nobody", 2, &err), NOT_FOUND);
	FAILS(store_org_weight(store, "org-none", &weight, &err), NOT_FOUND);
	reopen();
	MUST(store_org_list(store, &orgs, &n, &err));
	assert_int_equal(orgs[0].weight, 1000);
	assert_int_equal(orgs[1].weight, 1);
	free(orgs);
}

static void a_key_is_found_by_its_hash(void **state)
{
	struct key key;
	uint64_t n;

	(void)state;
	put_key(&ours, "hash-a", "sk-AbCd…", NOW + 1);
	MUST(store_key_find(store, "hash-a", &key, &err));
	assert_memory_equal(key.id, "key_", 4);
	assert_string_equal(key.org, ours.id);
	assert_string_equal(key.org_name, "ours");
	assert_string_equal(key.hint, "sk-AbCd…");
	assert_int_equal(key.created_at, NOW + 1);
	assert_int_equal(key.revoked_at, 0);
	FAILS(store_key_find(store, "hash-b", &key, &err), BAD_KEY);
	assert_string_equal(err.message, "Incorrect API key provided");
	MUST(store_key_count(store, &n, &err));
	assert_int_equal(n, 1);
}

static void the_same_hash_again_changes_nothing(void **state)
{
	struct key first, again;

	(void)state;
	put_key(&ours, "hash", "sk-1", NOW);
	MUST(store_key_find(store, "hash", &first, &err));
	put_key(&theirs, "hash", "sk-2", NOW + 9);
	MUST(store_key_find(store, "hash", &again, &err));
	assert_string_equal(again.id, first.id);
	assert_string_equal(again.org, ours.id);
	assert_string_equal(again.hint, "sk-1");
	assert_int_equal(again.created_at, NOW);
	MUST(store_key_revoke(store, first.id, NOW + 10, &err));
	put_key(&ours, "hash", "sk-1", NOW + 11); /* nor does it bring a revoked one back */
	FAILS(store_key_find(store, "hash", &again, &err), BAD_KEY);
}

static void a_key_needs_an_organization(void **state)
{
	uint64_t n;

	(void)state;
	FAILS(store_key_create(store, key_of("org-none", "sk-1"), "hash", &err), NOT_FOUND);
	MUST(store_key_count(store, &n, &err));
	assert_int_equal(n, 0);
}

static void keys_are_listed_oldest_first(void **state)
{
	struct key *keys;
	size_t n;

	(void)state;
	put_key(&ours, "h2", "sk-2", NOW + 2);
	put_key(&theirs, "h3", "sk-3", NOW + 3);
	put_key(&ours, "h1", "sk-1", NOW + 1);
	MUST(store_key_revoke(store, "sk-2", NOW + 7, &err));
	MUST(store_key_list(store, NULL, &keys, &n, &err));
	assert_int_equal(n, 3);
	assert_string_equal(keys[0].hint, "sk-1");
	assert_string_equal(keys[1].hint, "sk-2");
	assert_int_equal(keys[1].revoked_at, NOW + 7);
	assert_string_equal(keys[2].org_name, "theirs");
	free(keys);
	MUST(store_key_list(store, ours.id, &keys, &n, &err));
	assert_int_equal(n, 2);
	free(keys);
	MUST(store_key_list(store, "org-none", &keys, &n, &err));
	assert_int_equal(n, 0);
	free(keys);
}

static void a_key_is_revoked_by_id_or_hint(void **state)
{
	struct key key;

	(void)state;
	put_key(&ours, "h1", "sk-1", NOW);
	put_key(&ours, "h2", "sk-2", NOW);
	MUST(store_key_find(store, "h1", &key, &err));
	MUST(store_key_revoke(store, key.id, NOW, &err));
	FAILS(store_key_find(store, "h1", &key, &err), BAD_KEY);
	MUST(store_key_revoke(store, "sk-2", NOW, &err));
	FAILS(store_key_find(store, "h2", &key, &err), BAD_KEY);
	FAILS(store_key_revoke(store, "sk-3", NOW, &err), NOT_FOUND);
}

static void a_hint_of_several_keys_revokes_none(void **state)
{
	struct key key;

	(void)state;
	put_key(&ours, "h1", "sk-x", NOW);
	put_key(&ours, "h2", "sk-x", NOW);
	FAILS(store_key_revoke(store, "sk-x", NOW, &err), INVALID);
	MUST(store_key_find(store, "h1", &key, &err));
	MUST(store_key_revoke(store, key.id, NOW, &err));
	MUST(store_key_revoke(store, "sk-x", NOW, &err)); /* one is left that it can mean */
	FAILS(store_key_find(store, "h2", &key, &err), BAD_KEY);
}

static void revoking_again_keeps_the_first_time(void **state)
{
	struct key *keys;
	size_t n;

	(void)state;
	put_key(&ours, "h1", "sk-1", NOW);
	MUST(store_key_revoke(store, "sk-1", NOW + 1, &err));
	MUST(store_key_revoke(store, "sk-1", NOW + 2, &err));
	MUST(store_key_list(store, ours.id, &keys, &n, &err));
	assert_int_equal(keys[0].revoked_at, NOW + 1);
	free(keys);
}

/* E15. */
static void a_suspended_organizations_keys_say_so(void **state)
{
	struct key key;
	struct org *orgs;
	char(*ids)[ID_SIZE];
	size_t n;

	(void)state;
	put_key(&ours, "h1", "sk-1", NOW);
	put_key(&theirs, "h2", "sk-2", NOW);
	MUST(store_key_find(store, "h1", &key, &err));
	assert_false(key.suspended);
	FAILS(store_org_suspend(store, "nobody", NOW, false, &err), NOT_FOUND);
	MUST(store_org_suspend(store, "ours", NOW, false, &err));
	MUST(store_org_suspend(store, "ours", NOW + 9, false, &err));
	MUST(store_key_find(store, "h1", &key, &err));
	assert_true(key.suspended);
	MUST(store_key_find(store, "h2", &key, &err));
	assert_false(key.suspended);
	MUST(store_orgs_suspended(store, NULL, &ids, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(ids[0], ours.id);
	free(ids);
	MUST(store_orgs_suspended(store, theirs.id, &ids, &n, &err));
	assert_int_equal(n, 0);
	free(ids);
	MUST(store_org_list(store, &orgs, &n, &err));
	assert_int_equal(orgs[0].suspended_at, NOW);
	assert_int_equal(orgs[1].suspended_at, 0);
	free(orgs);
	MUST(store_org_suspend(store, "ours", 0, false, &err));
	MUST(store_key_find(store, "h1", &key, &err));
	assert_false(key.suspended);
}

static void an_organization_has_limits_of_its_own(void **state)
{
	int64_t limits[ORG_LIMITS];
	struct key key;

	(void)state;
	put_key(&ours, "h1", "sk-1", NOW);
	MUST(store_key_find(store, "h1", &key, &err));
	for (unsigned i = 0; i < ORG_LIMITS; i++)
		assert_int_equal(key.limits[i], LIMIT_AS_CONFIGURED);
	MUST(store_org_limit(store, "ours", LIMIT_UPLOADS, 5, &err));
	MUST(store_org_limit(store, "ours", LIMIT_UPLOADS, 6, &err));
	MUST(store_org_limit(store, "ours", LIMIT_BYTES, 0, &err));
	MUST(store_org_limit(store, "theirs", LIMIT_UPLOADS, 1, &err));
	FAILS(store_org_limit(store, "nobody", LIMIT_UPLOADS, 1, &err), NOT_FOUND);
	FAILS(store_org_limit(store, "nobody", LIMIT_UPLOADS, LIMIT_AS_CONFIGURED, &err),
	      NOT_FOUND);
	MUST(store_key_find(store, "h1", &key, &err));
	assert_int_equal(key.limits[LIMIT_UPLOADS], 6);
	assert_int_equal(key.limits[LIMIT_BYTES], 0);
	assert_int_equal(key.limits[LIMIT_FILES], LIMIT_AS_CONFIGURED);
	MUST(store_org_limit(store, "ours", LIMIT_UPLOADS, LIMIT_AS_CONFIGURED, &err));
	reopen();
	MUST(store_org_limits(store, ours.id, limits, &err));
	assert_int_equal(limits[LIMIT_UPLOADS], LIMIT_AS_CONFIGURED);
	assert_int_equal(limits[LIMIT_BYTES], 0);
}

static void an_organization_changes_as_a_whole(void **state)
{
	struct org_change change = { .weight = 7 };
	int64_t limits[ORG_LIMITS];
	struct key key;
	struct org org;

	(void)state;
	put_key(&ours, "h1", "sk-1", NOW);
	MUST(store_key_find(store, "h1", &key, &err));
	change.limits[LIMIT_FILES].changes = change.limits[LIMIT_BYTES].changes = true;
	change.limits[LIMIT_FILES].to = 5;
	change.limits[LIMIT_BYTES].to = LIMIT_AS_CONFIGURED;
	MUST(store_org_limit(store, "ours", LIMIT_BYTES, 1, &err));
	MUST(store_org_limit(store, "ours", LIMIT_UPLOADS, 2, &err));
	MUST(store_org_change(store, "ours", &change, &err));
	MUST(store_org_get(store, "ours", &org, &err));
	assert_int_equal(org.weight, 7);
	MUST(store_org_limits(store, ours.id, limits, &err));
	assert_int_equal(limits[LIMIT_FILES], 5);
	assert_int_equal(limits[LIMIT_BYTES], LIMIT_AS_CONFIGURED);
	assert_int_equal(limits[LIMIT_UPLOADS], 2);
	MUST(store_key_find(store, "h1", &key, &err));
	assert_int_equal(key.limits[LIMIT_FILES], 5);
	MUST(store_org_change(store, "ours", &(struct org_change){ 0 }, &err));
	MUST(store_org_get(store, "ours", &org, &err));
	assert_int_equal(org.weight, 7);
	FAILS(store_org_change(store, "nobody", &change, &err), NOT_FOUND);
}

static uint64_t clock_ms;

static uint64_t fake_ms(void)
{
	return clock_ms;
}

/* A key that is known is not asked for again; what this process revokes counts at once. */
static void a_known_key_is_found_in_memory(void **state)
{
	struct sys real = sys;
	struct key key, again;

	(void)state;
	put_key(&ours, "h1", "sk-1", NOW);
	MUST(store_key_find(store, "h1", &key, &err));
	db_close(TAKE(store->keys.db)); /* nothing could be asked any more */
	sys.monotonic_ms = fake_ms;
	clock_ms = store->keys.asked_ms + KEY_CHECK_MS - 1;
	MUST(store_key_find(store, "h1", &again, &err));
	sys = real;
	assert_memory_equal(&again, &key, sizeof(key));
}

/* `lowtide key` beside a running server. */
static void another_process_is_seen_at_once(void **state)
{
	struct sys real = sys;
	struct store *other;
	struct key key;

	(void)state;
	MUST(place_open_as(&other));
	for (int i = 0; i < 20; i++) {
		char hash[16];
		snprintf(hash, sizeof(hash), "hash-%d", i);
		MUST(store_key_create(other, key_of(ours.id, "sk-1"), hash, &err));
		err = (struct error){ 0 };
		MUST(store_key_find(store, hash, &key, &err));
		MUST(store_key_find(store, hash, &key, &err));
		MUST(store_key_revoke(other, key.id, NOW, &err));
		sys.monotonic_ms = fake_ms;
		clock_ms = store->keys.asked_ms;
		do /* PostgreSQL's word of it is on its way: the suite's time-out is the bound */
			clock_ms += KEY_CHECK_MS;
		while (store_key_find(store, hash, &key, &err) && postgres_url[0] != '\0');
		assert_int_equal(err.kind, ERR_BAD_KEY);
		sys = real;
	}
	store_close(other);
	put_key(&ours, "after", "sk-2", NOW); /* its going disturbs no other */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(an_organization_is_made_once),
		WITH_STORE(a_name_has_1_to_127_bytes),
		WITH_STORE(organizations_are_listed_by_name_with_their_keys),
		WITH_STORE(an_organization_has_a_weight),
		WITH_STORE(a_key_is_found_by_its_hash),
		WITH_STORE(the_same_hash_again_changes_nothing),
		WITH_STORE(a_key_needs_an_organization),
		WITH_STORE(keys_are_listed_oldest_first),
		WITH_STORE(a_key_is_revoked_by_id_or_hint),
		WITH_STORE(a_hint_of_several_keys_revokes_none),
		WITH_STORE(revoking_again_keeps_the_first_time),
		WITH_STORE(a_suspended_organizations_keys_say_so),
		WITH_STORE(an_organization_has_limits_of_its_own),
		WITH_STORE(an_organization_changes_as_a_whole),
		WITH_STORE(a_known_key_is_found_in_memory),
		WITH_STORE(another_process_is_seen_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Ids: their forms (contract 2.2), and a million of each without a repeat (contract 16.2). */
#include "unit.h"

#include <pthread.h>

#include "base/id.h"

#define BASE62 "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define HEX "0123456789abcdef"
#define MILLION 1000000

static void secret(char ret[static ID_SIZE + 16])
{
	id_secret(ret);
}

static const struct form {
	void (*make)(char *ret);
	const char *prefix;
	const char *alphabet;
	size_t n;
} forms[] = {
	{ id_file, "file-", BASE62, 24 },
	{ id_batch, "batch_", HEX, 32 },
	{ id_batch_request, "batch_req_", BASE62, 24 },
	{ id_request, "req_", HEX, 32 },
	{ id_event, "evt_", HEX, 32 },
	{ id_delivery, "wh_", HEX, 32 },
	{ id_endpoint, "we_", HEX, 32 },
	{ id_org, "org-", BASE62, 24 },
	{ id_key, "key_", BASE62, 24 },
	{ secret, "sk-", BASE62, 48 },
};

static void each_id_has_its_form(void **state)
{
	char id[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		const struct form *f = &forms[i];
		size_t prefix_n = strlen(f->prefix);
		for (int round = 0; round < 1000; round++) {
			f->make(id);
			assert_int_equal(strncmp(id, f->prefix, prefix_n), 0);
			assert_int_equal(strlen(id), prefix_n + f->n);
			assert_int_equal(strspn(id + prefix_n, f->alphabet), f->n);
			if (f->make != secret)
				assert_true(strlen(id) < ID_SIZE);
		}
	}
}

/* A set of 64-bit fingerprints, open addressing. That two different ids share one happens once in
 * 30 million runs of this test. */
#define SLOTS (1u << 21)

static bool set_add(uint64_t *slots, const char *id)
{
	uint64_t print = UINT64_C(0xcbf29ce484222325); /* FNV-1a, eight bytes a turn */
	size_t n = strlen(id);

	for (size_t i = 0; i < n; i += 8) {
		uint64_t eight = 0;
		memcpy(&eight, id + i, n - i < 8 ? n - i : 8);
		print = (print ^ eight) * UINT64_C(0x9E3779B97F4A7C15);
		print ^= print >> 29;
	}
	print += print == 0; /* 0 marks a free slot */
	for (size_t at = print % SLOTS;; at = (at + 1) % SLOTS) {
		if (slots[at] == print)
			return false;
		if (slots[at] == 0) {
			slots[at] = print;
			return true;
		}
	}
}

static void a_million_of_each_have_no_repeat(void **state)
{
	uint64_t *slots = malloc(SLOTS * sizeof(*slots));
	char id[64];

	(void)state;
	assert_non_null(slots);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		/* No id, but a key; and each costs a system call: fewer of them. */
		int count = forms[i].make == secret ? MILLION / 100 : MILLION;
		memset(slots, 0, SLOTS * sizeof(*slots));
		for (int round = 0; round < count; round++) {
			forms[i].make(id);
			if (!set_add(slots, id))
				fail_msg("%s came twice", id);
		}
	}
	free(slots);
}

static void no_character_is_likelier_than_another(void **state)
{
	uint64_t seen[128] = { 0 };
	char id[ID_SIZE];

	(void)state;
	for (int round = 0; round < MILLION / 4; round++) {
		id_file(id);
		for (const char *c = id + strlen("file-"); *c != '\0'; c++)
			seen[(unsigned char)*c]++;
	}
	/* 6 million draws: 96,774 of each, standard deviation 309. Without the rejection the first
	 * eight would have 117,188 and the others 93,750. */
	for (const char *c = BASE62; *c != '\0'; c++)
		assert_in_range(seen[(unsigned char)*c], 96774 - 7 * 309, 96774 + 7 * 309);
}

#define THREADS 4
#define PER_THREAD 10000

static void *make_ids(void *arg)
{
	char(*ids)[ID_SIZE] = arg;

	for (int i = 0; i < PER_THREAD; i++)
		id_batch_request(ids[i]);
	return NULL;
}

static void threads_draw_from_different_pools(void **state)
{
	char(*ids)[ID_SIZE] = calloc(THREADS * PER_THREAD, ID_SIZE);
	uint64_t *slots = calloc(SLOTS, sizeof(*slots));
	pthread_t threads[THREADS];

	(void)state;
	assert_true(ids != NULL && slots != NULL);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_ids, ids + i * PER_THREAD),
				 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS * PER_THREAD; i++)
		assert_true(set_add(slots, ids[i]));
	free(slots);
	free(ids);
}

static void a_secret_is_kept_as_its_sha256(void **state)
{
	char hash[65];

	(void)state;
	id_secret_hash(SLICE("abc"), hash);
	assert_string_equal(hash,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	id_secret_hash((struct slice){ NULL, 0 }, hash);
	assert_string_equal(hash,
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_id_has_its_form),
		cmocka_unit_test(a_million_of_each_have_no_repeat),
		cmocka_unit_test(no_character_is_likelier_than_another),
		cmocka_unit_test(threads_draw_from_different_pools),
		cmocka_unit_test(a_secret_is_kept_as_its_sha256),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* key_cache.c: a slot for each beginning of a hash; the last key of it that was found has it. */
#include "store/key_cache.h"

#include "base/sys.h"
#include "store/store_priv.h"

#define SLOTS 1024u

struct key_slot {
	char hash[65]; /* "": empty */
	uint64_t round;
	struct key key;
};

bool key_cache_open(struct key_cache *c, struct store *s, const struct db_kind *kind,
		    const char *where, struct error *err)
{
	c->slots = calloc(SLOTS, sizeof(*c->slots));
	if (c->slots == NULL)
		return fail_memory(err);
	if (!db_open(kind, s, where, DB_READS, &c->db, err))
		return false;
	db_wait(c->db, KEY_WAIT_MS);
	return true;
}

void key_cache_close(struct key_cache *c)
{
	db_close(c->db);
	free(TAKE(c->slots));
}

/* Hashes are even already. */
static struct key_slot *slot_of(struct key_cache *c, const char *hash)
{
	uint32_t h = 2166136261u;

	for (unsigned i = 0; i < 8 && hash[i] != '\0'; i++)
		h = (h ^ (unsigned char)hash[i]) * 16777619u;
	return &c->slots[h % SLOTS];
}

/* Forgets what may no longer be so. */
static void check(struct key_cache *c)
{
	uint64_t now_ms = sys.monotonic_ms();
	struct error err;
	int64_t version;

	if (c->asked_ms != 0 && now_ms - c->asked_ms < KEY_CHECK_MS)
		return;
	c->asked_ms = now_ms;
	bool told = db_version(c->db, &version, &err);
	if (told ? version != c->data_version : now_ms - c->known_ms > KEY_STALE_MS)
		c->round++;
	if (!told)
		return;
	c->data_version = version;
	c->known_ms = now_ms;
}

static bool look(struct key_cache *c, const char *hash, struct key *ret, struct error *err)
{
	AUTO(query_done) struct query q = query(c->db, SQL_key_find, VALUES(txt(hash)));
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	if (!found)
		return fail(err, ERR_BAD_KEY, "Incorrect API key provided");
	return key_read(&q, ret, err) && org_limits_read(c->db, ret->org, ret->limits, err);
}

bool key_cache_find(struct key_cache *c, const char *hash, struct key *ret, struct error *err)
{
	pthread_mutex_lock(&c->lock);
	check(c);
	struct key_slot *slot = slot_of(c, hash);
	bool found = slot->round == c->round && strcmp(slot->hash, hash) == 0;
	if (!found) {
		*slot = (struct key_slot){ .round = c->round };
		found = look(c, hash, &slot->key, err);
		if (found && !slice_copy(slice_of(hash), slot->hash, sizeof(slot->hash)))
			slot->hash[0] = '\0';
	}
	if (found)
		*ret = slot->key;
	pthread_mutex_unlock(&c->lock);
	return found;
}

void key_cache_forget(struct key_cache *c)
{
	pthread_mutex_lock(&c->lock);
	c->round++;
	pthread_mutex_unlock(&c->lock);
}

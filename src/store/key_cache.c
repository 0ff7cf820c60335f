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

void key_cache_init(struct key_cache *c)
{
	pthread_mutex_init(&c->asks, NULL);
	pthread_mutex_init(&c->lock, NULL);
}

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
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->asks);
}

/* Hashes are even already. */
static struct key_slot *slot_of(struct key_cache *c, const char *hash)
{
	uint32_t h = 2166136261u;

	for (unsigned i = 0; i < 8 && hash[i] != '\0'; i++)
		h = (h ^ (unsigned char)hash[i]) * 16777619u;
	return &c->slots[h % SLOTS];
}

/* Forgets what may no longer be so. While somebody asks for a key the version cannot be asked for: then
 * it is the next time. */
static void check(struct key_cache *c)
{
	uint64_t now_ms = sys.monotonic_ms();
	struct error err;
	int64_t version = 0;
	bool told = false;

	if (c->asked_ms != 0 && now_ms - c->asked_ms < KEY_CHECK_MS)
		return;
	if (pthread_mutex_trylock(&c->asks) == 0) {
		c->asked_ms = now_ms;
		told = db_version(c->db, &version, &err);
		pthread_mutex_unlock(&c->asks);
	}
	if (told ? version != c->data_version : now_ms - c->known_ms > KEY_STALE_MS)
		c->round++;
	if (!told)
		return;
	c->data_version = version;
	c->known_ms = now_ms;
}

/* NULL: it is not in memory. */
static const struct key *known(struct key_cache *c, const char *hash)
{
	const struct key_slot *slot = slot_of(c, hash);

	check(c);
	return slot->round == c->round && strcmp(slot->hash, hash) == 0 ? &slot->key : NULL;
}

bool key_cache_knows(struct key_cache *c, const char *hash)
{
	pthread_mutex_lock(&c->lock);
	bool knows = known(c, hash) != NULL;
	pthread_mutex_unlock(&c->lock);
	return knows;
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

/* What was looked up in another round may be older than what has been forgotten since. */
static void keep(struct key_cache *c, uint64_t round, const char *hash, const struct key *key)
{
	struct key_slot *slot = slot_of(c, hash);

	pthread_mutex_lock(&c->lock);
	if (round == c->round && slice_copy(slice_of(hash), slot->hash, sizeof(slot->hash))) {
		slot->round = round;
		slot->key = *key;
	}
	pthread_mutex_unlock(&c->lock);
}

bool key_cache_find(struct key_cache *c, const char *hash, struct key *ret, struct error *err)
{
	pthread_mutex_lock(&c->lock);
	const struct key *key = known(c, hash);
	uint64_t round = c->round;
	if (key != NULL)
		*ret = *key;
	pthread_mutex_unlock(&c->lock);
	if (key != NULL)
		return true;
	pthread_mutex_lock(&c->asks);
	bool found = look(c, hash, ret, err);
	pthread_mutex_unlock(&c->asks);
	if (found)
		keep(c, round, hash, ret);
	return found;
}

bool key_cache_uploads(struct key_cache *c, const char *org, uint64_t *ret, struct error *err)
{
	int64_t pending = 0;

	pthread_mutex_lock(&c->asks);
	bool good = sql_number(c->db, SQL_org_uploads, VALUES(txt(org)), &pending, err);
	pthread_mutex_unlock(&c->asks);
	*ret = (uint64_t)pending;
	return good;
}

uint64_t key_cache_round(struct key_cache *c)
{
	pthread_mutex_lock(&c->lock);
	check(c);
	uint64_t round = c->round;
	pthread_mutex_unlock(&c->lock);
	return round;
}

void key_cache_forget(struct key_cache *c)
{
	pthread_mutex_lock(&c->lock);
	c->round++;
	pthread_mutex_unlock(&c->lock);
}

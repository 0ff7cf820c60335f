/* events_keys.c: who was let in by a key that has been revoked since, or whose organization is suspended,
 * is told no more. Keys are in memory (store/key_cache.h). */
#include "api/auth.h"
#include "api/events_impl.h"

struct keys_look {
	struct store *store;
	bool stuck; /* the store does not answer: the next tick asks again */
};

/* A long poll that is being answered ends by itself. */
static void key_look(void *ctx, struct event_listener *l)
{
	struct keys_look *look = ctx;
	struct error err;
	struct key key;

	if (look->stuck || l->ended || auth_key(look->store, l->key_hash, &key, &err))
		return;
	look->stuck = err.kind != ERR_BAD_KEY && err.kind != ERR_FORBIDDEN;
	if (look->stuck)
		return;
	if (!l->headed)
		listener_fail(l, &err);
	else if (l->kind != LISTENER_WAIT)
		listener_end(l);
}

void events_keys_look(struct events *e)
{
	struct keys_look look = { .store = e->api->store };

	feeds_each(&e->feeds, key_look, &look);
}

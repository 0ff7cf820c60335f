/* store.c: a store's connections: one that writes, a few that read. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "store/db_kind.h"
#include "store/store_priv.h"

/* ---- opening ---- */

/* SQLite gives its other files the mode of this one: hashes of keys and names of files are readable
 * by their owner alone. Only a file that was not there is ever opened by us, because closing one
 * that is open in SQLite too would drop SQLite's locks. */
static bool create_private(const char *path, struct error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno != EEXIST)
		return fail_sys(err, errno, "creating %s", path);
	if (fd >= 0)
		close(fd);
	return true;
}

static bool open_connections(struct store *s, const struct db_kind *kind, const char *where,
			     struct error *err)
{
	if (!db_open(kind, s, where, DB_WRITES, &s->writer, err) ||
	    !key_cache_open(&s->keys, s, kind, where, err))
		return false;
	for (int i = 0; i < READERS; i++) {
		if (!db_open(kind, s, where, DB_READS, &s->readers[i], err))
			return false;
		s->readers[i]->next_idle = s->idle;
		s->idle = s->readers[i];
	}
	return true;
}

bool store_open_with(const struct db_kind *kind, const char *where, struct store **ret,
		     struct error *err)
{
	struct store *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return fail_memory(err);
	s->waits = kind->waits;
	s->write_wait_ms = WRITE_WAIT_MS;
	pthread_mutex_init(&s->turn_lock, NULL);
	clock_cond_init(&s->turn_free);
	pthread_cond_init(&s->turn_idle, NULL);
	pthread_cond_init(&s->group_over, NULL);
	pthread_mutex_init(&s->watch_lock, NULL);
	key_cache_init(&s->keys);
	pthread_mutex_init(&s->idle_lock, NULL);
	pthread_cond_init(&s->idle_more, NULL);
	if (!open_connections(s, kind, where, err)) {
		store_close(s);
		return false;
	}
	*ret = s;
	return true;
}

bool store_open(const char *data_dir, struct store **ret, struct error *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/meta.db", data_dir) >= (int)sizeof(path))
		return fail_sys(err, ENAMETOOLONG, "%s/meta.db", data_dir);
	return create_private(path, err) && store_open_with(&db_sqlite, path, ret, err);
}

bool store_connect(const char *url, struct store **ret, struct error *err)
{
	return store_open_with(&db_postgres, url, ret, err);
}

bool store_open_at(const struct store_place *at, struct store **ret, struct error *err)
{
	return at->url != NULL ? store_connect(at->url, ret, err)
			       : store_open(at->data_dir, ret, err);
}

bool store_claim(struct store *s, struct error *err)
{
	turn_take(s);
	bool good = db_claim(s->writer, err);
	turn_end(s);
	return good;
}

bool store_share(struct store *s, struct error *err)
{
	turn_take(s);
	bool good = db_share(s->writer, err);
	s->shared = s->shared || good;
	turn_end(s);
	return good;
}

bool store_is_shared(const struct store *s)
{
	return s->shared;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	for (int i = 0; i < READERS; i++)
		db_close(s->readers[i]);
	key_cache_close(&s->keys);
	db_close(s->writer); /* the last one out folds the log into the database */
	pthread_cond_destroy(&s->idle_more);
	pthread_mutex_destroy(&s->idle_lock);
	pthread_cond_destroy(&s->group_over);
	pthread_cond_destroy(&s->turn_idle);
	pthread_cond_destroy(&s->turn_free);
	pthread_mutex_destroy(&s->watch_lock);
	pthread_mutex_destroy(&s->turn_lock);
	free(s);
}

bool store_waits(const struct store *s)
{
	return s->waits;
}

/* ---- readers ---- */

struct db *reader_borrow(struct store *s)
{
	pthread_mutex_lock(&s->idle_lock);
	while (s->idle == NULL)
		pthread_cond_wait(&s->idle_more, &s->idle_lock);
	struct db *db = s->idle;
	s->idle = db->next_idle;
	pthread_mutex_unlock(&s->idle_lock);
	return db;
}

void reader_return(struct db **db)
{
	struct store *s = (*db)->store;

	pthread_mutex_lock(&s->idle_lock);
	(*db)->next_idle = s->idle;
	s->idle = *db;
	pthread_cond_signal(&s->idle_more);
	pthread_mutex_unlock(&s->idle_lock);
}

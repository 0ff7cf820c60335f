/* store.c: a store's connections: one that writes, a few that read. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
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

static bool open_connections(struct store *s, const char *path, struct error *err)
{
	s->writer.store = s;
	if (!db_open(&s->writer, path, err) || !db_migrate(&s->writer, err) ||
	    !db_prepare(&s->writer, err) || !key_cache_open(&s->keys, s, path, err))
		return false;
	for (int i = 0; i < READERS; i++) {
		struct db *db = &s->readers[i];
		if (!db_open(db, path, err) || !db_prepare(db, err) ||
		    !db_exec(db, "PRAGMA query_only = ON", err))
			return false;
		db->store = s;
		db->next_idle = s->idle;
		s->idle = db;
	}
	return true;
}

bool store_open(const char *data_dir, struct store **ret, struct error *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/meta.db", data_dir) >= (int)sizeof(path))
		return fail_sys(err, ENAMETOOLONG, "%s/meta.db", data_dir);
	if (!create_private(path, err))
		return false;
	struct store *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return fail_memory(err);
	s->write_wait_ms = WRITE_WAIT_MS;
	pthread_mutex_init(&s->turn_lock, NULL);
	clock_cond_init(&s->turn_free);
	pthread_mutex_init(&s->keys.lock, NULL);
	pthread_mutex_init(&s->idle_lock, NULL);
	pthread_cond_init(&s->idle_more, NULL);
	if (!open_connections(s, path, err)) {
		store_close(s);
		return false;
	}
	*ret = s;
	return true;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	for (int i = 0; i < READERS; i++)
		db_close(&s->readers[i]);
	key_cache_close(&s->keys);
	db_close(&s->writer); /* the last one out folds the log into the database */
	pthread_cond_destroy(&s->idle_more);
	pthread_mutex_destroy(&s->idle_lock);
	pthread_mutex_destroy(&s->keys.lock);
	pthread_cond_destroy(&s->turn_free);
	pthread_mutex_destroy(&s->turn_lock);
	free(s);
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

/* ---- transactions ---- */

#define LOCKED_TELL_MS 60000
#define TURN_WAIT_MS 60000
#define LOCKED_WAIT_MS 250

/* Our own writers, before this one: each takes as long as the disk does. */
static bool turn_wait(struct store *s)
{
	struct timespec end = clock_after_ms(TURN_WAIT_MS);

	pthread_mutex_lock(&s->turn_lock);
	while (s->writing && pthread_cond_timedwait(&s->turn_free, &s->turn_lock, &end) == 0)
		;
	bool ours = !s->writing;
	s->writing = true;
	pthread_mutex_unlock(&s->turn_lock);
	return ours;
}

void turn_take(struct store *s)
{
	pthread_mutex_lock(&s->turn_lock);
	while (s->writing)
		pthread_cond_wait(&s->turn_free, &s->turn_lock);
	s->writing = true;
	pthread_mutex_unlock(&s->turn_lock);
}

void turn_end(struct store *s)
{
	pthread_mutex_lock(&s->turn_lock);
	s->writing = false;
	pthread_cond_signal(&s->turn_free);
	pthread_mutex_unlock(&s->turn_lock);
}

/* How long to wait for another process, by the kernel's clock, as SQLite waits. Once a writer has
 * waited for it in vain the others, who are behind it, wait LOCKED_WAIT_MS at most, their time
 * behind it counted: many give up together and not one after another. */
static unsigned wait_ms(const struct store *s, uint64_t entered_ms)
{
	uint64_t waited_ms = clock_ms() - entered_ms;

	if (s->locked_at_ms == 0)
		return s->write_wait_ms;
	return waited_ms < LOCKED_WAIT_MS ? (unsigned)(LOCKED_WAIT_MS - waited_ms) : 1;
}

/* Logged once a minute: an operator has to find the process that holds it. */
static void log_locked(struct store *s, const struct error *err)
{
	if (s->locked_told_ms != 0 && s->locked_at_ms - s->locked_told_ms < LOCKED_TELL_MS)
		return;
	s->locked_told_ms = s->locked_at_ms;
	log_warn("store.locked", kv_u64("waited_ms", s->write_wait_ms),
		 kv_str("why", "another process holds the write lock of meta.db"),
		 kv_str("detail", err->detail));
}

bool txn_begin(struct txn *t, struct store *s, struct error *err)
{
	uint64_t entered_ms = clock_ms();

	if (!turn_wait(s))
		return fail(err, ERR_UNAVAILABLE,
			    "The server is busy with other changes. Try again in a moment.");
	db_wait(&s->writer, wait_ms(s, entered_ms));
	if (!sql_run(&s->writer, SQL_begin, VALUES(), NULL, err)) {
		if (err->kind == ERR_UNAVAILABLE) {
			s->locked_at_ms = clock_ms();
			log_locked(s, err);
		}
		turn_end(s);
		return false;
	}
	s->locked_at_ms = 0;
	t->db = &s->writer;
	return true;
}

/* A commit that fails may have rolled back already, or not. */
bool txn_commit(struct txn *t, struct error *err)
{
	int fault = failpoint("store.commit");

	if (fault != 0)
		return fail_sys(err, fault, "failpoint store.commit");
	if (!sql_run(t->db, SQL_commit, VALUES(), NULL, err))
		return false;
	struct store *s = t->db->store;
	if (s->outbox_filled && s->outbox != NULL)
		s->outbox(s->outbox_ctx);
	return true;
}

void txn_end(struct txn *t)
{
	struct error ignored; /* after a rollback no transaction is open, whatever it returned */

	if (t->db == NULL)
		return;
	if (!sqlite3_get_autocommit(t->db->handle))
		(void)!sql_run(t->db, SQL_rollback, VALUES(), NULL, &ignored);
	t->db->store->outbox_filled = false;
	turn_end(t->db->store);
}

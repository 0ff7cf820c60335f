/* txn.c: transactions of several threads that are one of SQLite's, with one commit and one sync.
 *
 *	A   begin, changes, commit --> waits ............................... durable
 *	B        (its turn)            begin, changes, commit --> waits .... durable
 *	C                                   (its turn)      begin, changes, COMMIT
 *
 * Who has the turn when nobody waits for it any more commits for all. Changes are seen by readers,
 * and told, only then: SQLite shows a commit once it is synced. A member that fails is rolled back
 * alone, to its savepoint, and waits for the others, too, since it may have read what they changed.
 * A commit that fails, or a failure at which SQLite rolls all back, fails every member.
 *
 * crash: before the commit is synced, none of a group has happened, and nobody was told that any
 * has; after it, all have, whoever was told. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "store/store_priv.h"

#define LOCKED_TELL_MS 60000
#define TURN_WAIT_MS 60000
#define LOCKED_WAIT_MS 250
#define GROUP_MOST 64u /* members: who came first does not wait for ever */

/* ---- turns ---- */

/* Our own writers, before this one: each takes as long as the disk does. */
static bool turn_wait(struct store *s)
{
	struct timespec end = clock_after_ms(TURN_WAIT_MS);

	pthread_mutex_lock(&s->turn_lock);
	s->turns_asked++;
	while (s->writing && pthread_cond_timedwait(&s->turn_free, &s->turn_lock, &end) == 0)
		;
	s->turns_asked--;
	bool ours = !s->writing;
	s->writing = true;
	pthread_mutex_unlock(&s->turn_lock);
	return ours;
}

void turn_take(struct store *s)
{
	pthread_mutex_lock(&s->turn_lock);
	while (s->writing || s->group.n > 0)
		pthread_cond_wait(&s->turn_idle, &s->turn_lock);
	s->writing = true;
	pthread_mutex_unlock(&s->turn_lock);
}

static void turn_end_locked(struct store *s)
{
	s->writing = false;
	pthread_cond_signal(&s->turn_free);
	if (s->group.n == 0)
		pthread_cond_broadcast(&s->turn_idle);
}

void turn_end(struct store *s)
{
	pthread_mutex_lock(&s->turn_lock);
	turn_end_locked(s);
	pthread_mutex_unlock(&s->turn_lock);
}

/* ---- a group: its members wait, but for the one that has the turn ---- */

static void member_add(struct store *s, struct txn *t, struct error *err)
{
	t->outbox = s->outbox_filled;
	s->outbox_filled = false;
	t->err = err;
	t->next = NULL;
	pthread_mutex_lock(&s->turn_lock);
	*(s->group.n++ > 0 ? &s->group.last->next : &s->group.first) = t;
	s->group.last = t;
	pthread_mutex_unlock(&s->turn_lock);
}

static bool told_later(const struct txn *t)
{
	for (const struct txn *later = t->next; later != NULL; later = later->next)
		if (strcmp(later->tell, t->tell) == 0)
			return true;
	return false;
}

/* The turn is still this thread's, so nothing has moved since the commit. A batch that moved twice is
 * told as it is in the end. */
static void group_tell(struct store *s)
{
	bool outbox = false;

	for (struct txn *t = s->group.first; t != NULL; t = t->next) {
		outbox |= t->outbox;
		if (t->tell[0] != '\0' && !told_later(t))
			t->tells(s->writer, t->tell);
	}
	if (outbox && s->outbox != NULL)
		s->outbox(s->outbox_ctx);
}

/* All members have come to an end; with `why` none of their changes is there. Ends the turn. */
static void group_end(struct store *s, const struct error *why)
{
	pthread_mutex_lock(&s->turn_lock);
	for (struct txn *t = s->group.first, *next; t != NULL; t = next) {
		next = t->next;
		t->durable = why == NULL;
		if (why != NULL)
			*t->err = *why;
		t->over = true; /* the last that is done with `t` */
	}
	s->group = (struct txn_group){ 0 };
	pthread_cond_broadcast(&s->group_over);
	turn_end_locked(s);
	pthread_mutex_unlock(&s->turn_lock);
}

static void roll_back(struct store *s)
{
	struct error ignored; /* after a rollback no transaction is open, whatever it returned */

	if (db_in_transaction(s->writer))
		(void)!sql_run(s->writer, SQL_rollback, VALUES(), NULL, &ignored);
}

/* A commit that fails may have rolled back already, or not. */
static void group_commit(struct store *s)
{
	struct error err;
	bool ok = sql_run(s->writer, SQL_commit, VALUES(), NULL, &err);

	if (ok)
		group_tell(s);
	else
		roll_back(s);
	group_end(s, ok ? NULL : &err);
}

/* Who has the turn of a group with members is done: the next one goes on, if there is one. */
static void group_go_on(struct store *s)
{
	pthread_mutex_lock(&s->turn_lock);
	bool passed = s->turns_asked > 0 && s->group.n < GROUP_MOST;
	if (passed)
		turn_end_locked(s);
	pthread_mutex_unlock(&s->turn_lock);
	if (!passed)
		group_commit(s);
}

static void member_wait(struct store *s, const struct txn *t)
{
	pthread_mutex_lock(&s->turn_lock);
	while (!t->over)
		pthread_cond_wait(&s->group_over, &s->turn_lock);
	pthread_mutex_unlock(&s->turn_lock);
}

/* ---- begin ---- */

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

/* Logged once a minute: an operator has to find the process that holds it, or what ails PostgreSQL. */
static void log_locked(struct store *s, const struct error *err)
{
	if (s->locked_told_ms != 0 && s->locked_at_ms - s->locked_told_ms < LOCKED_TELL_MS)
		return;
	s->locked_told_ms = s->locked_at_ms;
	if (s->waits)
		log_warn("store.away", kv_str("why", err->message), kv_str("detail", err->detail));
	else
		log_warn("store.locked", kv_u64("waited_ms", s->write_wait_ms),
			 kv_str("why", "another process holds the write lock of meta.db"),
			 kv_str("detail", err->detail));
}

static bool first_begin(struct store *s, uint64_t entered_ms, struct error *err)
{
	db_wait(s->writer, wait_ms(s, entered_ms));
	if (sql_run(s->writer, SQL_begin, VALUES(), NULL, err)) {
		s->locked_at_ms = 0;
		return true;
	}
	if (err->kind == ERR_UNAVAILABLE) {
		s->locked_at_ms = clock_ms();
		log_locked(s, err);
	}
	turn_end(s);
	return false;
}

bool txn_begin(struct txn *t, struct store *s, struct error *err)
{
	uint64_t entered_ms = clock_ms();

	if (!turn_wait(s))
		return fail(err, ERR_UNAVAILABLE,
			    "The server is busy with other changes. Try again in a moment.");
	t->further = s->group.n > 0;
	if (!t->further && !first_begin(s, entered_ms, err))
		return false;
	if (t->further && !sql_run(s->writer, SQL_savepoint, VALUES(), NULL, err)) {
		group_go_on(s);
		return false;
	}
	t->db = s->writer;
	return true;
}

/* ---- commit, or not ---- */

bool txn_commit(struct txn *t, struct error *err)
{
	struct store *s = t->db->store;
	int fault = failpoint("store.commit");

	if (fault != 0)
		return fail_sys(err, fault, "failpoint store.commit");
	if (t->further && !sql_run(t->db, SQL_savepoint_keep, VALUES(), NULL, err))
		return false;
	member_add(s, t, err);
	group_go_on(s);
	member_wait(s, t);
	t->db = NULL;
	return t->durable;
}

void txn_tell(struct txn *t, const char *batch_id, tell_fn tells)
{
	t->tells = tells;
	snprintf(t->tell, sizeof(t->tell), "%s", batch_id);
}

/* Back to where it began. False: SQLite has rolled all back, or has to. */
static bool member_undo(struct store *s)
{
	struct error ignored; /* the group's others get the one before it */

	return db_in_transaction(s->writer) &&
	       sql_run(s->writer, SQL_savepoint_undo, VALUES(), NULL, &ignored) &&
	       sql_run(s->writer, SQL_savepoint_keep, VALUES(), NULL, &ignored);
}

bool txn_undo(struct txn *t, struct error *err)
{
	struct store *s = t->db->store;

	s->outbox_filled = false;
	t->tell[0] = '\0';
	t->durable = true; /* where nobody was before it, it read what is */
	t->db = NULL;
	if (!t->further) {
		roll_back(s);
		turn_end(s);
	} else if (member_undo(s)) {
		member_add(s, t, err);
		group_go_on(s);
		member_wait(s, t);
	} else {
		roll_back(s);
		t->durable = db_fail_again(s->writer, err);
		group_end(s, err);
	}
	return t->durable;
}

void txn_end(struct txn *t)
{
	struct error ignored;

	if (t->db != NULL)
		(void)!txn_undo(t, &ignored);
}

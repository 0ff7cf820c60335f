/* open_files.c: see open_files.h.
 *
 * Pinning and closing meet without a lock: one counts its pin and then looks whether the files are
 * open, the other marks them closed and then looks whether there are pins. At least one of the two
 * sees the other, and the opener waits for the lock that closing is done under. */
#include "pipeline/open_files.h"

#include <assert.h>
#include <errno.h>
#include <sys/resource.h>

#define DESCRIPTORS_EACH 3u
#define SHARE 8u /* of all descriptors: one in so many */
#define OPEN_LEAST 8u
#define OPEN_MOST 1024u

void open_table_init(struct open_table *t)
{
	struct rlimit limit = { 0 };

	pthread_mutex_init(&t->lock, NULL);
	t->most = OPEN_MOST;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	rlim_t most = limit.rlim_cur / SHARE / DESCRIPTORS_EACH;
	t->most = most < OPEN_LEAST ? OPEN_LEAST : most < OPEN_MOST ? (unsigned)most : OPEN_MOST;
}

void open_table_done(struct open_table *t)
{
	assert(t->open == 0);
	pthread_mutex_destroy(&t->lock);
}

/* ---- the list, under the lock ---- */

static void list_add(struct open_table *t, struct open_files *f)
{
	f->older = t->newest;
	f->newer = NULL;
	*(t->newest != NULL ? &t->newest->newer : &t->oldest) = f;
	t->newest = f;
	t->open++;
}

static void list_remove(struct open_table *t, struct open_files *f)
{
	assert(t->open > 0);
	*(f->older != NULL ? &f->older->newer : &t->oldest) = f->newer;
	*(f->newer != NULL ? &f->newer->older : &t->newest) = f->older;
	f->older = f->newer = NULL;
	t->open--;
}

/* ---- opening and closing, under the lock ---- */

static void descriptors_close(struct open_files *f)
{
	journal_let_go(f->journal);
	input_release(&f->input);
}

/* Of a batch whose input was lost, or whose journal cannot be read, what there is. */
static bool descriptors_open(struct open_files *f, struct error *err)
{
	bool ok = input_take_up(&f->input, err) &&
		  (f->journal == NULL || journal_take_up(f->journal, err));

	if (!ok)
		descriptors_close(f);
	return ok;
}

/* False: they are in use. */
static bool try_close(struct open_table *t, struct open_files *f)
{
	f->open = false;
	if (f->pins > 0) {
		f->open = true;
		return false;
	}
	descriptors_close(f);
	list_remove(t, f);
	return true;
}

/* Closes one batch's files, if any may be closed. Those that were used since the last look, or have
 * lines in flight, are passed over once. */
static bool close_one(struct open_table *t)
{
	for (unsigned round = 0; round < 2; round++)
		for (struct open_files *f = t->oldest, *next; f != NULL; f = next) {
			next = f->newer;
			bool spared = atomic_exchange(&f->used, false) || f->ops->busy(f->ctx);
			if ((round > 0 || !spared) && try_close(t, f))
				return true;
		}
	return false;
}

static void make_room(struct open_table *t)
{
	while (t->open >= t->most && close_one(t))
		;
}

static bool is_shortage(const struct error *err)
{
	return err->sys == EMFILE || err->sys == ENFILE;
}

/* The connections may have taken all there are: then what others have open goes first. */
static bool open_somehow(struct open_files *f, struct error *err)
{
	make_room(f->table);
	bool ok = descriptors_open(f, err);
	while (!ok && is_shortage(err) && close_one(f->table))
		ok = descriptors_open(f, err);
	return ok;
}

/* ---- calls ---- */

void open_files_add(struct open_files *f)
{
	struct open_table *t = f->table;

	pthread_mutex_lock(&t->lock);
	assert(!f->open);
	make_room(t);
	f->used = true;
	f->open = true;
	list_add(t, f);
	pthread_mutex_unlock(&t->lock);
}

static bool reopen(struct open_files *f, struct error *err)
{
	struct open_table *t = f->table;
	bool ok = true;

	pthread_mutex_lock(&t->lock);
	if (!f->open) {
		ok = open_somehow(f, err);
		f->open = ok;
		if (ok)
			list_add(t, f);
	}
	pthread_mutex_unlock(&t->lock);
	return ok;
}

static void starved_set(struct open_files *f, const struct error *why)
{
	if (atomic_exchange(&f->starved, why != NULL) != (why != NULL))
		f->ops->starved(f->ctx, why);
}

bool open_files_pin(struct open_files *f, struct error *err)
{
	f->pins++;
	if (f->open || reopen(f, err)) {
		atomic_store_explicit(&f->used, true, memory_order_relaxed);
		if (f->starved)
			starved_set(f, NULL);
		return true;
	}
	f->pins--;
	if (is_shortage(err))
		starved_set(f, err);
	return false;
}

void open_files_unpin(struct open_files *f)
{
	unsigned before = f->pins--;

	assert(before > 0);
	(void)before;
}

bool open_files_starved(const struct open_files *f)
{
	return f->starved;
}

void open_table_spare(struct open_table *t, const struct error *why)
{
	if (!is_shortage(why))
		return;
	pthread_mutex_lock(&t->lock);
	while (close_one(t))
		;
	pthread_mutex_unlock(&t->lock);
}

void open_files_close(struct open_files *f)
{
	struct open_table *t = f->table;

	pthread_mutex_lock(&t->lock);
	if (f->open)
		list_remove(t, f);
	f->open = false;
	pthread_mutex_unlock(&t->lock);
	journal_close(TAKE(f->journal));
	input_close(&f->input);
}

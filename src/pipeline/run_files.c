/* run_files.c: see run_files.h.
 *
 * Pinning and closing meet without a lock: one counts its pin and then looks whether the files are open,
 * the other marks them closed and then looks whether there are pins. At least one of the two sees the
 * other, and whoever opens waits for the lock that closing is done under. */
#include "pipeline/run_files.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "pipeline/run_impl.h"

#define DESCRIPTORS_EACH 3u
#define SHARE 8u /* of all descriptors: one in so many */
#define OPEN_LEAST 8u
#define OPEN_MOST 1024u

void run_files_init(struct run_files *f)
{
	struct rlimit limit = { 0 };
	pthread_mutex_init(&f->lock, NULL);
	f->most = OPEN_MOST;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	rlim_t most = limit.rlim_cur / SHARE / DESCRIPTORS_EACH;
	f->most = most < OPEN_LEAST ? OPEN_LEAST : most < OPEN_MOST ? (unsigned)most : OPEN_MOST;
}

void run_files_done(struct run_files *f)
{
	pthread_mutex_destroy(&f->lock);
}

/* ---- the list, under the lock ---- */

static void list_add(struct run_files *f, struct run *run)
{
	run->place.older = f->newest;
	run->place.newer = NULL;
	*(f->newest != NULL ? &f->newest->place.newer : &f->oldest) = run;
	f->newest = run;
	f->open++;
}

static void list_remove(struct run_files *f, struct run *run)
{
	struct run_place *p = &run->place;
	*(p->older != NULL ? &p->older->place.newer : &f->oldest) = p->newer;
	*(p->newer != NULL ? &p->newer->place.older : &f->newest) = p->older;
	p->older = p->newer = NULL;
	f->open--;
}

/* ---- opening and closing, under the lock ---- */

static void files_close(struct run *run)
{
	journal_let_go(run->journal);
	index_let_go(run->index);
	auto_close(&run->blob_fd);
	run->blob_fd = -1;
	free(TAKE(run->cache));
	run->cache_n = 0;
}

static bool input_reopen(struct run *run, struct error *err)
{
	const char *id = run->batch.input_file_id;
	uint64_t bytes;
	int fd;
	if (!blob_open(run->env->blobs, id, BLOB_DATA, &run->blob_fd, &bytes, err) ||
	    !blob_open(run->env->blobs, id, BLOB_INDEX, &fd, &bytes, err))
		return false;
	index_take(run->index, fd);
	return true;
}

/* Of a run whose input was lost, or whose journal cannot be read, what there is. */
static bool files_open(struct run *run, struct error *err)
{
	bool ok = (run->index == NULL || input_reopen(run, err)) &&
		  (run->journal == NULL || journal_take_up(run->journal, err));
	if (!ok)
		files_close(run);
	return ok;
}

/* False: somebody uses them. */
static bool try_close(struct run_files *f, struct run *run)
{
	run->place.open = false;
	if (run->place.pins > 0) {
		run->place.open = true;
		return false;
	}
	files_close(run);
	list_remove(f, run);
	return true;
}

/* Closes one run's files, if any may be closed. Those that were used since the last look, or have lines
 * in flight, are passed over once. */
static bool close_one(struct run_files *f)
{
	for (unsigned round = 0; round < 2; round++)
		for (struct run *run = f->oldest, *next; run != NULL; run = next) {
			next = run->place.newer;
			bool spared = atomic_exchange(&run->place.used, false) ||
				      run->dispatch.running > 0;
			if ((round > 0 || !spared) && try_close(f, run))
				return true;
		}
	return false;
}

static void make_room(struct run_files *f)
{
	while (f->open >= f->most && close_one(f))
		;
}

static bool is_shortage(const struct error *err)
{
	return err->sys == EMFILE || err->sys == ENFILE;
}

/* The connections may have taken all there are: then what others have open goes first. */
static bool open_somehow(struct run_files *f, struct run *run, struct error *err)
{
	make_room(f);
	bool ok = files_open(run, err);
	while (!ok && is_shortage(err) && close_one(f))
		ok = files_open(run, err);
	return ok;
}

/* ---- calls ---- */

void run_files_add(struct run *run)
{
	struct run_files *f = &run->env->files;
	pthread_mutex_lock(&f->lock);
	make_room(f);
	run->place.used = true;
	run->place.open = true;
	list_add(f, run);
	pthread_mutex_unlock(&f->lock);
}

static bool reopen(struct run *run, struct error *err)
{
	struct run_files *f = &run->env->files;
	bool ok = true;
	pthread_mutex_lock(&f->lock);
	if (!run->place.open) {
		ok = open_somehow(f, run, err);
		run->place.open = ok;
		if (ok)
			list_add(f, run);
	}
	pthread_mutex_unlock(&f->lock);
	return ok;
}

bool run_pin(struct run *run, struct error *err)
{
	run->place.pins++;
	if (run->place.open || reopen(run, err)) {
		atomic_store_explicit(&run->place.used, true, memory_order_relaxed);
		if (run->starved)
			run_starved(run, NULL);
		return true;
	}
	run->place.pins--;
	if (is_shortage(err))
		run_starved(run, err);
	return false;
}

void run_unpin(struct run *run)
{
	run->place.pins--;
}

void run_files_spare(struct run_files *f, const struct error *why)
{
	if (!is_shortage(why))
		return;
	pthread_mutex_lock(&f->lock);
	while (close_one(f))
		;
	pthread_mutex_unlock(&f->lock);
}

void run_files_remove(struct run *run)
{
	struct run_files *f = &run->env->files;
	pthread_mutex_lock(&f->lock);
	if (run->place.open)
		list_remove(f, run);
	run->place.open = false;
	pthread_mutex_unlock(&f->lock);
}

/* feed.c: a ring of pieces between the thread that reads and the caller. */
#include "ingest/feed.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/worker.h"

#define PIECES (FEED_BYTES / PIECE_BYTES)

struct feed {
	const struct blob_reader *from;
	EVP_MD_CTX *digest;
	pthread_t thread;
	pthread_mutex_t lock; /* for all that follows but `memory` */
	pthread_cond_t turned;
	uint64_t filled, taken; /* pieces, from the beginning */
	size_t bytes[PIECES];   /* of each that is filled; less than a piece: the last */
	bool lent;              /* the caller has the piece before `taken` + 1 */
	bool ended;             /* nothing is filled any more */
	bool failed;            /* as `fault` says */
	bool closing;
	struct error fault;
	char memory[PIECES][PIECE_BYTES];
};

static bool piece_read(struct feed *f, uint64_t number, size_t *ret_n, struct error *err)
{
	char *to = f->memory[number % PIECES];

	if (!blob_read_upto(f->from, number * PIECE_BYTES, to, PIECE_BYTES, ret_n, err))
		return false;
	if (f->digest != NULL && EVP_DigestUpdate(f->digest, to, *ret_n) != 1)
		return fail_sys(err, 0, "hashing a file");
	return true;
}

/* Waits for a piece of the ring to be free. False: nobody wants more. */
static bool room_wait(struct feed *f)
{
	pthread_mutex_lock(&f->lock);
	while (!f->closing && f->filled - f->taken == PIECES)
		pthread_cond_wait(&f->turned, &f->lock);
	bool wanted = !f->closing;
	pthread_mutex_unlock(&f->lock);
	return wanted;
}

static void *feed_run(void *arg)
{
	struct feed *f = arg;
	struct error err;
	size_t n = PIECE_BYTES;
	bool ok = true;

	for (uint64_t number = 0; ok && n == PIECE_BYTES && room_wait(f); number++) {
		ok = piece_read(f, number, &n, &err);
		pthread_mutex_lock(&f->lock);
		f->failed = !ok;
		f->ended = n < PIECE_BYTES || !ok;
		if (ok)
			f->bytes[f->filled++ % PIECES] = n;
		else
			f->fault = err;
		pthread_cond_signal(&f->turned);
		pthread_mutex_unlock(&f->lock);
	}
	return NULL;
}

bool feed_open(const struct blob_reader *from, EVP_MD_CTX *digest, struct feed **ret,
	       struct error *err)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return fail_memory(err);
	f->from = from;
	f->digest = digest;
	pthread_mutex_init(&f->lock, NULL);
	clock_cond_init(&f->turned);
	if (!thread_start(&f->thread, "ingest-read", feed_run, f, err)) {
		pthread_cond_destroy(&f->turned);
		pthread_mutex_destroy(&f->lock);
		free(f);
		return false;
	}
	*ret = f;
	return true;
}

bool feed_next(struct feed *f, struct slice *ret, struct error *err)
{
	pthread_mutex_lock(&f->lock);
	if (f->lent) { /* the caller is done with it */
		f->taken++;
		pthread_cond_signal(&f->turned);
	}
	while (!f->ended && f->filled == f->taken)
		pthread_cond_wait(&f->turned, &f->lock);
	size_t at = f->taken % PIECES;
	f->lent = f->filled > f->taken; /* what was read before a fault comes first */
	*ret = f->lent ? (struct slice){ f->memory[at], f->bytes[at] } : SLICE("");
	bool ok = f->lent || !f->failed;
	if (!ok)
		*err = f->fault;
	pthread_mutex_unlock(&f->lock);
	return ok;
}

void feed_close(struct feed *f)
{
	if (f == NULL)
		return;
	pthread_mutex_lock(&f->lock);
	f->closing = true;
	pthread_cond_signal(&f->turned);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	pthread_cond_destroy(&f->turned);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* worker.c: the pool: a queue in order of posting, and a heap of delayed jobs in order of time: a
 * pairing heap, for it needs no room but in the jobs, so that posting cannot fail, however many
 * wait.
 *
 * A delayed job goes to the end of the queue when its time has come; any idle thread sees to that,
 * as each sleeps no longer than until the first delayed job is due. */
#include "base/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

struct workers {
	pthread_mutex_t lock;      /* guards all below but the threads */
	pthread_cond_t wake;       /* clock_cond_init() */
	struct work *first, **end; /* the queue; *end is where the next node goes */
	unsigned waiting;          /* nodes in the queue */
	struct work *delayed;      /* the one due first, on top of the heap */
	uint64_t serials;
	bool closing;
	unsigned started;
	pthread_t threads[];
};

static void queue_put(struct workers *w, struct work *work)
{
	work->next = NULL;
	*w->end = work;
	w->end = &work->next;
	w->waiting++;
}

static struct work *queue_take(struct workers *w)
{
	struct work *work = w->first;

	if (work == NULL)
		return NULL;
	w->first = work->next;
	if (w->first == NULL)
		w->end = &w->first;
	w->waiting--;
	return work;
}

/* ---- the heap of delayed jobs: `child` is the first of those below, `next` the next beside
 * ---- */

static bool goes_before(const struct work *a, const struct work *b)
{
	return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->serial < b->serial;
}

/* Two heaps, or none, made one. */
static struct work *heap_join(struct work *a, struct work *b)
{
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	struct work *top = goes_before(a, b) ? a : b, *below = top == a ? b : a;
	below->next = top->child;
	top->child = below;
	return top;
}

/* Takes the top off: its children are joined in pairs, and the pairs from the last to the first. */
static struct work *heap_pop(struct work *top)
{
	struct work *pairs = NULL, *rest = NULL;

	for (struct work *one = top->child, *after; one != NULL; one = after) {
		struct work *other = one->next;
		after = other != NULL ? other->next : NULL;
		one->next = NULL;
		if (other != NULL)
			other->next = NULL;
		struct work *pair = heap_join(one, other);
		pair->next = pairs;
		pairs = pair;
	}
	while (pairs != NULL) {
		struct work *pair = pairs;
		pairs = pair->next;
		pair->next = NULL;
		rest = heap_join(rest, pair);
	}
	return rest;
}

static void queue_put_due(struct workers *w)
{
	uint64_t now = w->delayed != NULL ? clock_ms() : 0;

	while (w->delayed != NULL && w->delayed->due_ms <= now) {
		struct work *work = w->delayed;
		w->delayed = heap_pop(work);
		queue_put(w, work);
	}
}

static void wait_for_work(struct workers *w)
{
	if (w->delayed == NULL) {
		pthread_cond_wait(&w->wake, &w->lock);
		return;
	}
	struct timespec until = clock_at_ms(w->delayed->due_ms);
	pthread_cond_timedwait(&w->wake, &w->lock, &until);
}

static void *worker_main(void *arg)
{
	struct workers *w = arg;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		queue_put_due(w);
		struct work *work = queue_take(w);
		if (work != NULL) {
			/* The node is the caller's again as soon as the job has begun: it may be
			 * posted anew or freed by the job itself. */
			worker_fn fn = work->fn;
			void *job = work->arg;
			if (w->first != NULL)
				pthread_cond_signal(&w->wake); /* several came due at once */
			pthread_mutex_unlock(&w->lock);
			fn(job);
			pthread_mutex_lock(&w->lock);
		} else if (w->closing) {
			break;
		} else {
			wait_for_work(w);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

bool thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg,
		  struct error *err)
{
	char shown[16]; /* the kernel keeps 15 characters */
	sigset_t all, before;

	/* A thread is born with its maker's signal mask; only the main thread takes signals. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int fault = pthread_create(ret, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (fault != 0)
		return fail_sys(err, fault, "starting thread %s", name);
	snprintf(shown, sizeof(shown), "%s", name);
	pthread_setname_np(*ret, shown);
	return true;
}

bool workers_open(const char *name, unsigned threads, struct workers **ret, struct error *err)
{
	struct workers *w = calloc(1, sizeof(*w) + threads * sizeof(w->threads[0]));

	if (w == NULL)
		return fail_memory(err);
	w->end = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->wake);
	for (; w->started < threads; w->started++) {
		char shown[16];
		snprintf(shown, sizeof(shown), "%.11s-%u", name, w->started % 1000);
		if (!thread_start(&w->threads[w->started], shown, worker_main, w, err)) {
			workers_close(w);
			return false;
		}
	}
	*ret = w;
	return true;
}

void workers_post(struct workers *w, struct work *work, worker_fn fn, void *arg)
{
	work->fn = fn;
	work->arg = arg;
	work->due_ms = 0;
	pthread_mutex_lock(&w->lock);
	queue_put(w, work);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

unsigned workers_waiting(struct workers *w)
{
	pthread_mutex_lock(&w->lock);
	unsigned waiting = w->waiting;
	pthread_mutex_unlock(&w->lock);
	return waiting;
}

void workers_post_after(struct workers *w, struct work *work, worker_fn fn, void *arg,
			uint64_t delay_ms)
{
	if (delay_ms == 0) {
		workers_post(w, work, fn, arg);
		return;
	}
	work->fn = fn;
	work->arg = arg;
	/* This millisecond has partly passed: without the one more the job could run early. */
	work->due_ms = clock_ms() + delay_ms + 1;
	work->next = work->child = NULL;
	pthread_mutex_lock(&w->lock);
	work->serial = w->serials++;
	w->delayed = heap_join(w->delayed, work);
	if (w->delayed == work)
		pthread_cond_signal(&w->wake); /* some thread must sleep shorter now */
	pthread_mutex_unlock(&w->lock);
}

void workers_stop(struct workers *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->started; i++)
		pthread_join(w->threads[i], NULL);
	w->started = 0;
}

void workers_close(struct workers *w)
{
	if (w == NULL)
		return;
	workers_stop(w);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

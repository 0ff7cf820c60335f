/* recorder.c: one thread that formats, appends, syncs and acknowledges.
 *
 * The queue is one linked list under a mutex; the thread takes it whole, so dispatch is never held
 * up for longer than a push. Outcomes keep their answer's bytes until their group is synced: a
 * group that failed is formatted and written again from them. */
#include "journal/recorder.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/sys.h"
#include "base/worker.h"

#define WRITE_BYTES (1u << 20) /* formatted bytes that make a write */
#define BUFFER_KEPT_BYTES (4u << 20)
#define RETRY_MS 500
#define TRIES_OF_ENDED 4 /* for a batch that is to end */

struct flush {
	struct flush *next;
	void *owner;
};

struct recorder {
	struct recorder_ops ops;
	void *ctx;
	pthread_t thread;
	bool thread_started;

	pthread_mutex_t lock;
	pthread_cond_t wake;    /* for the thread */
	pthread_cond_t durable; /* for recorder_wait() */
	struct outcome *head, **tail;
	struct flush *flushes;
	uint64_t pushed, done; /* outcomes, since the start */
	uint64_t first_us;     /* when `head` was pushed, and when gathering became brief, last */
	uint64_t brief_us;
	unsigned waiters; /* in recorder_wait() */
	bool closing;

	_Atomic bool stalled, no_room;
	_Atomic enum outcome_gather gather;

	/* its thread's own */
	struct buf buffer;
	uint64_t took_us; /* to publish, lately */
	bool cut_off;     /* it closes, and what was asked to be published has had no answer */
};

bool recorder_stalled(const struct recorder *r)
{
	return r->stalled;
}

bool recorder_has_no_room(const struct recorder *r)
{
	return r->stalled && r->no_room;
}

void recorder_push(struct recorder *r, struct outcome *o)
{
	o->next = NULL;
	pthread_mutex_lock(&r->lock);
	bool was_empty = r->head == NULL;
	if (was_empty && r->ops.publish != NULL)
		r->first_us = sys.monotonic_us();
	*r->tail = o;
	r->tail = &o->next;
	r->pushed++;
	pthread_mutex_unlock(&r->lock);
	if (was_empty)
		pthread_cond_signal(&r->wake);
}

/* The lock is taken, so that the thread does not miss it on its way to wait. */
void recorder_gather(struct recorder *r, enum outcome_gather how)
{
	if (r->gather == how || r->ops.publish == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	if (how == GATHER_BRIEFLY)
		r->brief_us = sys.monotonic_us();
	bool sooner = how < r->gather && r->head != NULL;
	r->gather = how;
	pthread_mutex_unlock(&r->lock);
	if (sooner)
		pthread_cond_signal(&r->wake);
}

void recorder_flush(struct recorder *r, void *owner)
{
	struct flush *f = must_calloc(1, sizeof(*f));

	pthread_mutex_lock(&r->lock);
	*f = (struct flush){ .next = r->flushes, .owner = owner };
	r->flushes = f;
	pthread_mutex_unlock(&r->lock);
	pthread_cond_signal(&r->wake);
}

bool recorder_wait(struct recorder *r, uint64_t timeout_ms)
{
	struct timespec until = clock_after_ms(timeout_ms);

	pthread_mutex_lock(&r->lock);
	uint64_t target = r->pushed;
	r->waiters++;
	pthread_cond_signal(&r->wake);
	while (r->done < target && pthread_cond_timedwait(&r->durable, &r->lock, &until) == 0)
		;
	r->waiters--;
	bool all = r->done >= target;
	pthread_mutex_unlock(&r->lock);
	return all;
}

/* ---- the thread ---- */

/* Writes what is formatted so far. */
static bool buffer_write(struct recorder *r, struct journal *j, struct error *err)
{
	if (r->buffer.n == 0)
		return true;
	bool ok = journal_append(j, buf_slice(&r->buffer), err);
	buf_clear(&r->buffer);
	return ok;
}

static bool journal_write(struct recorder *r, struct journal *j, struct outcome *first,
			  struct error *err)
{
	buf_clear(&r->buffer);
	for (struct outcome *o = first; o != NULL; o = o->next) {
		size_t before = r->buffer.n;
		if (o->number == 0) /* a group that is written again keeps its numbers */
			o->number = journal_number_take(j);
		o->journal_at = journal_end(j) + before;
		if (!journal_encode(o, &r->buffer))
			return fail_memory(err);
		o->journal_bytes = r->buffer.n - before;
		if (r->buffer.n >= WRITE_BYTES && !buffer_write(r, j, err))
			return false;
	}
	return buffer_write(r, j, err);
}

enum record_result { RECORDED, GIVEN_UP, CLOSING };

/* Outcomes of one owner, of the group that is written. */
struct group_part {
	struct outcome *first;   /* NULL: they are acknowledged */
	struct journal *written; /* its journal has them, and is to be synced; NULL: it has not */
	uint64_t at;             /* where they begin there */
	enum record_result result;
};

/* Formats and appends them. */
static bool part_append(struct recorder *r, struct group_part *p, struct error *err)
{
	struct journal *j = r->ops.journal(p->first->owner, err);

	p->written = NULL;
	if (j == NULL)
		return false;
	p->at = journal_end(j);
	if (!journal_write(r, j, p->first, err)) {
		journal_rewind(j);
		return false;
	}
	p->written = j;
	return true;
}

static bool part_sync(struct group_part *p, struct error *err)
{
	if (journal_sync(p->written, err))
		return true;
	journal_rewind(p->written);
	return false;
}

/* Moves all outcomes of the first one's owner to the front, in order, and parts them from the others,
 * which it returns. */
static struct outcome *owner_gather(struct outcome *first)
{
	struct outcome *own_last = first;

	while (own_last->next != NULL && own_last->next->owner == first->owner)
		own_last = own_last->next;
	struct outcome **rest = &own_last->next;
	while (*rest != NULL) {
		struct outcome *o = *rest;
		if (o->owner != first->owner) {
			rest = &o->next;
			continue;
		}
		*rest = o->next;
		o->next = own_last->next;
		if (rest == &own_last->next)
			rest = &o->next;
		own_last->next = o;
		own_last = o;
	}
	struct outcome *others = own_last->next;
	own_last->next = NULL;
	return others;
}

static bool closing(struct recorder *r)
{
	pthread_mutex_lock(&r->lock);
	bool is = r->closing;
	pthread_mutex_unlock(&r->lock);
	return is;
}

static void stall_begin(struct recorder *r, void *owner, const struct error *err)
{
	if (!r->stalled)
		log_fault("journal.paused", err, kv_str("batch", r->ops.name(owner)));
	r->no_room = err->kind == ERR_NO_SPACE;
	r->stalled = true;
}

static void stall_end(struct recorder *r, void *owner, enum record_result result)
{
	if (!r->stalled || result == CLOSING)
		return;
	if (result == RECORDED)
		log_info("journal.resumed", kv_str("batch", r->ops.name(owner)));
	else
		log_warn("journal.given_up", kv_str("batch", r->ops.name(owner)));
	r->stalled = false;
}

static void retry_wait(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = RETRY_MS * 1000000L }, NULL);
}

/* Tries until they are durable, or the recorder is closing, or the batch is to end and the disk still
 * refuses. */
static enum record_result part_record(struct recorder *r, struct group_part *p)
{
	enum record_result result = RECORDED;
	struct outcome *first = p->first;
	unsigned tries = 0;
	struct error err;

	while (result == RECORDED &&
	       !((p->written != NULL || part_append(r, p, &err)) && part_sync(p, &err))) {
		p->written = NULL;
		stall_begin(r, first->owner, &err);
		if (closing(r))
			result = CLOSING;
		else if (r->ops.ends(first->owner) && ++tries >= TRIES_OF_ENDED)
			result = GIVEN_UP;
		else
			retry_wait();
	}
	stall_end(r, first->owner, result);
	return result;
}

/* Acknowledges and frees what one owner has of it; false if the recorder is closing. */
static bool part_acknowledge(struct recorder *r, struct group_part *p)
{
	struct outcome *first = TAKE(p->first);

	if (r->buffer.cap > BUFFER_KEPT_BYTES)
		buf_free(&r->buffer); /* a very long line went through it */
	if (p->result == RECORDED)
		r->ops.durable(r->ctx, first->owner, first);
	else if (p->result == GIVEN_UP)
		r->ops.given_up(r->ctx, first->owner, first);
	uint64_t count = 0;
	while (first != NULL) {
		struct outcome *next = first->next;
		count++;
		outcome_free(first);
		first = next;
	}
	pthread_mutex_lock(&r->lock);
	r->done += count;
	pthread_mutex_unlock(&r->lock);
	pthread_cond_broadcast(&r->durable);
	return p->result != CLOSING;
}

/* Asks until there is an answer, or the recorder is closing: then no other parts are asked for, either. */
static bool publish_ask(struct recorder *r, struct recorded *of, size_t n)
{
	struct error err;

	while (!r->cut_off && !r->ops.publish(r->ctx, of, n, &err)) {
		stall_begin(r, of[0].owner, &err);
		r->cut_off = closing(r);
		if (!r->cut_off)
			retry_wait();
	}
	if (r->cut_off)
		return false;
	stall_end(r, of[0].owner, RECORDED);
	return true;
}

/* Of all that are in their journals together. */
static void parts_publish(struct recorder *r, struct group_part *const *parts, size_t n)
{
	struct recorded of[RECORDED_MAX];
	struct group_part *from[RECORDED_MAX];
	size_t of_n = 0;

	for (size_t i = 0; i < n; i++) {
		struct group_part *p = parts[i];
		if (p->result != RECORDED)
			continue;
		from[of_n] = p;
		of[of_n++] = (struct recorded){ .owner = p->first->owner,
						.first = p->first,
						.journal = p->written,
						.at = p->at,
						.end = journal_end(p->written) };
	}
	if (of_n == 0)
		return;
	uint64_t began_us = sys.monotonic_us();
	bool answered = publish_ask(r, of, of_n);
	r->took_us = (r->took_us + sys.monotonic_us() - began_us) / 2;
	for (size_t i = 0; i < of_n; i++)
		from[i]->result = !answered ? CLOSING : of[i].is_lost ? GIVEN_UP : RECORDED;
}

/* Makes them durable, and acknowledges them; false if the recorder is closing. */
static bool parts_finish(struct recorder *r, struct group_part *const *parts, size_t n)
{
	bool publishes = r->ops.publish != NULL, durable = true;

	for (size_t i = 0; i < n; i++) {
		parts[i]->result = part_record(r, parts[i]);
		if (!publishes)
			durable = part_acknowledge(r, parts[i]) && durable;
	}
	if (!publishes)
		return durable;
	parts_publish(r, parts, n);
	for (size_t i = 0; i < n; i++)
		durable = part_acknowledge(r, parts[i]) && durable;
	return durable;
}

/* Some owners' outcomes at a time: all are written, then synced; the redo log syncs those that it has
 * together. What could not be written comes last: it may want the descriptors of the others. */
static struct outcome *parts_record(struct recorder *r, struct outcome *group, bool *durable)
{
	struct group_part parts[RECORDED_MAX], *written[RECORDED_MAX] = { NULL },
					       *late[RECORDED_MAX] = { NULL };
	struct error err;
	size_t written_n = 0, late_n = 0;

	for (size_t n = 0; group != NULL && n < RECORDED_MAX; n++) {
		parts[n].first = group;
		group = owner_gather(group);
		if (part_append(r, &parts[n], &err))
			written[written_n++] = &parts[n];
		else
			late[late_n++] = &parts[n];
	}
	*durable = parts_finish(r, written, written_n) && *durable;
	for (size_t i = 0; i < late_n; i++)
		*durable = parts_finish(r, &late[i], 1) && *durable;
	return group;
}

static void flushes_answer(struct recorder *r, struct flush *flushes, bool durable)
{
	while (flushes != NULL) {
		struct flush *next = flushes->next;
		if (durable)
			r->ops.flushed(r->ctx, flushes->owner);
		free(flushes);
		flushes = next;
	}
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* How long the group still waits for others, us; 0: no longer. */
static uint64_t gather_left_us(const struct recorder *r)
{
	enum outcome_gather how = r->gather;
	uint64_t now_us = sys.monotonic_us(), until_us = r->first_us + GATHER_MS * 1000;

	if (how == GATHER_NOT || r->flushes != NULL || r->waiters > 0 || r->closing)
		return 0;
	if (how == GATHER_BRIEFLY && later(r->first_us, r->brief_us) + r->took_us / 2 < until_us)
		until_us = later(r->first_us, r->brief_us) + r->took_us / 2;
	return until_us > now_us ? until_us - now_us : 0;
}

/* Under the lock, which it gives up while it waits. */
static void group_gather(struct recorder *r)
{
	uint64_t left_us;

	while ((left_us = gather_left_us(r)) > 0) {
		struct timespec until = clock_after_ms((left_us + 999) / 1000);
		if (pthread_cond_timedwait(&r->wake, &r->lock, &until) == ETIMEDOUT)
			break;
	}
}

/* Waits for work and takes all of it; false when closing and nothing is left. */
static bool group_take(struct recorder *r, struct outcome **ret, struct flush **ret_flushes)
{
	pthread_mutex_lock(&r->lock);
	while (r->head == NULL && r->flushes == NULL && !r->closing)
		pthread_cond_wait(&r->wake, &r->lock);
	if (r->head != NULL && r->ops.publish != NULL)
		group_gather(r);
	*ret = r->head;
	*ret_flushes = r->flushes;
	r->head = NULL;
	r->tail = &r->head;
	r->flushes = NULL;
	bool more = *ret != NULL || *ret_flushes != NULL || !r->closing;
	pthread_mutex_unlock(&r->lock);
	return more;
}

static void *recorder_main(void *arg)
{
	struct recorder *r = arg;
	struct outcome *group;
	struct flush *flushes;

	while (group_take(r, &group, &flushes)) {
		bool durable = true;
		while (group != NULL)
			group = parts_record(r, group, &durable);
		flushes_answer(r, flushes, durable);
	}
	return NULL;
}

bool recorder_open(const struct recorder_ops *ops, void *ctx, struct recorder **ret,
		   struct error *err)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return fail_memory(err);
	r->ops = *ops;
	r->ctx = ctx;
	r->tail = &r->head;
	r->buffer = BUF((size_t)INT32_MAX * 2);
	pthread_mutex_init(&r->lock, NULL);
	clock_cond_init(&r->wake);
	clock_cond_init(&r->durable);
	r->thread_started = thread_start(&r->thread, "recorder", recorder_main, r, err);
	if (!r->thread_started) {
		recorder_close(r);
		return false;
	}
	*ret = r;
	return true;
}

void recorder_close(struct recorder *r)
{
	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->closing = true;
	pthread_mutex_unlock(&r->lock);
	pthread_cond_signal(&r->wake);
	if (r->thread_started)
		pthread_join(r->thread, NULL);
	buf_free(&r->buffer);
	pthread_cond_destroy(&r->wake);
	pthread_cond_destroy(&r->durable);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

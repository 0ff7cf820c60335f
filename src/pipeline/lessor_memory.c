/* lessor_memory.c: see lessor_memory.h. */
#include "pipeline/lessor_memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/sys.h"

struct lessor_memory {
	char batch[ID_SIZE];
	uint64_t lease_ms; /* 0: without end */
	struct lessor_watch watch;
	void *ctx;

	pthread_mutex_t lock;    /* for all below */
	struct segment_set *set; /* NULL: closed */
	struct {                 /* of lines that have ended; how many, the set knows */
		struct counts counts;
		struct usage usage;
		struct causes *causes; /* NULL: none has failed */
	} sums;
	bool offered;
	/* the order of ending */
	struct journal_marks marks;
	uint32_t shown;  /* numbers up to here are durable */
	uint32_t merged; /* likewise, but for those of records that are not settled yet */
	bool hides;      /* of these only those up to `hidden` are shown */
	uint32_t hidden;
	/* the one span */
	bool lent;
	uint64_t epoch; /* of its latest lease */
	uint64_t until_ms;
};

bool lessor_memory_new(const char *batch, uint64_t lease_ms, const struct lessor_watch *watch,
		       void *ctx, struct lessor_memory **ret, struct error *err)
{
	struct lessor_memory *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return fail_memory(err);
	(void)slice_copy(slice_of(batch), l->batch, sizeof(l->batch));
	l->lease_ms = lease_ms;
	l->watch = *watch;
	l->ctx = ctx;
	pthread_mutex_init(&l->lock, NULL);
	*ret = l;
	return true;
}

void lessor_memory_free(struct lessor_memory *l)
{
	if (l == NULL)
		return;
	segment_set_free(l->set);
	free(l->sums.causes);
	journal_marks_clear(&l->marks);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* ---- what has ended ---- */

/* Under the lock. */
static struct causes *causes_room(struct lessor_memory *l)
{
	if (l->sums.causes == NULL)
		l->sums.causes = must_calloc(1, sizeof(*l->sums.causes));
	return l->sums.causes;
}

/* Under the lock. */
static void sums_set(struct lessor_memory *l, const struct ended_sums *to)
{
	l->sums.counts = to->counts;
	l->sums.usage = to->usage;
	free(TAKE(l->sums.causes));
	if (to->causes.n > 0)
		*causes_room(l) = to->causes;
}

/* A line has ended. True: it is the first that failed so. Under the lock. */
static bool sums_add(struct lessor_memory *l, const struct journal_head *head,
		     const struct usage *usage)
{
	struct counts *counts = &l->sums.counts;
	bool success = head->kind == JOURNAL_OUTPUT;

	if (success)
		counts->completed++;
	else
		counts->failed++;
	counts->retried += head->attempts > 0 ? head->attempts - 1 : 0;
	usage_add(&l->sums.usage, usage);
	return !success && causes_add(causes_room(l), head->http_status, head->record);
}

bool lessor_memory_open(struct lessor_memory *l, uint64_t lines, uint64_t segments,
			uint64_t journal_from, const struct ended_sums *merged, struct error *err)
{
	uint64_t from = journal_from < JOURNAL_START ? JOURNAL_START : journal_from;
	struct segment_set *set;

	if (!segment_set_new(lines, segments, from, &set, err))
		return false;
	pthread_mutex_lock(&l->lock);
	assert(l->set == NULL && !l->lent);
	l->set = set;
	sums_set(l, merged);
	pthread_mutex_unlock(&l->lock);
	return true;
}

void lessor_memory_close(struct lessor_memory *l)
{
	pthread_mutex_lock(&l->lock);
	assert(!l->lent);
	l->offered = false;
	segment_set_free(TAKE(l->set));
	journal_marks_clear(&l->marks);
	l->shown = l->merged = 0;
	l->hides = false;
	sums_set(l, &(struct ended_sums){ 0 });
	pthread_mutex_unlock(&l->lock);
}

/* A record with that number is durable. Under the lock. */
static void number_note(struct lessor_memory *l, uint32_t number, uint64_t at)
{
	if (number == 0)
		return; /* of a journal before version 2: it gets one when it is merged */
	journal_marks_add(&l->marks, (struct journal_mark){ number, at });
	if (number > l->shown)
		l->shown = number;
}

void lessor_memory_settled(struct lessor_memory *l, const uint8_t *settled, uint64_t journal_from)
{
	pthread_mutex_lock(&l->lock);
	uint64_t at = journal_from < JOURNAL_START ? JOURNAL_START : journal_from;
	for (uint64_t i = 0; settled != NULL && i < segment_set_lines(l->set); i++)
		if (bit_get(settled + i / 8, i % 8) && segment_set_has(l->set, i))
			(void)segment_set_end_line(l->set, i, at, 0);
	pthread_mutex_unlock(&l->lock);
}

void lessor_memory_found(void *ctx, const struct journal_head *head, uint64_t at)
{
	struct lessor_memory *l = ctx;
	const struct usage usage = { head->input, head->cached, head->output, head->reasoning,
				     head->total };

	pthread_mutex_lock(&l->lock);
	number_note(l, head->number, at);
	if (segment_set_has(l->set, head->record) &&
	    segment_set_end_line(l->set, head->record, at, sizeof(*head) + head->length))
		(void)sums_add(l, head, &usage);
	pthread_mutex_unlock(&l->lock);
}

bool lessor_memory_has_ended(struct lessor_memory *l, uint64_t record)
{
	pthread_mutex_lock(&l->lock);
	bool has = segment_set_has_ended(l->set, record);
	pthread_mutex_unlock(&l->lock);
	return has;
}

/* The example of a code that was just met. Only its line is written back: others may be met
 * meanwhile. */
void lessor_memory_found_all(struct lessor_memory *l)
{
	struct causes c = { .n = 0 };

	pthread_mutex_lock(&l->lock);
	if (l->sums.causes != NULL)
		c = *l->sums.causes;
	pthread_mutex_unlock(&l->lock);
	for (unsigned i = 0; i < c.n; i++)
		if (c.of[i].line == 0)
			c.of[i].line = (uint32_t)l->watch.line_number(l->ctx, c.of[i].record);
	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < c.n; i++)
		l->sums.causes->of[i].line = c.of[i].line;
	pthread_mutex_unlock(&l->lock);
}

void lessor_memory_sums(struct lessor_memory *l, struct ended_sums *ret)
{
	pthread_mutex_lock(&l->lock);
	*ret = (struct ended_sums){ .counts = l->sums.counts, .usage = l->sums.usage };
	if (l->sums.causes != NULL)
		ret->causes = *l->sums.causes;
	ret->lines = l->set != NULL ? segment_set_ended(l->set) : 0;
	ret->all = l->set != NULL && ret->lines == segment_set_lines(l->set);
	pthread_mutex_unlock(&l->lock);
}

uint64_t lessor_memory_ended(struct lessor_memory *l)
{
	pthread_mutex_lock(&l->lock);
	uint64_t ended = l->set != NULL ? segment_set_ended(l->set) : 0;
	pthread_mutex_unlock(&l->lock);
	return ended;
}

struct segment_bounds lessor_memory_bounds(struct lessor_memory *l, uint64_t segment)
{
	pthread_mutex_lock(&l->lock);
	struct segment_bounds bounds = segment_set_bounds(l->set, segment);
	pthread_mutex_unlock(&l->lock);
	return bounds;
}

bool lessor_memory_cursor(struct lessor_memory *l, uint64_t segment, struct segment_cursor *ret)
{
	pthread_mutex_lock(&l->lock);
	bool found = segment_set_cursor(l->set, segment, ret);
	pthread_mutex_unlock(&l->lock);
	return found;
}

uint64_t lessor_memory_journal_from(struct lessor_memory *l, uint64_t first_segment)
{
	pthread_mutex_lock(&l->lock);
	uint64_t from = segment_set_journal_from(l->set, first_segment);
	pthread_mutex_unlock(&l->lock);
	return from;
}

void lessor_memory_merged(struct lessor_memory *l, uint64_t end_segment)
{
	pthread_mutex_lock(&l->lock);
	segment_set_merge(l->set, end_segment);
	journal_marks_forget(&l->marks, segment_set_journal_from(l->set, end_segment));
	pthread_mutex_unlock(&l->lock);
}

/* ---- the order of ending ---- */

void lessor_memory_shown(struct lessor_memory *l, uint32_t number, struct shown *ret)
{
	pthread_mutex_lock(&l->lock);
	*ret = (struct shown){ .last = l->shown };
	if (l->hides && l->hidden < l->shown)
		ret->last = l->hidden;
	if (l->set != NULL) {
		ret->from = journal_marks_find(&l->marks, number);
		ret->journal_end = segment_set_journal_end(l->set);
	}
	pthread_mutex_unlock(&l->lock);
}

/* Nothing is on its way to the journal. Under the lock. */
static void merged_show(struct lessor_memory *l)
{
	if (l->merged > l->shown)
		l->shown = l->merged;
}

void lessor_memory_hide(struct lessor_memory *l, uint32_t last)
{
	pthread_mutex_lock(&l->lock);
	l->hides = true;
	l->hidden = last;
	pthread_mutex_unlock(&l->lock);
}

void lessor_memory_show(struct lessor_memory *l, uint32_t last)
{
	pthread_mutex_lock(&l->lock);
	l->hides = false;
	if (last > l->merged)
		l->merged = last;
	if (!l->lent)
		merged_show(l);
	pthread_mutex_unlock(&l->lock);
}

/* ---- lending ---- */

void lessor_memory_offer(struct lessor_memory *l)
{
	pthread_mutex_lock(&l->lock);
	assert(l->set != NULL);
	l->offered = true;
	pthread_mutex_unlock(&l->lock);
}

void lessor_memory_withdraw(struct lessor_memory *l)
{
	pthread_mutex_lock(&l->lock);
	l->offered = false;
	pthread_mutex_unlock(&l->lock);
}

bool lessor_memory_is_lent(struct lessor_memory *l)
{
	pthread_mutex_lock(&l->lock);
	bool lent = l->lent;
	pthread_mutex_unlock(&l->lock);
	return lent;
}

/* Under the lock. */
static bool span_is_free(const struct lessor_memory *l)
{
	return l->offered && (!l->lent || sys.monotonic_ms() >= l->until_ms);
}

bool lessor_memory_is_free(struct lessor_memory *l)
{
	pthread_mutex_lock(&l->lock);
	bool free = span_is_free(l);
	pthread_mutex_unlock(&l->lock);
	return free;
}

uint64_t lessor_memory_free_ms(struct lessor_memory *l)
{
	pthread_mutex_lock(&l->lock);
	uint64_t at = !l->offered ? UINT64_MAX : l->lent ? l->until_ms : 0;
	pthread_mutex_unlock(&l->lock);
	return at;
}

/* From now for lease_ms; a third of that has passed when it is to be renewed. Under the lock. */
static void lease_prolong(struct lessor_memory *l, struct span_lease *lease)
{
	uint64_t now_ms = sys.monotonic_ms();

	lease->until_ms = l->lease_ms > 0 ? now_ms + l->lease_ms : LEASE_WITHOUT_END;
	lease->renew_ms = l->lease_ms > 0 ? now_ms + l->lease_ms / 3 : LEASE_WITHOUT_END;
	l->until_ms = lease->until_ms;
}

/* Whether it is the latest lease, and was not given back. */
static bool lease_holds(const struct lessor_memory *l, const struct span_lease *lease)
{
	assert(lease->epoch <= l->epoch);
	return l->lent && lease->epoch == l->epoch;
}

static bool on_take(void *ctx, struct span_lease *ret)
{
	struct lessor_memory *l = ctx;

	pthread_mutex_lock(&l->lock);
	bool free = span_is_free(l);
	if (free) {
		l->lent = true;
		l->epoch++;
		*ret = (struct span_lease){ .segments = segment_set_count(l->set),
					    .epoch = l->epoch };
		memcpy(ret->batch, l->batch, sizeof(ret->batch));
		lease_prolong(l, ret);
	}
	pthread_mutex_unlock(&l->lock);
	return free;
}

static bool on_segment(void *ctx, const struct span_lease *lease, uint64_t segment,
		       struct segment_cursor *ret)
{
	struct lessor_memory *l = ctx;

	pthread_mutex_lock(&l->lock);
	bool found = lease_holds(l, lease) && segment_set_cursor(l->set, segment, ret);
	pthread_mutex_unlock(&l->lock);
	return found;
}

static bool on_renew(void *ctx, struct span_lease *lease)
{
	struct lessor_memory *l = ctx;

	pthread_mutex_lock(&l->lock);
	bool held = lease_holds(l, lease);
	if (held)
		lease_prolong(l, lease);
	pthread_mutex_unlock(&l->lock);
	return held;
}

/* Under the lock. */
static void line_settle(struct lessor_memory *l, const struct outcome *o, bool *finished,
			bool *new_cause)
{
	const struct journal_head head = {
		.record = (uint32_t)o->record,
		.http_status = cause_code(o->fault, o->http_status),
		.kind = o->success ? JOURNAL_OUTPUT : JOURNAL_ERROR,
		.attempts = o->attempts,
	};
	bool fresh = segment_set_end_line(l->set, o->record, o->journal_at, o->journal_bytes);

	assert(fresh); /* a line ended twice: a mistake of ours, never of the world's */
	(void)fresh;
	number_note(l, o->number, o->journal_at);
	if (sums_add(l, &head, &o->usage))
		*new_cause = true;
	if (segment_set_bounds(l->set, o->record / SEGMENT_LINES).finished)
		*finished = true;
}

static bool on_settle(void *ctx, const struct span_lease *lease, const struct outcome *first)
{
	struct lessor_memory *l = ctx;
	bool finished = false, new_cause = false;

	pthread_mutex_lock(&l->lock);
	bool held = lease_holds(l, lease);
	for (const struct outcome *o = first; held && o != NULL; o = o->next)
		line_settle(l, o, &finished, &new_cause);
	pthread_mutex_unlock(&l->lock);
	if (new_cause)
		lessor_memory_found_all(l);
	if (finished)
		l->watch.finished(l->ctx);
	return held;
}

static bool on_give_back(void *ctx, const struct span_lease *lease)
{
	struct lessor_memory *l = ctx;

	pthread_mutex_lock(&l->lock);
	bool held = lease_holds(l, lease);
	if (held) {
		l->lent = false;
		merged_show(l);
		l->watch.returned(l->ctx);
	}
	pthread_mutex_unlock(&l->lock);
	return held;
}

struct lessor lessor_memory_lessor(struct lessor_memory *l)
{
	static const struct lessor_ops ops = {
		.take = on_take,
		.segment = on_segment,
		.renew = on_renew,
		.settle = on_settle,
		.give_back = on_give_back,
	};

	return (struct lessor){ &ops, l };
}

/* segment_set.c: see segment_set.h. */
#include "pipeline/segment_set.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct segment {
	uint64_t journal_at, journal_end;
	uint8_t *done; /* bit a line; NULL: none has ended, or merged */
	uint32_t left; /* lines that have not ended, once `done` is there */
};

struct segment_set {
	uint64_t lines, count;
	uint64_t merged;      /* segments */
	uint64_t ended;       /* lines */
	uint64_t journal_end; /* behind the last durable record */
	struct segment segments[];
};

uint64_t segments_of(uint64_t lines)
{
	return (lines + SEGMENT_LINES - 1) / SEGMENT_LINES;
}

bool segment_set_new(uint64_t lines, uint64_t merged, uint64_t journal_end,
		     struct segment_set **ret, struct error *err)
{
	uint64_t count = segments_of(lines);
	struct segment_set *set = calloc(1, sizeof(*set) + count * sizeof(set->segments[0]));

	if (set == NULL)
		return fail_memory(err);
	assert(merged <= count);
	set->lines = lines;
	set->count = count;
	set->merged = merged;
	set->ended = merged < count ? merged * SEGMENT_LINES : lines;
	set->journal_end = journal_end;
	*ret = set;
	return true;
}

void segment_set_free(struct segment_set *set)
{
	if (set == NULL)
		return;
	for (uint64_t i = 0; i < set->count; i++)
		free(set->segments[i].done);
	free(set);
}

uint64_t segment_set_count(const struct segment_set *set)
{
	return set->count;
}

uint64_t segment_set_lines(const struct segment_set *set)
{
	return set->lines;
}

uint64_t segment_set_ended(const struct segment_set *set)
{
	return set->ended;
}

static uint32_t lines_in(const struct segment_set *set, uint64_t n)
{
	uint64_t rest = set->lines - n * SEGMENT_LINES;

	return rest < SEGMENT_LINES ? (uint32_t)rest : SEGMENT_LINES;
}

static bool finished(const struct segment *s)
{
	return s->done != NULL && s->left == 0;
}

bool segment_set_has(const struct segment_set *set, uint64_t record)
{
	return record < set->lines && record / SEGMENT_LINES >= set->merged;
}

bool segment_set_has_ended(const struct segment_set *set, uint64_t record)
{
	assert(record < set->lines);
	const struct segment *s = &set->segments[record / SEGMENT_LINES];

	return !segment_set_has(set, record) ||
	       (s->done != NULL && bit_get(s->done, (uint32_t)(record % SEGMENT_LINES)));
}

bool segment_set_end_line(struct segment_set *set, uint64_t record, uint64_t at, uint64_t bytes)
{
	struct segment *s = &set->segments[record / SEGMENT_LINES];
	uint32_t i = (uint32_t)(record % SEGMENT_LINES);

	assert(segment_set_has(set, record));
	if (s->done == NULL) {
		s->done = must_calloc(1, SEGMENT_LINES / 8);
		s->left = lines_in(set, record / SEGMENT_LINES);
		s->journal_at = at;
	}
	if (bit_get(s->done, i))
		return false;
	assert(s->left > 0 && set->ended < set->lines);
	bit_set(s->done, i);
	s->left--;
	s->journal_end = at + bytes;
	set->journal_end = at + bytes;
	set->ended++;
	return true;
}

bool segment_set_cursor(const struct segment_set *set, uint64_t n, struct segment_cursor *ret)
{
	assert(n < set->count);
	const struct segment *s = &set->segments[n];

	if (n < set->merged || finished(s))
		return false;
	*ret = (struct segment_cursor){ .segment = n,
					.first = n * SEGMENT_LINES,
					.lines = lines_in(set, n) };
	if (s->done != NULL)
		memcpy(ret->done, s->done, sizeof(ret->done));
	return true;
}

struct segment_bounds segment_set_bounds(const struct segment_set *set, uint64_t n)
{
	assert(n < set->count);
	const struct segment *s = &set->segments[n];
	struct segment_bounds b = { .first = n * SEGMENT_LINES, .lines = lines_in(set, n) };

	if (s->done == NULL)
		return b;
	b.finished = finished(s);
	b.journal_at = s->journal_at;
	b.journal_end = s->journal_end;
	return b;
}

uint64_t segment_set_journal_from(const struct segment_set *set, uint64_t first)
{
	uint64_t from = set->journal_end;

	for (uint64_t i = first; i < set->count; i++)
		if (set->segments[i].done != NULL && set->segments[i].journal_at < from)
			from = set->segments[i].journal_at;
	return from;
}

uint64_t segment_set_journal_end(const struct segment_set *set)
{
	return set->journal_end;
}

void segment_set_merge(struct segment_set *set, uint64_t end)
{
	assert(end >= set->merged && end <= set->count);
	for (uint64_t i = set->merged; i < end; i++) {
		free(set->segments[i].done);
		set->segments[i].done = NULL;
	}
	set->merged = end;
}

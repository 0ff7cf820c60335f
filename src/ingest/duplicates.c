/* duplicates.c: an external merge sort of (hash, record), and what to do where hashes meet. */
#include "ingest/duplicates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define RUN_BYTES (2u << 20)

/* Runs and the file that holds them are ordered by hash, then by record. */
struct entry {
	uint64_t hash;
	uint64_t record;
};
#define RUN_ENTRIES (RUN_BYTES / sizeof(struct entry))
#define ENTRIES_FIRST 256 /* most files are small, and many may be on their way at once */

struct duplicates {
	struct blobs *blobs;
	struct entry *entries; /* the run being collected; while merging, the runs' read buffers */
	size_t count, room;
	struct blob_writer *spill; /* full runs, the last may be shorter; NULL: no run was */
	size_t runs;
};

bool duplicates_open(struct blobs *blobs, struct duplicates **ret, struct error *err)
{
	struct duplicates *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return fail_memory(err);
	d->blobs = blobs;
	*ret = d;
	return true;
}

void duplicates_close(struct duplicates *d)
{
	if (d == NULL)
		return;
	blob_abort(d->spill);
	free(d->entries);
	free(d);
}

/* ---- sorting a run ---- */

static bool before(const struct entry *a, const struct entry *b)
{
	return a->hash != b->hash ? a->hash < b->hash : a->record < b->record;
}

static void insertion_sort(struct entry *e, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct entry moving = e[i];
		size_t at = i;

		for (; at > 0 && before(&moving, &e[at - 1]); at--)
			e[at] = e[at - 1];
		e[at] = moving;
	}
}

#define SORT_LEVELS 16 /* bytes of an entry, the most significant first */
#define SORT_SMALL 32

static unsigned byte_at(const struct entry *e, unsigned level)
{
	uint64_t half = level < 8 ? e->hash : e->record;

	return half >> (56 - 8 * (level % 8)) & 0xff;
}

/* Sorts by the byte at `level`, in place, then each of the 256 parts by the next. Hashes are
 * spread evenly, so two levels do nearly all the work: a third of the time of qsort(), which also
 * would allocate a second run. Where all hashes are the same, the records' bytes are next.
 * NOLINTNEXTLINE(misc-no-recursion): SORT_LEVELS deep at most */
static void radix_sort(struct entry *e, size_t n, unsigned level)
{
	size_t next[256] = { 0 }, end[256];
	size_t sum = 0;

	if (n <= SORT_SMALL || level == SORT_LEVELS) {
		insertion_sort(e, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		next[byte_at(&e[i], level)]++;
	for (unsigned part = 0; part < 256; part++) {
		size_t size = next[part];

		next[part] = sum;
		sum += size;
		end[part] = sum;
	}
	for (unsigned part = 0; part < 256; part++) {
		while (next[part] < end[part]) {
			struct entry moving = e[next[part]];
			unsigned home = byte_at(&moving, level);

			e[next[part]] = e[next[home]];
			e[next[home]++] = moving;
		}
	}
	for (unsigned part = 0; part < 256; part++) {
		size_t first = part == 0 ? 0 : end[part - 1];

		radix_sort(e + first, end[part] - first, level + 1);
	}
}

/* ---- collecting ---- */

static bool run_spill(struct duplicates *d, struct error *err)
{
	struct slice bytes = { (const char *)d->entries, d->count * sizeof(*d->entries) };

	if (d->runs == 0 && !blob_create(d->blobs, &d->spill, err))
		return false;
	radix_sort(d->entries, d->count, 0);
	if (!blob_write(d->spill, bytes, err))
		return false;
	d->runs++;
	d->count = 0;
	return true;
}

static size_t room_next(const struct duplicates *d)
{
	size_t room = d->room == 0 ? ENTRIES_FIRST : d->room * 2;

	return room < RUN_ENTRIES ? room : RUN_ENTRIES;
}

uint64_t duplicates_bytes(const struct duplicates *d)
{
	return d->room * sizeof(*d->entries);
}

uint64_t duplicates_growth(const struct duplicates *d, size_t records)
{
	return records <= d->room - d->count ? 0 : (room_next(d) - d->room) * sizeof(*d->entries);
}

static bool room_make(struct duplicates *d, struct error *err)
{
	size_t room = room_next(d);

	if (d->room == RUN_ENTRIES)
		return run_spill(d, err);
	struct entry *entries = realloc(d->entries, room * sizeof(*entries));
	if (entries == NULL)
		return fail_memory(err);
	d->entries = entries;
	d->room = room;
	return true;
}

bool duplicates_add(struct duplicates *d, uint64_t hash, uint64_t record, struct error *err)
{
	if (d->count == d->room && !room_make(d, err))
		return false;
	d->entries[d->count++] = (struct entry){ hash, record };
	return true;
}

/* ---- where hashes meet ---- */

/* The entries of one hash, as they come by in the order of records. Nearly always there is one. */
struct group {
	const struct duplicates_io *io;
	struct entry first;
	bool empty;
	/* The different custom_ids of that hash, filled when a second entry comes: one, and two
	 * only where the 64 bits of different custom_ids are equal. */
	struct buf ids;
};

struct id {
	size_t n;
	char text[CUSTOM_ID_MAX_BYTES];
};

static bool id_read(const struct group *g, uint64_t record, struct id *ret, struct error *err)
{
	return g->io->read_id(g->io->ctx, record, ret->text, &ret->n, err);
}

static bool group_knows(const struct group *g, const struct id *id)
{
	struct id known;

	for (size_t at = 0; at < g->ids.n; at += sizeof(known)) {
		memcpy(&known, g->ids.p + at, sizeof(known));
		if (known.n == id->n && memcmp(known.text, id->text, id->n) == 0)
			return true;
	}
	return false;
}

static bool group_add(struct group *g, const struct entry *e, struct error *err)
{
	struct id id = { 0 };

	if (g->empty || g->first.hash != e->hash) {
		g->empty = false;
		g->first = *e;
		buf_clear(&g->ids);
		return true;
	}
	if (g->ids.n == 0) {
		if (!id_read(g, g->first.record, &id, err))
			return false;
		buf_append(&g->ids, &id, sizeof(id));
	}
	if (!id_read(g, e->record, &id, err))
		return false;
	if (group_knows(g, &id))
		return g->io->mark(g->io->ctx, e->record, err);
	buf_append(&g->ids, &id, sizeof(id));
	return !g->ids.failed || fail_memory(err);
}

/* ---- merging ---- */

/* One run being read: its part of the buffer, and what of the file has not been read. */
struct cursor {
	struct entry *buffer;
	size_t at, held;
	uint64_t file_at, file_end;
};

static const struct entry *cursor_entry(const struct cursor *c)
{
	return &c->buffer[c->at];
}

/* Fills the empty buffer; leaves it empty at the end of the run. */
static bool cursor_fill(struct cursor *c, const struct blob_reader *spill, size_t room,
			struct error *err)
{
	uint64_t left = (c->file_end - c->file_at) / sizeof(*c->buffer);
	size_t n = left < room ? (size_t)left : room;

	if (!blob_read_at(spill, c->file_at, c->buffer, n * sizeof(*c->buffer), err))
		return false;
	c->file_at += n * sizeof(*c->buffer);
	c->at = 0;
	c->held = n;
	return true;
}

/* A heap: the run with the least entry on top, no parent behind its children. */
static void heap_sink(struct cursor *heap, size_t n, size_t at)
{
	struct cursor moving = heap[at];

	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n &&
		    before(cursor_entry(&heap[child + 1]), cursor_entry(&heap[child])))
			child++;
		if (!before(cursor_entry(&heap[child]), cursor_entry(&moving)))
			break;
		heap[at] = heap[child];
	}
	heap[at] = moving;
}

static bool runs_merge(struct duplicates *d, struct cursor *heap, struct group *g,
		       struct error *err)
{
	size_t room = RUN_ENTRIES / d->runs; /* each run's share of the buffer */
	uint64_t total = (d->runs - 1) * (uint64_t)RUN_BYTES + d->count * sizeof(struct entry);
	const struct blob_reader *spill = blob_writer_reader(d->spill);
	size_t n = d->runs;

	if (room == 0)
		return fail_sys(err, EFBIG, "merging %zu runs of hashes", d->runs);
	for (size_t i = 0; i < n; i++) {
		heap[i].buffer = d->entries + i * room;
		heap[i].file_at = i * (uint64_t)RUN_BYTES;
		heap[i].file_end = i + 1 < n ? heap[i].file_at + RUN_BYTES : total;
		if (!cursor_fill(&heap[i], spill, room, err))
			return false;
	}
	for (size_t i = n / 2; i-- > 0;)
		heap_sink(heap, n, i);
	while (n > 0) {
		struct cursor *least = &heap[0];

		if (!group_add(g, cursor_entry(least), err))
			return false;
		if (++least->at == least->held && !cursor_fill(least, spill, room, err))
			return false;
		if (least->held == 0)
			*least = heap[--n];
		heap_sink(heap, n, 0);
	}
	return true;
}

static bool spilled_resolve(struct duplicates *d, struct group *g, struct error *err)
{
	size_t last = d->count; /* at least 1: a run is spilled when an entry finds no room */

	if (!run_spill(d, err))
		return false;
	d->count = last;
	AUTO(auto_free) struct cursor *heap = calloc(d->runs, sizeof(*heap));
	if (heap == NULL)
		return fail_memory(err);
	return runs_merge(d, heap, g, err);
}

static bool held_resolve(struct duplicates *d, struct group *g, struct error *err)
{
	radix_sort(d->entries, d->count, 0);
	for (size_t i = 0; i < d->count; i++)
		if (!group_add(g, &d->entries[i], err))
			return false;
	return true;
}

bool duplicates_resolve(struct duplicates *d, const struct duplicates_io *io, struct error *err)
{
	struct group g = { .io = io, .empty = true, .ids = BUF(16u << 20) };
	bool ok = d->runs == 0 ? held_resolve(d, &g, err) : spilled_resolve(d, &g, err);

	buf_free(&g.ids);
	return ok;
}

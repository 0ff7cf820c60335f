/* duplicates.c: an external sort of (hash, record), and what to do where hashes meet.
 *
 * A run is spilled in 256 parts by the first byte of its hashes, not sorted further. At the end a part
 * of all runs is read at once and sorted in the processor's cache: half the time of sorting whole runs
 * and merging them. Only a part that is too large for that (many lines, or many equal hashes) is merged,
 * run by run. */
#include "ingest/duplicates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define RUN_BYTES (2u << 20)

/* Ordered by hash, then by record. */
struct entry {
	uint64_t hash;
	uint64_t record;
};
#define RUN_ENTRIES (RUN_BYTES / sizeof(struct entry))
#define PARTS 256
#define ENTRIES_FIRST 256 /* most files are small, and many may be on their way at once */

/* Where in a run the entries of each first byte begin. */
struct run_parts {
	uint32_t begin[PARTS + 1];
};

struct duplicates {
	struct blobs *blobs;
	struct entry *entries; /* the run being collected; afterwards a part, or the runs' buffers */
	size_t count, room;
	struct blob_writer *spill; /* full runs, the last may be shorter; NULL: no run was */
	struct run_parts *run;     /* of each of them */
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
	free(d->run);
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
#define SORT_SMALL 64  /* what a part of a full run's 256 is by its next byte, and more */

static unsigned byte_at(const struct entry *e, unsigned level)
{
	uint64_t half = level < 8 ? e->hash : e->record;

	return half >> (56 - 8 * (level % 8)) & 0xff;
}

/* Puts the entries in order by their byte at `level` alone, in place; begin[i]: where those with byte i
 * begin. */
static void parts_make(struct entry *e, size_t n, unsigned level, uint32_t begin[static PARTS + 1])
{
	uint32_t next[PARTS] = { 0 }, sum = 0;

	for (size_t i = 0; i < n; i++)
		next[byte_at(&e[i], level)]++;
	for (unsigned part = 0; part < PARTS; part++) {
		uint32_t size = next[part];

		next[part] = begin[part] = sum;
		sum += size;
	}
	begin[PARTS] = sum;
	for (unsigned part = 0; part < PARTS; part++) {
		while (next[part] < begin[part + 1]) {
			struct entry moving = e[next[part]];
			unsigned home = byte_at(&moving, level);

			e[next[part]] = e[next[home]];
			e[next[home]++] = moving;
		}
	}
}

/* Entries that agree in the bytes before `level`, by those from there on, in place. Hashes are spread
 * evenly, so one level does nearly all the work. Where all hashes are the same, the records' bytes are
 * next. NOLINTNEXTLINE(misc-no-recursion): SORT_LEVELS deep at most */
static void radix_sort(struct entry *e, size_t n, unsigned level)
{
	uint32_t begin[PARTS + 1];

	if (n <= SORT_SMALL || level == SORT_LEVELS) {
		insertion_sort(e, n);
		return;
	}
	parts_make(e, n, level, begin);
	for (unsigned part = 0; part < PARTS; part++)
		radix_sort(e + begin[part], begin[part + 1] - begin[part], level + 1);
}

/* ---- collecting ---- */

static bool run_spill(struct duplicates *d, struct error *err)
{
	struct slice bytes = { (const char *)d->entries, d->count * sizeof(*d->entries) };
	struct run_parts *run = realloc(d->run, (d->runs + 1) * sizeof(*run));

	if (run == NULL)
		return fail_memory(err);
	d->run = run;
	if (d->runs == 0 && !blob_scratch_create(d->blobs, &d->spill, err))
		return false;
	parts_make(d->entries, d->count, 0, run[d->runs].begin);
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
	return d->room * sizeof(*d->entries) + d->runs * sizeof(*d->run);
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

/* Another entry of the group's hash. */
static bool group_grow(struct group *g, const struct entry *e, struct error *err)
{
	struct id id = { 0 };

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

static bool group_add(struct group *g, const struct entry *e, struct error *err)
{
	if (!g->empty && g->first.hash == e->hash)
		return group_grow(g, e, err);
	g->empty = false;
	g->first = *e;
	buf_clear(&g->ids);
	return true;
}

/* ---- parts ---- */

static bool sorted_resolve(struct duplicates *d, size_t n, struct group *g, struct error *err)
{
	for (size_t i = 0; i < n; i++)
		if (!group_add(g, &d->entries[i], err))
			return false;
	return true;
}

/* Where the entries of a part stand in the file. */
static void part_range(const struct duplicates *d, size_t run, unsigned part, uint64_t *ret_at,
		       uint64_t *ret_end)
{
	const uint32_t *begin = d->run[run].begin;
	uint64_t at = run * (uint64_t)RUN_BYTES;

	*ret_at = at + begin[part] * sizeof(struct entry);
	*ret_end = at + begin[part + 1] * sizeof(struct entry);
}

/* Reads the part of one run to `to`. */
static bool part_read(struct duplicates *d, size_t run, unsigned part, struct entry *to,
		      struct error *err)
{
	uint64_t at, end;

	part_range(d, run, part, &at, &end);
	return blob_read_at(blob_writer_reader(d->spill), at, to, (size_t)(end - at), err);
}

static size_t part_entries(const struct duplicates *d, size_t run, unsigned part)
{
	return d->run[run].begin[part + 1] - d->run[run].begin[part];
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

/* Sorts the part of each run, where it stands. */
static bool runs_sort(struct duplicates *d, unsigned part, struct error *err)
{
	for (size_t i = 0; i < d->runs; i++) {
		size_t n = part_entries(d, i, part);
		struct slice bytes = { (const char *)d->entries, n * sizeof(*d->entries) };
		uint64_t at, end;

		part_range(d, i, part, &at, &end);
		if (!part_read(d, i, part, d->entries, err))
			return false;
		radix_sort(d->entries, n, 1);
		if (!blob_overwrite(d->spill, at, bytes, err))
			return false;
	}
	return true;
}

/* A cursor at the sorted part of each run that has some of it. */
static bool cursors_open(struct duplicates *d, unsigned part, struct cursor *heap, size_t *ret_n,
			 struct error *err)
{
	size_t room = RUN_ENTRIES / d->runs; /* each run's share of the buffer */
	size_t n = 0;

	if (room == 0)
		return fail_sys(err, EFBIG, "merging %zu runs of hashes", d->runs);
	for (size_t i = 0; i < d->runs; i++) {
		if (part_entries(d, i, part) == 0)
			continue;
		heap[n] = (struct cursor){ .buffer = d->entries + n * room };
		part_range(d, i, part, &heap[n].file_at, &heap[n].file_end);
		if (!cursor_fill(&heap[n++], blob_writer_reader(d->spill), room, err))
			return false;
	}
	*ret_n = n;
	return true;
}

static bool part_merge(struct duplicates *d, unsigned part, struct group *g, struct error *err)
{
	AUTO(auto_free) struct cursor *heap = calloc(d->runs, sizeof(*heap));
	const struct blob_reader *spill = blob_writer_reader(d->spill);
	size_t room = RUN_ENTRIES / d->runs, n = 0;

	if (heap == NULL)
		return fail_memory(err);
	if (!runs_sort(d, part, err) || !cursors_open(d, part, heap, &n, err))
		return false;
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

static bool part_resolve(struct duplicates *d, unsigned part, struct group *g, struct error *err)
{
	uint64_t all = 0;
	size_t n = 0;

	for (size_t i = 0; i < d->runs; i++)
		all += part_entries(d, i, part);
	if (all > RUN_ENTRIES)
		return part_merge(d, part, g, err);
	for (size_t i = 0; i < d->runs; i++) {
		if (!part_read(d, i, part, d->entries + n, err))
			return false;
		n += part_entries(d, i, part);
	}
	radix_sort(d->entries, n, 1);
	return sorted_resolve(d, n, g, err);
}

static bool spilled_resolve(struct duplicates *d, struct group *g, struct error *err)
{
	/* at least one entry is left: a run is spilled when an entry finds no room */
	if (!run_spill(d, err))
		return false;
	for (unsigned part = 0; part < PARTS; part++)
		if (!part_resolve(d, part, g, err))
			return false;
	return true;
}

static bool held_resolve(struct duplicates *d, struct group *g, struct error *err)
{
	radix_sort(d->entries, d->count, 0);
	return sorted_resolve(d, d->count, g, err);
}

bool duplicates_resolve(struct duplicates *d, const struct duplicates_io *io, struct error *err)
{
	struct group g = { .io = io, .empty = true, .ids = BUF(16u << 20) };
	bool ok = d->runs == 0 ? held_resolve(d, &g, err) : spilled_resolve(d, &g, err);

	buf_free(&g.ids);
	return ok;
}

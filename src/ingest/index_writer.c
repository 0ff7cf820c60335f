/* index_writer.c: an index in the making: records in a buffer, names by number, what its lines
 * have in common. */
#include "ingest/index_writer.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/json.h"
#include "ingest/index_format.h"

/* The names of a summary as they are met: the number of each is the order of first appearance. */
struct names {
	char ***texts; /* of the summary, as are the next two */
	unsigned *count;
	bool *overflow;
	uint64_t hashes[INDEX_NAMES_MAX];
	/* Nearly every line has the name that the line before it has. */
	char last[INDEX_NAME_BYTES]; /* raw */
	size_t last_n;               /* 0: none */
	uint16_t last_number;
};

#define KIN_SLOTS 4096
#define KIN_SHARE 8 /* one line in so many */

/* How many lines share a prefix with one shortly before them. A line that agrees with another at a
 * level agrees with it at those below: it counts at the longest one. */
struct kin {
	uint32_t recent[KIN_SLOTS]; /* hashes of any level, each where its low bits say; 0: none */
	uint64_t lines[PREFIX_LEVELS];
	uint32_t first[PREFIX_LEVELS]; /* hash of the first line that has that level */
	bool differ[PREFIX_LEVELS];    /* another line has another */
};

static void kin_add(struct kin *kin, const struct prefix *prefix)
{
	int longest = -1;

	for (int level = 0; level < PREFIX_LEVELS && prefix->hash[level] != 0; level++) {
		uint32_t hash = prefix->hash[level];
		uint32_t *slot = &kin->recent[hash % KIN_SLOTS];

		if (*slot == hash)
			longest = level;
		*slot = hash;
		if (kin->first[level] == 0)
			kin->first[level] = hash;
		kin->differ[level] |= kin->first[level] != hash;
	}
	if (longest >= 0)
		kin->lines[longest]++;
}

/* A level at which all lines agree tells none of them from another; one that agrees with others
 * beyond the first level that does is worth sending next to them. */
static bool kin_pay(const struct kin *kin, uint64_t lines)
{
	uint64_t paying = 0;
	bool differ = false;

	for (int level = 0; level < PREFIX_LEVELS; level++) {
		differ |= kin->differ[level];
		if (differ)
			paying += kin->lines[level];
	}
	return paying >= 2 && paying >= lines / KIN_SHARE + (lines % KIN_SHARE != 0);
}

#define BUFFER_RECORDS 1024
#define WINDOW_RECORDS 64

struct index_writer {
	struct blob_writer *file; /* NULL: committed, or ended */
	size_t record_bytes; /* in the file: those of version 1 as long as no line has a prefix */
	struct index_summary summary;
	struct names urls, models;
	struct kin kin;
	/* While adding: records not yet written, those from number `first` on. After that, a window
	 * of the written ones, so that neighbours cost one read and one write together. */
	struct index_record buffer[BUFFER_RECORDS];
	uint64_t first;
	size_t held;
	bool window, changed;
};

bool index_writer_open(struct blobs *blobs, struct index_writer **ret, struct error *err)
{
	static const struct index_header none;
	struct index_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return fail_memory(err);
	struct index_summary *s = &w->summary;
	w->record_bytes = INDEX_RECORD_BYTES_V1;
	w->urls = (struct names){ &s->urls, &s->url_count, &s->url_overflow };
	w->models = (struct names){ &s->models, &s->model_count, &s->model_overflow };
	if (!blob_create(blobs, &w->file, err) ||
	    !blob_write(w->file, (struct slice){ (const char *)&none, sizeof(none) }, err)) {
		index_writer_close(w);
		return false;
	}
	*ret = w;
	return true;
}

void index_writer_close(struct index_writer *w)
{
	if (w == NULL)
		return;
	blob_abort(w->file);
	index_summary_done(&w->summary);
	free(w);
}

/* The number of a name that is not the last one's; a new one is listed if there is room. */
static bool name_find(struct names *names, struct slice raw, uint16_t *ret, struct error *err)
{
	char text[INDEX_NAME_BYTES];
	size_t n = json_decode(raw, text, sizeof(text));

	*ret = INDEX_OTHER;
	if (n > sizeof(text) || memchr(text, '\0', n) != NULL) {
		*names->overflow = true;
		return true;
	}
	uint64_t hash = XXH3_64bits(text, n);
	for (unsigned i = 0; i < *names->count; i++) {
		if (names->hashes[i] == hash &&
		    slice_eq(slice_of((*names->texts)[i]), (struct slice){ text, n })) {
			*ret = (uint16_t)i;
			return true;
		}
	}
	if (*names->count == INDEX_NAMES_MAX) {
		*names->overflow = true;
		return true;
	}
	names->hashes[*names->count] = hash;
	if (!index_name_add(names->texts, names->count, strndup(text, n), err))
		return false;
	*ret = (uint16_t)(*names->count - 1);
	return true;
}

static bool name_number(struct names *names, struct slice raw, uint16_t *ret, struct error *err)
{
	*ret = INDEX_OTHER;
	if (raw.p == NULL)
		return true;
	if (raw.n > 0 && slice_eq(raw, (struct slice){ names->last, names->last_n })) {
		*ret = names->last_number;
		return true;
	}
	if (!name_find(names, raw, ret, err))
		return false;
	names->last_n = 0;
	if (*ret != INDEX_OTHER && raw.n <= sizeof(names->last)) {
		memcpy(names->last, raw.p, raw.n);
		names->last_n = raw.n;
		names->last_number = *ret;
	}
	return true;
}

/* `n` records as they stand in the file, in their own place, where they are records no more. */
static struct slice records_pack(const struct index_writer *w, struct index_record *records,
				 size_t n)
{
	char *to = (char *)records;

	for (size_t i = 1; w->record_bytes < sizeof(*records) && i < n; i++)
		memmove(to + i * w->record_bytes, &records[i], w->record_bytes);
	return (struct slice){ to, n * w->record_bytes };
}

static bool buffer_flush(struct index_writer *w, struct error *err)
{
	size_t n = w->held;

	w->held = 0;
	if (!blob_write(w->file, records_pack(w, w->buffer, n), err))
		return false;
	w->first += n;
	return true;
}

/* ---- the first line with a prefix ---- */

#define MOVED_RECORDS 256

/* The records that are written, from the last on, to where they stand if each has `bytes` bytes.
 * There is room for them. */
static bool records_move(struct index_writer *w, size_t bytes, struct error *err)
{
	struct index_record records[MOVED_RECORDS];
	const struct blob_reader *file = blob_writer_reader(w->file);

	for (uint64_t end = w->first; end > 0;) {
		size_t n = end < MOVED_RECORDS ? (size_t)end : MOVED_RECORDS;
		size_t old = n * w->record_bytes;
		char *at = (char *)(records + n) - old;

		end -= n;
		if (!blob_read_at(file, index_record_offset(end, w->record_bytes), at, old, err))
			return false;
		index_records_widen(records, n, w->record_bytes);
		struct slice moved = { (const char *)records, n * bytes };
		if (!blob_overwrite(w->file, index_record_offset(end, bytes), moved, err))
			return false;
	}
	return true;
}

/* From here on records have room for a prefix. */
static bool records_grow(struct index_writer *w, struct error *err)
{
	static const char zeros[4096];
	size_t bytes = sizeof(struct index_record);
	uint64_t more = w->first * (bytes - w->record_bytes);

	for (size_t n; more > 0; more -= n) {
		n = more < sizeof(zeros) ? (size_t)more : sizeof(zeros);
		if (!blob_write(w->file, (struct slice){ zeros, n }, err))
			return false;
	}
	if (!records_move(w, bytes, err))
		return false;
	w->record_bytes = bytes;
	return true;
}

bool index_writer_add(struct index_writer *w, struct index_record *record, struct slice model,
		      struct slice url, struct error *err)
{
	struct index_summary *s = &w->summary;

	if (!name_number(&w->models, model, &record->model, err) ||
	    !name_number(&w->urls, url, &record->url, err))
		return false;
	if (w->held == BUFFER_RECORDS && !buffer_flush(w, err))
		return false;
	if (record->prefix.hash[0] != 0 && w->record_bytes < sizeof(*record) &&
	    !records_grow(w, err))
		return false;
	w->buffer[w->held++] = *record;
	s->lines++;
	s->inputs += record->inputs;
	s->body_bytes += record->body_length;
	s->flags_any |= record_flags(record);
	kin_add(&w->kin, &record->prefix);
	return true;
}

/* Ends adding, or writes back what was changed in the window. */
static bool buffer_settle(struct index_writer *w, struct error *err)
{
	if (!w->window) {
		w->window = true;
		return buffer_flush(w, err);
	}
	size_t n = w->held;
	uint64_t at = index_record_offset(w->first, w->record_bytes);

	if (!w->changed)
		return true;
	w->held = 0;
	w->changed = false;
	return blob_overwrite(w->file, at, records_pack(w, w->buffer, n), err);
}

static bool window_move(struct index_writer *w, uint64_t number, struct error *err)
{
	if (!buffer_settle(w, err))
		return false;
	uint64_t first = number - number % WINDOW_RECORDS;
	uint64_t left = w->summary.lines - first;
	size_t n = left < WINDOW_RECORDS ? (size_t)left : WINDOW_RECORDS;

	size_t bytes = n * w->record_bytes;
	char *at = (char *)(w->buffer + n) - bytes;

	w->held = 0;
	if (!blob_read_at(blob_writer_reader(w->file), index_record_offset(first, w->record_bytes),
			  at, bytes, err))
		return false;
	index_records_widen(w->buffer, n, w->record_bytes);
	w->first = first;
	w->held = n;
	return true;
}

static bool record_reach(struct index_writer *w, uint64_t number, struct index_record **ret,
			 struct error *err)
{
	bool near = w->window && number >= w->first && number - w->first < w->held;

	if (!near && !window_move(w, number, err))
		return false;
	*ret = &w->buffer[number - w->first];
	return true;
}

bool index_writer_record(struct index_writer *w, uint64_t number, const struct index_record **ret,
			 struct error *err)
{
	struct index_record *record;

	if (!record_reach(w, number, &record, err))
		return false;
	*ret = record;
	return true;
}

bool index_writer_mark(struct index_writer *w, uint64_t number, enum line_flag flag,
		       struct error *err)
{
	struct index_record *record;

	if (!record_reach(w, number, &record, err))
		return false;
	record_set_flags(record, record_flags(record) | flag);
	w->summary.flags_any |= flag;
	w->changed = true;
	return true;
}

bool index_writer_finish(struct index_writer *w, struct error *err)
{
	AUTO(buf_free) struct buf footer = BUF(INDEX_FOOTER_MAX);

	w->summary.prefixes = kin_pay(&w->kin, w->summary.lines);
	index_summary_format(&w->summary, &footer);
	if (footer.failed)
		return fail_memory(err);
	struct index_header h = {
		.magic = INDEX_MAGIC,
		.version = w->record_bytes == INDEX_RECORD_BYTES_V1 ? 1 : INDEX_VERSION,
		.record_bytes = (uint32_t)w->record_bytes,
		.records = w->summary.lines,
		.footer_at = index_record_offset(w->summary.lines, w->record_bytes),
		.footer_bytes = footer.n,
	};
	h.check = index_header_check(h, buf_slice(&footer));
	return buffer_settle(w, err) && blob_write(w->file, buf_slice(&footer), err) &&
	       blob_overwrite(w->file, 0, (struct slice){ (const char *)&h, sizeof(h) }, err) &&
	       blob_sync(w->file, err);
}

const struct index_summary *index_writer_summary(const struct index_writer *w)
{
	return &w->summary;
}

bool index_writer_commit(struct index_writer *w, const char *id, struct error *err)
{
	return blob_commit(TAKE(w->file), id, BLOB_INDEX, err);
}

struct blob_reader *index_writer_end(struct index_writer *w)
{
	return blob_writer_end(TAKE(w->file));
}

/* index.c: the line index of a file, written (index_writer.h) and read (index.h).
 *
 *	+--------------------+ 0
 *	| struct index_header|   64 bytes, written last: a file cut off in the making has no magic
 *	+--------------------+ 64
 *	| struct index_record|   72 bytes each; 48 in version 1, which ended before `prefix`
 *	| ...                |
 *	+--------------------+ header.footer_at
 *	| summary            |   JSON text, header.footer_bytes
 *	+--------------------+ the file ends here
 *
 * To change the layout: raise INDEX_VERSION, and go on reading the versions that users have: their
 * batches go on after an upgrade. One of a later version is refused. */
#include "ingest/index.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/json.h"
#include "base/sys.h"
#include "ingest/index_writer.h"

#define INDEX_MAGIC UINT64_C(0x005845444e49544c) /* "LTINDEX\0"; on a big-endian machine another */
#define INDEX_VERSION 2

/* What a record of version 1 is: the beginning of one of today. */
#define RECORD_BYTES_V1 offsetof(struct index_record, prefix)
_Static_assert(RECORD_BYTES_V1 == 48, "the record of version 1 was 48 bytes");

struct index_header {
	uint64_t magic;
	uint32_t version;
	uint32_t record_bytes;
	uint64_t records;
	uint64_t footer_at;
	uint64_t footer_bytes;
	uint64_t check; /* XXH3 of the footer, seeded with XXH3 of this header where check is 0 */
	uint64_t spare[2];
};
_Static_assert(sizeof(struct index_header) == 64, "the index file's header is 64 bytes");

/* Names of 256 bytes, each byte six in JSON, twice 256 of them, and some numbers. */
#define FOOTER_MAX (1u << 20)

static uint64_t header_check(struct index_header h, struct slice footer)
{
	h.check = 0;
	return XXH3_64bits_withSeed(footer.p, footer.n, XXH3_64bits(&h, sizeof(h)));
}

/* In an index of this version. */
static uint64_t record_offset(uint64_t number)
{
	return sizeof(struct index_header) + number * sizeof(struct index_record);
}

void index_summary_done(struct index_summary *s)
{
	for (unsigned i = 0; i < s->url_count; i++)
		free(s->urls[i]);
	for (unsigned i = 0; i < s->model_count; i++)
		free(s->models[i]);
	*s = (struct index_summary){ 0 };
}

/* ---- the summary as JSON ---- */

static void names_format(struct buf *to, const char *member, char *const *names, unsigned count)
{
	buf_printf(to, ",\"%s\":[", member);
	for (unsigned i = 0; i < count; i++) {
		if (i > 0)
			buf_char(to, ',');
		buf_json_string(to, slice_of(names[i]));
	}
	buf_char(to, ']');
}

static void summary_format(const struct index_summary *s, struct buf *to)
{
	buf_printf(to, "{\"lines\":%llu,\"inputs\":%llu,\"body_bytes\":%llu,\"flags\":%u",
		   (unsigned long long)s->lines, (unsigned long long)s->inputs,
		   (unsigned long long)s->body_bytes, s->flags_any);
	buf_printf(to, ",\"url_overflow\":%u,\"model_overflow\":%u,\"prefixes\":%u",
		   s->url_overflow, s->model_overflow, s->prefixes);
	names_format(to, "urls", s->urls, s->url_count);
	names_format(to, "models", s->models, s->model_count);
	buf_char(to, '}');
}

static bool corrupt(struct error *err, const char *what)
{
	return fail_sys(err, EBADMSG, "index: %s", what);
}

static bool summary_corrupt(struct error *err)
{
	return corrupt(err, "its summary makes no sense");
}

static bool names_parse(struct json *j, char **names, unsigned *ret_count, struct error *err)
{
	if (json_next(j) != JSON_ARRAY)
		return summary_corrupt(err);
	while (json_element(j)) {
		if (json_next(j) != JSON_STRING || *ret_count == INDEX_NAMES_MAX)
			return summary_corrupt(err);
		struct slice raw = { j->value.p + 1, j->value.n - 2 };
		size_t n = json_decode(raw, NULL, 0);
		char *name = malloc(n + 1);
		if (name == NULL)
			return fail_memory(err);
		json_decode(raw, name, n);
		name[n] = '\0';
		names[(*ret_count)++] = name;
	}
	return !j->bad || summary_corrupt(err);
}

static bool number_parse(struct json *j, uint64_t *ret, struct error *err)
{
	return (json_next(j) == JSON_NUMBER && json_u64(j->value, ret)) || summary_corrupt(err);
}

static bool summary_parse(struct slice text, struct index_summary *s, struct error *err)
{
	uint64_t flags = 0, urls_over = 0, models_over = 0, prefixes = 0;
	const struct {
		const char *name;
		uint64_t *to;
	} numbers[] = {
		{ "lines", &s->lines },           { "inputs", &s->inputs },
		{ "body_bytes", &s->body_bytes }, { "flags", &flags },
		{ "url_overflow", &urls_over },   { "model_overflow", &models_over },
		{ "prefixes", &prefixes },
	};
	struct json j;
	struct slice key;

	json_init(&j, text);
	if (json_next(&j) != JSON_OBJECT)
		return summary_corrupt(err);
	while (json_member(&j, &key)) {
		uint64_t *number = NULL;
		for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
			if (json_key_is(key, numbers[i].name))
				number = numbers[i].to;
		bool ok = number != NULL ? number_parse(&j, number, err)
			  : json_key_is(key, "urls")
				  ? names_parse(&j, s->urls, &s->url_count, err)
				  : names_parse(&j, s->models, &s->model_count, err);
		if (!ok)
			return false;
	}
	s->flags_any = (uint32_t)flags;
	s->url_overflow = urls_over != 0;
	s->model_overflow = models_over != 0;
	s->prefixes = prefixes != 0;
	return json_end(&j) || summary_corrupt(err);
}

/* ---- writing ---- */

/* The names of a summary as they are met: the number of each is the order of first appearance. */
struct names {
	char **texts; /* of the summary, as are the next two */
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
	w->urls = (struct names){ s->urls, &s->url_count, &s->url_overflow };
	w->models = (struct names){ s->models, &s->model_count, &s->model_overflow };
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
		    slice_eq(slice_of(names->texts[i]), (struct slice){ text, n })) {
			*ret = (uint16_t)i;
			return true;
		}
	}
	if (*names->count == INDEX_NAMES_MAX) {
		*names->overflow = true;
		return true;
	}
	char *name = strndup(text, n);
	if (name == NULL)
		return fail_memory(err);
	names->hashes[*names->count] = hash;
	names->texts[*names->count] = name;
	*ret = (uint16_t)(*names->count)++;
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

static struct slice held_bytes(const struct index_writer *w)
{
	return (struct slice){ (const char *)w->buffer, w->held * sizeof(w->buffer[0]) };
}

static bool buffer_flush(struct index_writer *w, struct error *err)
{
	if (!blob_write(w->file, held_bytes(w), err))
		return false;
	w->first += w->held;
	w->held = 0;
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
	if (w->changed && !blob_overwrite(w->file, record_offset(w->first), held_bytes(w), err))
		return false;
	w->changed = false;
	return true;
}

static bool window_move(struct index_writer *w, uint64_t number, struct error *err)
{
	if (!buffer_settle(w, err))
		return false;
	uint64_t first = number - number % WINDOW_RECORDS;
	uint64_t left = w->summary.lines - first;
	size_t n = left < WINDOW_RECORDS ? (size_t)left : WINDOW_RECORDS;

	w->held = 0;
	if (!blob_read_at(blob_writer_reader(w->file), record_offset(first), w->buffer,
			  n * sizeof(w->buffer[0]), err))
		return false;
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
	AUTO(buf_free) struct buf footer = BUF(FOOTER_MAX);

	w->summary.prefixes = kin_pay(&w->kin, w->summary.lines);
	summary_format(&w->summary, &footer);
	if (footer.failed)
		return fail_memory(err);
	struct index_header h = {
		.magic = INDEX_MAGIC,
		.version = INDEX_VERSION,
		.record_bytes = sizeof(struct index_record),
		.records = w->summary.lines,
		.footer_at = record_offset(w->summary.lines),
		.footer_bytes = footer.n,
	};
	h.check = header_check(h, buf_slice(&footer));
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

/* ---- reading ---- */

struct index {
	struct blob_reader *file; /* NULL: let go */
	uint32_t record_bytes;
	struct index_summary summary;
};

/* Of a record, by the version; 0: unknown. */
static uint32_t version_record_bytes(uint32_t version)
{
	return version == INDEX_VERSION ? sizeof(struct index_record)
	       : version == 1           ? RECORD_BYTES_V1
					: 0;
}

static bool header_read(const struct blob_reader *file, struct index_header *h, struct error *err)
{
	uint64_t size = blob_bytes(file);

	if (size < sizeof(*h))
		return corrupt(err, "cut off in its header");
	if (!blob_read_at(file, 0, h, sizeof(*h), err))
		return false;
	if (h->magic != INDEX_MAGIC)
		return corrupt(err, "not an index of this kind of machine");
	uint32_t record_bytes = version_record_bytes(h->version);
	if (record_bytes == 0 || h->record_bytes != record_bytes)
		return corrupt(err, "of another version of the program");
	/* no sum or product here can wrap: each part is first held against the file's size */
	if (h->records > size / record_bytes ||
	    h->footer_at != sizeof(*h) + h->records * record_bytes ||
	    h->footer_bytes > FOOTER_MAX || h->footer_at + h->footer_bytes != size)
		return corrupt(err, "its size is not what its header says");
	return true;
}

static bool footer_read(const struct blob_reader *file, const struct index_header *h,
			struct index_summary *ret, struct error *err)
{
	AUTO(buf_free) struct buf footer = BUF(FOOTER_MAX);

	if (!buf_reserve(&footer, h->footer_bytes))
		return fail_memory(err);
	if (!blob_read_at(file, h->footer_at, footer.p, h->footer_bytes, err))
		return false;
	footer.n = h->footer_bytes;
	if (h->check != header_check(*h, buf_slice(&footer)))
		return corrupt(err, "its summary is damaged");
	return summary_parse(buf_slice(&footer), ret, err) &&
	       (ret->lines == h->records || summary_corrupt(err));
}

bool index_open(struct blob_reader *file, struct index **ret, struct error *err)
{
	struct index *ix = calloc(1, sizeof(*ix));
	struct index_header h;

	if (ix == NULL) {
		blob_reader_close(file);
		return fail_memory(err);
	}
	ix->file = file;
	if (!header_read(file, &h, err) || !footer_read(file, &h, &ix->summary, err)) {
		index_close(ix);
		return false;
	}
	ix->record_bytes = h.record_bytes;
	*ret = ix;
	return true;
}

void index_close(struct index *ix)
{
	if (ix == NULL)
		return;
	index_let_go(ix);
	index_summary_done(&ix->summary);
	free(ix);
}

void index_let_go(struct index *ix)
{
	if (ix == NULL)
		return;
	blob_reader_close(TAKE(ix->file));
}

void index_take(struct index *ix, struct blob_reader *file)
{
	index_let_go(ix);
	ix->file = file;
}

const struct index_summary *index_summary(const struct index *ix)
{
	return &ix->summary;
}

/* `n` records of `bytes` bytes each lie at the end of the room for `to`: they are moved to where
 * those of today stand, from the first on. None is written over that has not been moved. */
static void records_widen(struct index_record *to, size_t n, size_t bytes)
{
	const char *from = (const char *)(to + n) - n * bytes;

	for (size_t i = 0; i < n; i++) {
		struct index_record record = { 0 };

		memcpy(&record, from + i * bytes, bytes);
		to[i] = record;
	}
}

bool index_read(const struct index *ix, uint64_t first, struct index_record *to, size_t n,
		struct error *err)
{
	if (first > ix->summary.lines || n > ix->summary.lines - first)
		return corrupt(err, "records were asked for that it does not have");
	size_t bytes = n * ix->record_bytes;
	uint64_t at = sizeof(struct index_header) + first * ix->record_bytes;
	if (!blob_read_at(ix->file, at, (char *)(to + n) - bytes, bytes, err))
		return false;
	if (ix->record_bytes != sizeof(*to))
		records_widen(to, n, ix->record_bytes);
	return true;
}

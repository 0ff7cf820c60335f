/* ingest.c: bytes in, lines found, each looked at once.
 *
 * Lines are read where they lie, in the caller's chunk; only one that straddles two chunks is put
 * together in `carry`.
 *
 * What a crash leaves: before ingest_commit, files in tmp. During it, index or data or both under
 * their name but no row in the store, for that is inserted after both are durable. The start clears
 * tmp and moves blobs without a row to lost/ (blob.h), so neither is ever seen. The index gets its
 * name first: then data under a name has an index. */
#include "ingest/ingest.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/duration.h"
#include "base/id.h"
#include "base/json.h"
#include "base/sys.h"
#include "ingest/duplicates.h"
#include "ingest/feed.h"
#include "ingest/hashes.h"
#include "ingest/index_writer.h"
#include "ingest/line.h"

/* A long line's carry is given back at once: one upload may hold it, a hundred may not. */
#define CARRY_KEPT_BYTES (64u << 10)

#define BOM "\xef\xbb\xbf"
#define BOM_BYTES 3

struct ingest {
	struct blobs *blobs;
	struct blob_writer *data;             /* NULL: the bytes stay in the user's own file */
	const struct blob_reader *bytes_read; /* reads them again; NULL: forgone */
	struct index_writer *index;           /* NULL: forgone */
	struct duplicates *duplicates;
	struct hashes hashes;
	/* Keys the hashes of custom_ids: no file can be prepared in which they all collide. */
	unsigned char hash_key[XXH3_SECRET_SIZE_MIN];

	struct ingest_limits limits; /* line_bytes is never 0 here */
	uint64_t bytes;
	uint64_t charged; /* to limits.use, but for `carry` */

	/* the line at hand, of which the end has not come yet */
	uint64_t line_offset;
	uint32_t line; /* lines before it */
	uint64_t line_seen;
	struct buf carry; /* its beginning: at most what a line may have */
};

/* ---- memory ---- */

#define FIXED_BYTES (96u << 10) /* the index writer's records, for the most part */
#define LINE_LEAST 16u          /* bytes of a line with a custom_id */

static void charge_renew(struct ingest *in)
{
	bool indexed = in->duplicates != NULL;
	uint64_t bytes = indexed ? FIXED_BYTES + duplicates_bytes(in->duplicates) : 0;

	if (bytes == in->charged)
		return;
	budget_charge(in->limits.use, bytes);
	budget_give(in->limits.use, in->charged);
	in->charged = bytes;
}

bool ingest_room(struct ingest *in, size_t bytes)
{
	size_t most = in->carry.max - in->carry.n, more = bytes < most ? bytes : most;
	struct budget_use *use = in->limits.use;
	uint64_t growth = in->duplicates == NULL
				  ? 0
				  : duplicates_growth(in->duplicates, bytes / LINE_LEAST);
	bool alone = use == NULL || use->bytes <= in->charged + in->carry.cap;

	if (alone) {
		(void)buf_reserve(&in->carry, more);
		return true;
	}
	return (growth == 0 || budget_has(use, growth, 0)) && buf_try_reserve(&in->carry, more);
}

/* ---- limits ---- */

bool ingest_size_fail(enum profile profile, uint64_t most, const char *setting, struct error *err)
{
	char text[24];

	size_format(most, text);
	if (profile == PROFILE_OPENAI)
		return fail(err, ERR_INVALID, "File is too large. The limit is %s (%s).", text,
			    setting);
	return fail(err, ERR_INVALID,
		    "File size is too large, max file size is %s, please confirm and re-upload the "
		    "file (%s)",
		    text, setting);
}

bool ingest_size_check(const struct ingest_limits *limits, uint64_t bytes, struct error *err)
{
	return limits->file_bytes == 0 || bytes <= limits->file_bytes ||
	       ingest_size_fail(limits->profile, limits->file_bytes, "limits.file_bytes", err);
}

/* ---- opening and closing ---- */

static bool common_open(struct ingest *in, struct error *err)
{
	random_bytes(in->hash_key, sizeof(in->hash_key));
	return hashes_open(&in->hashes, in->limits.md5, err) &&
	       index_writer_open(in->blobs, &in->index, err) &&
	       duplicates_open(in->blobs, &in->duplicates, err);
}

static bool ingest_new(struct blobs *blobs, const struct ingest_limits *limits, struct ingest **ret,
		       struct error *err)
{
	struct ingest *in = calloc(1, sizeof(*in));

	if (in == NULL)
		return fail_memory(err);
	in->blobs = blobs;
	in->limits = *limits;
	if (in->limits.line_bytes == 0 || in->limits.line_bytes > LINE_BYTES_MOST)
		in->limits.line_bytes = LINE_BYTES_MOST;
	/* a BOM before, a CR behind, and one byte by which it shows that a line is longer */
	in->carry = BUF_OF(in->limits.line_bytes + BOM_BYTES + 2, limits->use);
	if (!common_open(in, err)) {
		ingest_abort(in);
		return false;
	}
	charge_renew(in);
	*ret = in;
	return true;
}

bool ingest_open(struct blobs *blobs, const struct ingest_limits *limits, struct ingest **ret,
		 struct error *err)
{
	struct ingest *in;

	if (!ingest_new(blobs, limits, &in, err))
		return false;
	if (!blob_create(blobs, &in->data, err)) {
		ingest_abort(in);
		return false;
	}
	in->bytes_read = blob_writer_reader(in->data);
	*ret = in;
	return true;
}

bool ingest_open_beside(struct blobs *blobs, const struct blob_reader *file,
			const struct ingest_limits *limits, struct ingest **ret, struct error *err)
{
	if (!ingest_new(blobs, limits, ret, err))
		return false;
	(*ret)->bytes_read = file;
	return true;
}

void ingest_abort(struct ingest *in)
{
	if (in == NULL)
		return;
	blob_abort(in->data);
	index_writer_close(in->index);
	duplicates_close(in->duplicates);
	hashes_close(&in->hashes);
	buf_free(&in->carry);
	budget_give(in->limits.use, in->charged);
	free(in);
}

void ingest_forgo(struct ingest *in)
{
	blob_abort(TAKE(in->data));
	index_writer_close(TAKE(in->index));
	duplicates_close(TAKE(in->duplicates));
	buf_free(&in->carry);
	in->bytes_read = NULL;
}

/* ---- a line ---- */

static bool is_blank(struct slice line)
{
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] != ' ' && line.p[i] != '\t' && line.p[i] != '\r')
			return false;
	return true;
}

static uint64_t custom_id_hash(const struct ingest *in, struct slice raw)
{
	char text[CUSTOM_ID_MAX_BYTES];
	size_t n = json_decode(raw, text, sizeof(text));

	return XXH3_64bits_withSecret(text, n, in->hash_key, sizeof(in->hash_key));
}

static uint32_t offset_in(struct slice line, struct slice part)
{
	return part.p == NULL ? 0 : (uint32_t)(part.p - line.p);
}

#define CUSTOM_ID_FAULTS                                                            \
	(LINE_NOT_JSON | LINE_NOT_OBJECT | LINE_TOO_LONG | LINE_CUSTOM_ID_MISSING | \
	 LINE_CUSTOM_ID_NOT_STRING | LINE_CUSTOM_ID_LENGTH)

/* A line that is neither blank nor too long. */
static bool line_index(struct ingest *in, struct slice line, uint64_t offset, struct error *err)
{
	struct line_facts facts;

	line_scan(line, &facts);
	struct index_record record = {
		.offset = offset,
		.length = (uint32_t)line.n,
		.line = in->line,
		.body_offset = offset_in(line, facts.body),
		.body_length = (uint32_t)facts.body.n,
		.custom_id_offset = offset_in(line, facts.custom_id),
		.inputs = facts.inputs,
		.prefix = facts.prefix,
	};
	record_set_flags(&record, facts.flags);
	uint64_t number = index_writer_summary(in->index)->lines;
	if ((facts.flags & CUSTOM_ID_FAULTS) == 0) {
		record.custom_id_length = (uint16_t)facts.custom_id.n;
		record.custom_id_hash = custom_id_hash(in, facts.custom_id);
		if (!duplicates_add(in->duplicates, record.custom_id_hash, number, err))
			return false;
	}
	return index_writer_add(in->index, &record, facts.model, facts.url, err);
}

static bool long_line_index(struct ingest *in, uint64_t length, uint64_t offset, struct error *err)
{
	struct index_record record = {
		.offset = offset,
		.length = length < UINT32_MAX ? (uint32_t)length : UINT32_MAX,
		.line = in->line,
		.flags = LINE_TOO_LONG,
		.inputs = 1,
	};
	struct slice none = { NULL, 0 };

	return index_writer_add(in->index, &record, none, none, err);
}

/* The line at hand has ended (its LF, if any, is not in `line`) and had `length` bytes; of one that
 * is too long, `line` is the beginning. */
static bool line_end(struct ingest *in, struct slice line, uint64_t length, struct error *err)
{
	uint64_t offset = in->line_offset;

	if (in->line == UINT32_MAX)
		return fail(err, ERR_INVALID, "The file has more than %u lines.", UINT32_MAX);
	in->line++;
	in->line_offset += length + 1;
	in->line_seen = 0;
	if (offset == 0 && line.n >= BOM_BYTES && memcmp(line.p, BOM, BOM_BYTES) == 0) {
		line.p += BOM_BYTES;
		line.n -= BOM_BYTES;
		length -= BOM_BYTES;
		offset += BOM_BYTES;
	}
	bool return_ends = line.n == length && line.n > 0 && line.p[line.n - 1] == '\r';
	if (length - return_ends > in->limits.line_bytes)
		return long_line_index(in, length, offset, err);
	return is_blank(line) || line_index(in, line, offset, err);
}

static bool carry_add(struct ingest *in, struct slice part, struct error *err)
{
	size_t room = in->carry.max - in->carry.n;

	in->line_seen += part.n;
	if (part.n > room)
		part.n = room;
	buf_add(&in->carry, part);
	return !in->carry.failed || fail_memory(err);
}

static bool carry_end(struct ingest *in, struct error *err)
{
	if (!line_end(in, buf_slice(&in->carry), in->line_seen, err))
		return false;
	buf_clear(&in->carry);
	if (in->carry.cap > CARRY_KEPT_BYTES)
		buf_free(&in->carry);
	return true;
}

/* Whether the ingest has as many request lines as are wanted. */
static bool is_full(const struct ingest *in)
{
	return in->limits.lines_max > 0 &&
	       index_writer_summary(in->index)->lines >= in->limits.lines_max;
}

static bool lines_find(struct ingest *in, struct slice bytes, struct error *err)
{
	while (bytes.n > 0 && !is_full(in)) {
		const char *lf = memchr(bytes.p, '\n', bytes.n);
		struct slice part = { bytes.p, lf != NULL ? (size_t)(lf - bytes.p) : bytes.n };

		if (lf == NULL)
			return carry_add(in, part, err);
		if (in->line_seen == 0) {
			if (!line_end(in, part, part.n, err))
				return false;
		} else if (!carry_add(in, part, err) || !carry_end(in, err)) {
			return false;
		}
		bytes.p = lf + 1;
		bytes.n -= part.n + 1;
	}
	return true;
}

/* ---- the bytes ---- */

static bool piece_take(struct ingest *in, struct slice piece, struct error *err)
{
	if (in->data != NULL && !blob_write(in->data, piece, err))
		return false;
	if (!hashes_update(&in->hashes, piece, err))
		return false;
	in->bytes += piece.n;
	bool ok = in->index == NULL || lines_find(in, piece, err);
	charge_renew(in);
	return ok;
}

bool ingest_write(struct ingest *in, struct slice bytes, struct error *err)
{
	if (!ingest_size_check(&in->limits, in->bytes + bytes.n, err))
		return false;
	while (bytes.n > 0) {
		struct slice piece = { bytes.p, bytes.n < PIECE_BYTES ? bytes.n : PIECE_BYTES };

		if (!piece_take(in, piece, err))
			return false;
		bytes.p += piece.n;
		bytes.n -= piece.n;
	}
	return true;
}

static bool feed_take(struct ingest *in, struct feed *feed, struct error *err)
{
	struct slice piece = { NULL, PIECE_BYTES };

	while (piece.n == PIECE_BYTES && !is_full(in))
		if (!feed_next(feed, &piece, err) || !ingest_write(in, piece, err))
			return false;
	return true;
}

bool ingest_read(struct ingest *in, const struct blob_reader *from, struct error *err)
{
	struct feed *feed;
	/* Of a file that is read in part, what is read ahead is not to be hashed. */
	EVP_MD_CTX *lent = in->limits.lines_max == 0 ? hashes_lend(&in->hashes) : NULL;
	bool ok = feed_open(from, lent, &feed, err);

	if (ok) {
		budget_charge(in->limits.use, FEED_BYTES);
		ok = feed_take(in, feed, err);
		feed_close(feed);
		budget_give(in->limits.use, FEED_BYTES);
	}
	in->hashes.lent = NULL;
	return ok;
}

/* ---- the end ---- */

static bool custom_id_read(void *ctx, uint64_t number, char to[static CUSTOM_ID_MAX_BYTES],
			   size_t *ret_n, struct error *err)
{
	struct ingest *in = ctx;
	const struct index_record *record;
	char raw[UINT16_MAX];

	if (!index_writer_record(in->index, number, &record, err))
		return false;
	if (!blob_read_at(in->bytes_read, record->offset + record->custom_id_offset, raw,
			  record->custom_id_length, err))
		return false;
	size_t n = json_decode((struct slice){ raw, record->custom_id_length }, to,
			       CUSTOM_ID_MAX_BYTES);
	/* a file that is not ours may have changed meanwhile */
	*ret_n = n < CUSTOM_ID_MAX_BYTES ? n : CUSTOM_ID_MAX_BYTES;
	return true;
}

static bool duplicate_mark(void *ctx, uint64_t number, struct error *err)
{
	struct ingest *in = ctx;

	return index_writer_mark(in->index, number, LINE_DUPLICATE_ID, err);
}

bool ingest_finish(struct ingest *in, struct error *err)
{
	struct duplicates_io io = { custom_id_read, duplicate_mark, in };

	if (in->index == NULL)
		return hashes_end(&in->hashes, err);
	if (in->line_seen > 0 && !carry_end(in, err)) /* no LF at the end */
		return false;
	return hashes_end(&in->hashes, err) && duplicates_resolve(in->duplicates, &io, err) &&
	       index_writer_finish(in->index, err) &&
	       (in->data == NULL || blob_sync(in->data, err));
}

uint64_t ingest_bytes(const struct ingest *in)
{
	return in->bytes;
}

const char *ingest_sha256(const struct ingest *in)
{
	return in->hashes.sha256_hex;
}

const char *ingest_md5(const struct ingest *in)
{
	return in->hashes.md5_hex;
}

const struct index_summary *ingest_summary(const struct ingest *in)
{
	return index_writer_summary(in->index);
}

static bool names_give(struct ingest *in, const char *id, struct error *err)
{
	if (!index_writer_commit(in->index, id, err))
		return false;
	if (in->data != NULL && !blob_commit(TAKE(in->data), id, BLOB_DATA, err))
		return false;
	return blobs_sync(in->blobs, err);
}

bool ingest_commit(struct ingest *in, const char *id, struct error *err)
{
	struct blobs *blobs = in->blobs;
	bool own_data = in->data != NULL;
	bool ok = names_give(in, id, err);

	ingest_abort(in); /* what got a name is out of its reach */
	if (!ok && own_data) {
		struct error unheard; /* of two faults the first is told */
		(void)!blob_remove(blobs, id, &unheard);
	}
	return ok;
}

/* ---- a file that stays where it is ---- */

static bool index_of_file(struct ingest *in, const char *id, struct index **ret, struct error *err)
{
	struct blobs *blobs = in->blobs;
	struct blob_reader *file;

	if (blobs == NULL) {
		file = index_writer_end(in->index);
		ingest_abort(in);
	} else if (!ingest_commit(in, id, err) || !blob_open(blobs, id, BLOB_INDEX, &file, err)) {
		return false;
	}
	return index_open(file, ret, err);
}

bool ingest_file(struct blobs *blobs, const struct blob_reader *file,
		 const struct ingest_limits *limits, const char *id, char ret_sha256[static 65],
		 struct index **ret_index, struct error *err)
{
	struct ingest *in;

	if (!ingest_open_beside(blobs, file, limits, &in, err))
		return false;
	if (!ingest_read(in, file, err) || !ingest_finish(in, err)) {
		ingest_abort(in);
		return false;
	}
	memcpy(ret_sha256, in->hashes.sha256_hex, sizeof(in->hashes.sha256_hex));
	return index_of_file(in, id, ret_index, err);
}

/* ingest.c: bytes in: written, hashed, their lines found (ingest_lines.c), given a name.
 *
 * What a crash leaves: before ingest_commit, files in tmp. During it, index or data or both under
 * their name but no row in the store, for that is inserted after both are durable. The start clears
 * tmp and moves blobs without a row to lost/ (blob.h), so neither is ever seen. The index gets its
 * name first: then data under a name has an index. */
#include "ingest/ingest_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/id.h"
#include "base/json.h"
#include "base/sys.h"
#include "ingest/feed.h"

/* ---- memory ---- */

#define FIXED_BYTES (100u << 10) /* the index writer's records, for the most part */
#define LINE_LEAST 16u           /* bytes of a line with a custom_id */

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

/* As buf_reserve(), which goes by realloc(): that copies, and so touches, all of the old room, of
 * which the beginning of a line is mostly a small part. */
static void carry_widen(struct ingest *in, size_t more)
{
	struct buf wider = BUF_OF(in->carry.max, in->carry.use);

	if (more <= in->carry.cap - in->carry.n)
		return;
	if (!buf_reserve(&wider, in->carry.n + more))
		return; /* carry_add() will see */
	buf_add(&wider, buf_slice(&in->carry));
	buf_free(&in->carry);
	in->carry = wider;
}

bool ingest_room(struct ingest *in, size_t bytes)
{
	size_t most = in->carry.max - in->carry.n, more = bytes < most ? bytes : most;
	struct budget_use *use = in->limits.use;
	uint64_t growth = in->duplicates == NULL
				  ? 0
				  : duplicates_growth(in->duplicates, bytes / LINE_LEAST);
	bool alone = use == NULL || use->bytes <= in->charged + in->carry.cap;

	if (more <= in->carry.cap - in->carry.n)
		more = 0;
	/* While the carry is widened the old one and the wider one stand side by side. */
	uint64_t wider = more > 0 ? in->carry.n + more : 0;
	if (!alone && ((growth > 0 && !budget_has(use, growth, 0)) ||
		       (wider > 0 && !budget_has(use, wider, 0))))
		return false;
	carry_widen(in, more);
	return true;
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

/* ---- the bytes ---- */

/* Less is hashed sooner than a worker has been woken. */
#define BESIDE_BYTES (32u << 10)

static bool piece_take(struct ingest *in, struct slice piece, struct error *err)
{
	if (in->data != NULL && !blob_write(in->data, piece, err))
		return false;
	if (!in->hashes.begun && !hashes_update(&in->hashes, piece, err))
		return false;
	in->bytes += piece.n;
	bool ok = in->index == NULL || ingest_lines_find(in, piece, err);
	charge_renew(in);
	return ok;
}

static bool pieces_take(struct ingest *in, struct slice bytes, struct error *err)
{
	while (bytes.n > 0) {
		struct slice piece = { bytes.p, bytes.n < PIECE_BYTES ? bytes.n : PIECE_BYTES };

		if (!piece_take(in, piece, err))
			return false;
		bytes.p += piece.n;
		bytes.n -= piece.n;
	}
	return true;
}

bool ingest_write(struct ingest *in, struct slice bytes, struct error *err)
{
	struct error unheard; /* of two faults the first is told */

	if (!ingest_size_check(&in->limits, in->bytes + bytes.n, err))
		return false;
	if (in->limits.hashers != NULL && in->hashes.lent == NULL && bytes.n >= BESIDE_BYTES)
		hashes_begin(&in->hashes, in->limits.hashers, bytes);
	bool ok = pieces_take(in, bytes, err);
	return hashes_await(&in->hashes, ok ? err : &unheard) && ok;
}

static bool feed_take(struct ingest *in, struct feed *feed, struct error *err)
{
	struct slice piece = { NULL, PIECE_BYTES };

	while (piece.n == PIECE_BYTES && !ingest_is_full(in))
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
	return ingest_lines_end(in, err) && hashes_end(&in->hashes, err) &&
	       duplicates_resolve(in->duplicates, &io, err) &&
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

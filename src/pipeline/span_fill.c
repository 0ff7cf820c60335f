/* span_fill.c: see span_fill.h. A round of reads at a time: most pieces are small, and a read is waited for
 * longer than its bytes take. */
#include "pipeline/span_fill.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/several.h"
#include "blob/objects.h"

#define READ_BYTES (256u << 10) /* at most */
#define READS 64u               /* of a round, likewise */
#define ROUND_BYTES (2u << 20)

struct span_read {
	const struct span_piece *piece;
	uint64_t at; /* in the chunk */
	size_t n, to;
	bool is_bad; /* `why`: it is not there, or not what it was */
	struct error why;
};

struct span_reading {
	const struct span_filling *of;
	size_t piece; /* the first that is not read whole, and how much of it is */
	uint64_t done;
	const struct span_piece *bad; /* the last of which something is missing */
	struct buf bytes;             /* of the round */
	size_t n;
	struct span_read reads[READS];
};

static void reading_free(struct span_reading **f)
{
	if (*f != NULL)
		buf_free(&(*f)->bytes);
	free(*f);
}

static bool round_plan(struct span_reading *f, struct error *err)
{
	size_t bytes = 0;

	f->n = 0;
	while (f->piece < f->of->n && f->n < READS) {
		const struct span_piece *p = &f->of->pieces[f->piece];
		uint64_t left = p->length - f->done;
		size_t n = left < READ_BYTES ? (size_t)left : READ_BYTES;
		if (bytes + n > ROUND_BYTES)
			break;
		f->reads[f->n++] = (struct span_read){
			.piece = p, .at = p->at + f->done, .n = n, .to = bytes
		};
		bytes += n;
		f->done += n;
		if (f->done < p->length)
			continue;
		f->piece++;
		f->done = 0;
	}
	buf_clear(&f->bytes);
	return buf_reserve(&f->bytes, bytes) || fail_memory(err);
}

/* One that is not wanted any more is not read, nor is the round used. */
static bool read_one(void *ctx, size_t i, struct error *err)
{
	struct span_reading *f = ctx;
	struct span_read *r = &f->reads[i];

	if (!f->of->stays(f->of->ctx) ||
	    objects_read(f->of->blobs, r->piece->chunk, r->at, f->bytes.p + r->to, r->n, &r->why))
		return true;
	r->is_bad = r->why.sys == ENOENT || r->why.sys == EBADMSG || r->why.sys == ENODATA;
	if (!r->is_bad)
		*err = r->why;
	return r->is_bad;
}

/* The rest of a piece of which something is missing is left out. */
static bool read_append(struct span_reading *f, const struct span_read *r, struct journal *to,
			struct error *err)
{
	if (r->piece == f->bad)
		return true;
	if (!r->is_bad)
		return journal_append(to, (struct slice){ f->bytes.p + r->to, r->n }, err);
	f->bad = r->piece;
	log_write_error(LOG_WARN, "chunk.damaged", &r->why,
			LOG_FIELDS(kv_str("batch", f->of->batch_id),
				   kv_str("chunk", r->piece->chunk),
				   kv_u64("lines", r->piece->lines)));
	return true;
}

bool span_fill(const struct span_filling *of, struct journal *to, struct error *err)
{
	AUTO(reading_free) struct span_reading *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return fail_memory(err);
	f->of = of;
	f->bytes = BUF(ROUND_BYTES);
	while (f->piece < of->n) {
		if (!round_plan(f, err) || !several_do("span-fill", read_one, f, f->n, err))
			return false;
		if (!of->stays(of->ctx))
			return true;
		for (size_t i = 0; i < f->n; i++)
			if (!read_append(f, &f->reads[i], to, err))
				return false;
	}
	return true;
}

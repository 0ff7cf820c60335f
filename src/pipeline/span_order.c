/* span_order.c: see span_order.h. */
#include "pipeline/span_order.h"

#include <errno.h>
#include <stdlib.h>

#define ENTRIES_AT_ONCE 4096u

/* ---- of a span ---- */

/* The part beside which the order of both is; NULL: they have no lines. */
static const char *span_home(const struct span_end *end)
{
	return end->output.bytes > 0  ? end->output.name
	       : end->error.bytes > 0 ? end->error.name
				      : NULL;
}

/* crash, after it: an index of a part that no row names, which the garbage sweep removes. */
bool span_order_put(struct blobs *blobs, const struct span_end *end, struct buf *notes,
		    struct error *err)
{
	size_t n = notes->n / sizeof(struct order_note);
	AUTO(buf_free) struct buf order = BUF((n + 1) * ORDER_ENTRY_BYTES);

	if (span_home(end) == NULL)
		return true;
	if (!order_format((struct order_note *)notes->p, n, &order))
		return fail_memory(err);
	return blob_put(blobs, span_home(end), BLOB_INDEX, buf_slice(&order), err);
}

/* ---- of the whole ---- */

struct joined_order {
	struct blob_writer *to;
	struct order_entry *entries;        /* ENTRIES_AT_ONCE */
	uint64_t output_bytes, error_bytes; /* of the spans before */
};

static void entries_shift(const struct joined_order *j, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (j->entries[i].length > 0)
			j->entries[i].place += (j->entries[i].place & ORDER_ERROR) != 0
						       ? j->error_bytes
						       : j->output_bytes;
}

static bool entries_write(const struct joined_order *j, size_t n, struct error *err)
{
	return blob_write(j->to, (struct slice){ (char *)j->entries, n * sizeof(*j->entries) },
			  err);
}

/* One that is not whole is none: numbers behind it would be others'. */
static bool span_copy(const struct joined_order *j, const struct span_end *end,
		      const struct blob_reader *from, struct error *err)
{
	uint64_t lines = 0;
	size_t n = ENTRIES_AT_ONCE;

	while (n == ENTRIES_AT_ONCE) {
		if (!order_read(from, (uint32_t)lines + 1, j->entries, ENTRIES_AT_ONCE, &n, err))
			return false;
		entries_shift(j, n);
		if (!entries_write(j, n, err))
			return false;
		lines += n;
	}
	return lines == end->output.lines + end->error.lines ||
	       fail_sys(err, EBADMSG, "the order of a part has %llu lines",
			(unsigned long long)lines);
}

static bool span_add(struct joined_order *j, struct blobs *blobs, const struct span_end *end,
		     struct error *err)
{
	struct blob_reader *from;

	if (span_home(end) == NULL)
		return true;
	if (!blob_open(blobs, span_home(end), BLOB_INDEX, &from, err))
		return false;
	bool ok = span_copy(j, end, from, err);
	blob_reader_close(from);
	j->output_bytes += end->output.bytes;
	j->error_bytes += end->error.bytes;
	return ok;
}

static bool all_write(struct joined_order *j, struct blobs *blobs, const struct span_seen *spans,
		      size_t n, struct error *err)
{
	AUTO(buf_free) struct buf header = BUF(2 * ORDER_ENTRY_BYTES);
	struct order_note none = { 0 };

	j->entries = malloc(ENTRIES_AT_ONCE * sizeof(*j->entries));
	if (j->entries == NULL || !order_format(&none, 0, &header))
		return fail_memory(err);
	bool ok = blob_write(j->to, buf_slice(&header), err);
	for (size_t i = 0; ok && i < n; i++)
		ok = span_add(j, blobs, &spans[i].end, err);
	return ok;
}

/* crash, in between: an index of a file without a row, of a batch that is joined again. */
static bool order_put_home(struct blobs *blobs, const struct span_seen *spans, size_t n,
			   const char *home, struct error *err)
{
	struct joined_order j = { 0 };

	if (home == NULL)
		return true;
	if (!blob_create(blobs, &j.to, err))
		return false;
	bool ok = all_write(&j, blobs, spans, n, err);
	free(j.entries);
	if (!ok) {
		blob_abort(j.to);
		return false;
	}
	return blob_commit(j.to, home, BLOB_INDEX, err);
}

bool span_order_join(struct blobs *blobs, const struct span_seen *spans, size_t n,
		     const struct order_homes *homes, bool *ret_known, struct error *err)
{
	*ret_known = order_put_home(blobs, spans, n, homes->output, err) &&
		     order_put_home(blobs, spans, n, homes->error, err);
	return *ret_known || err->kind == ERR_NOT_FOUND || err->sys == ENOENT ||
	       err->sys == EBADMSG;
}

/* span_order.c: see span_order.h. */
#include "pipeline/span_order.h"

#include <errno.h>
#include <stdlib.h>

#define ENTRIES_AT_ONCE 4096u

/* ---- of a span ---- */

const char *span_order_home(const struct span_end *end)
{
	return end->output.bytes > 0  ? end->output.name
	       : end->error.bytes > 0 ? end->error.name
				      : NULL;
}

/* crash, after it: an index of a part that no row names, which the garbage sweep removes. */
bool span_order_put(struct blobs *blobs, const struct span_end *end, const char *path,
		    struct error *err)
{
	const struct order_homes home = { .output = span_order_home(end) };

	return order_move_home(blobs, path, &home, err);
}

/* ---- of the whole ---- */

static int by_end(const void *a, const void *b)
{
	const struct span_seen *x = *(const struct span_seen *const *)a;
	const struct span_seen *y = *(const struct span_seen *const *)b;

	if (x->after < 0 || y->after < 0)
		return x->after < 0 && y->after < 0 ? (x->n > y->n) - (x->n < y->n)
						    : (x->after < 0) - (y->after < 0);
	return (x->after > y->after) - (x->after < y->after);
}

const struct span_seen **span_order_of(const struct span_seen *spans, size_t n)
{
	const struct span_seen **sorted = calloc(n + 1, sizeof(const struct span_seen *));

	for (size_t i = 0; sorted != NULL && i < n; i++)
		sorted[i] = &spans[i];
	if (sorted != NULL)
		qsort(sorted, n, sizeof(const struct span_seen *), by_end);
	return sorted;
}

struct joined_order {
	struct blob_writer *to;
	struct order_entry *entries;  /* ENTRIES_AT_ONCE */
	uint64_t output_at, error_at; /* where the parts at hand are in the result files */
};

/* Result files have the parts in the order of their numbers. */
static void parts_find(struct joined_order *j, const struct span_seen *spans,
		       const struct span_seen *of)
{
	j->output_at = j->error_at = 0;
	for (const struct span_seen *s = spans; s < of; s++) {
		j->output_at += s->end.output.bytes;
		j->error_at += s->end.error.bytes;
	}
}

static void entries_shift(const struct joined_order *j, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (j->entries[i].length > 0)
			j->entries[i].place += (j->entries[i].place & ORDER_ERROR) != 0
						       ? j->error_at
						       : j->output_at;
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

	if (span_order_home(end) == NULL)
		return true;
	if (!blob_open(blobs, span_order_home(end), BLOB_INDEX, &from, err))
		return false;
	bool ok = span_copy(j, end, from, err);
	blob_reader_close(from);
	return ok;
}

static bool all_write(struct joined_order *j, struct blobs *blobs, const struct span_seen *spans,
		      size_t n, struct error *err)
{
	AUTO(buf_free) struct buf header = BUF(2 * ORDER_ENTRY_BYTES);
	AUTO(auto_free) const struct span_seen **sorted = span_order_of(spans, n);
	struct order_note none = { 0 };

	j->entries = malloc(ENTRIES_AT_ONCE * sizeof(*j->entries));
	if (sorted == NULL || j->entries == NULL || !order_format(&none, 0, &header))
		return fail_memory(err);
	bool ok = blob_write(j->to, buf_slice(&header), err);
	for (size_t i = 0; ok && i < n; i++) {
		parts_find(j, spans, sorted[i]);
		ok = span_add(j, blobs, &sorted[i]->end, err);
	}
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

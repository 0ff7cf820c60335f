/* span_stream.c: see span_stream.h. */
#include "pipeline/span_stream.h"

#include <errno.h>

#include "base/attr.h"
#include "pipeline/cluster.h"
#include "pipeline/span_order.h"

static bool part_open(struct blobs *blobs, const struct span_part *part, struct blob_reader **ret,
		      struct error *err)
{
	return part->bytes == 0 || blob_open(blobs, part->name, BLOB_DATA, ret, err);
}

static bool parts_open(struct blobs *blobs, const struct span_end *end, struct stream_sources *ret,
		       struct error *err)
{
	ret->output_bytes = end->output.bytes;
	ret->error_bytes = end->error.bytes;
	return blob_open(blobs, span_order_home(end), BLOB_INDEX, &ret->order, err) &&
	       part_open(blobs, &end->output, &ret->output, err) &&
	       part_open(blobs, &end->error, &ret->error, err);
}

/* The span of the number `after` + 1, and how many are before it; NULL: none has it yet. */
static const struct span_seen *span_find(const struct span_seen *const *sorted, size_t n,
					 uint64_t after, uint64_t *ret_before)
{
	uint64_t before = 0, lines;

	for (size_t i = 0; i < n && sorted[i]->after >= 0; i++, before += lines) {
		lines = sorted[i]->end.output.lines + sorted[i]->end.error.lines;
		*ret_before = before;
		if (before + lines > after)
			return sorted[i];
	}
	return NULL;
}

bool span_stream_open(struct cluster *cl, struct blobs *blobs, const char *batch_id, uint64_t after,
		      struct stream_sources *ret, bool *ret_again, struct error *err)
{
	AUTO(auto_free) struct span_seen *spans = NULL;
	uint64_t before;
	size_t n;

	struct db *db = cluster_view_db_borrow(cl);
	bool ok = store_span_manifest(db, batch_id, &spans, &n, err);
	cluster_view_db_return(cl, db);
	if (!ok)
		return false;
	*ret_again = n == 0;
	AUTO(auto_free) const struct span_seen **sorted = span_order_of(spans, n);
	if (sorted == NULL)
		return fail_memory(err);
	const struct span_seen *s = span_find(sorted, n, after, &before);
	if (s == NULL)
		return true;
	ret->before = (uint32_t)before;
	ret->last = (uint32_t)(before + s->end.output.lines + s->end.error.lines);
	if (parts_open(blobs, &s->end, ret, err))
		return true;
	*ret_again = err->kind == ERR_NOT_FOUND || err->sys == ENOENT;
	return *ret_again;
}

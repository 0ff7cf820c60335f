/* migrate_batches.c: see migrate_batches.h.
 *
 * A journal has the records of all lines of its batch that have ended, also of those that are merged, until the
 * batch is final. Records of one span that stand near each other become a piece; a chunk has pieces of all
 * spans. Chunks are named as a node's that is no more, whose number is the directory's id: a second call gives
 * the same names, and a garbage sweep takes them for what they are. */
#include "cli/migrate_batches.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/attr.h"
#include "base/sys.h"
#include "batch/segment.h"
#include "blob/objects.h"
#include "journal/journal.h"
#include "pipeline/span_cut.h"

#define CHUNK_BYTES (8u << 20) /* about */
#define GATHERED_BYTES (UINT64_C(1) << 33)

struct batches_moving {
	const char *data_dir;
	struct store *store;
	struct blobs *from, *to;
	uint64_t node, chunks;
	struct batches_moved *moved;
};

/* What is in no chunk yet of a span. */
struct gathered {
	struct buf records;
	struct counts counts;
	struct usage usage;
};

/* A batch on its way. */
struct batch_walk {
	struct batches_moving *of;
	const struct batch *batch;
	struct span_plan *plan;
	size_t n;
	struct span_moved *spans;  /* n, among those of `moved` */
	struct gathered *gathered; /* n */
	uint8_t *ended;            /* bit a record */
	uint64_t lines, bytes;     /* that have ended; gathered */
};

void batches_moved_done(struct batches_moved *b)
{
	free(b->spans);
	free(b->pieces);
	free(b->results);
	*b = (struct batches_moved){ 0 };
}

/* ---- chunks ---- */

static void sums_add(struct counts *counts, struct usage *usage, const struct counts *more_counts,
		     const struct usage *more_usage)
{
	counts->completed += more_counts->completed;
	counts->failed += more_counts->failed;
	counts->retried += more_counts->retried;
	usage_add(usage, more_usage);
}

static bool piece_add(struct batch_walk *w, size_t i, const char *chunk, struct buf *bytes,
		      struct error *err)
{
	struct batches_moved *moved = w->of->moved;
	struct gathered *g = &w->gathered[i];
	struct piece_moved *more;

	if (g->records.n == 0)
		return true;
	more = array_room(moved->pieces, moved->n_pieces, sizeof(*more));
	if (more == NULL)
		return fail_memory(err);
	moved->pieces = more;
	more = &more[moved->n_pieces++];
	*more = (struct piece_moved){ .span = w->spans[i].id,
				      .at = bytes->n,
				      .length = g->records.n,
				      .counts = g->counts,
				      .usage = g->usage };
	snprintf(more->chunk, sizeof(more->chunk), "%s", chunk);
	buf_add(bytes, buf_slice(&g->records));
	sums_add(&w->spans[i].counts, &w->spans[i].usage, &g->counts, &g->usage);
	buf_free(&g->records);
	*g = (struct gathered){ .records = BUF(GATHERED_BYTES) };
	return true;
}

/* crash: a chunk that no row names; the next call puts it again. */
static bool chunk_put(struct batch_walk *w, struct error *err)
{
	AUTO(buf_free) struct buf bytes = BUF(GATHERED_BYTES);
	char name[OBJECT_NAME_SIZE];

	if (w->bytes == 0)
		return true;
	snprintf(name, sizeof(name), "chunks/%016" PRIx64 "-1-%012" PRIu64, w->of->node,
		 ++w->of->chunks);
	for (size_t i = 0; i < w->n; i++)
		if (!piece_add(w, i, name, &bytes, err))
			return false;
	w->bytes = 0;
	if (bytes.failed)
		return fail_memory(err);
	if (!objects_put(w->of->to, name, buf_slice(&bytes), err))
		return false;
	(void)failpoint("migrate.after_chunk");
	return true;
}

/* ---- records ---- */

static struct gathered *gathered_of(struct batch_walk *w, uint32_t record)
{
	uint64_t segment = record / SEGMENT_LINES;
	size_t low = 0, high = w->n - 1;

	while (low < high) { /* the last span that begins at it or before */
		size_t middle = low + (high - low + 1) / 2;
		if (w->plan[middle].first_segment <= segment)
			low = middle;
		else
			high = middle - 1;
	}
	return &w->gathered[low];
}

static void head_count(struct gathered *g, const struct journal_head *h)
{
	const struct usage usage = { h->input, h->cached, h->output, h->reasoning, h->total };

	if (h->kind == JOURNAL_OUTPUT)
		g->counts.completed++;
	else
		g->counts.failed++;
	g->counts.retried += h->attempts > 0 ? h->attempts - 1 : 0;
	usage_add(&g->usage, &usage);
}

/* Of a line that stands there twice the first record counts. */
static bool record_gather(struct batch_walk *w, const struct journal *j,
			  const struct journal_head *head, uint64_t at, struct error *err)
{
	struct gathered *g = gathered_of(w, head->record);
	size_t n = sizeof(*head) + head->length;

	if (bit_get(w->ended, head->record))
		return true;
	bit_set(w->ended, head->record);
	if (!buf_reserve(&g->records, n))
		return fail_memory(err);
	if (!journal_read(j, at, g->records.p + g->records.n, n, err))
		return false;
	g->records.n += n;
	head_count(g, head);
	w->lines++;
	w->bytes += n;
	return w->bytes < CHUNK_BYTES || chunk_put(w, err);
}

static bool records_gather(struct batch_walk *w, const struct journal *j, uint64_t end,
			   struct error *err)
{
	struct journal_scan *scan = journal_scan_new(j, JOURNAL_START, end, w->batch->counts.total);
	struct journal_head head;
	bool ok = true, found = true;
	uint64_t at;

	if (scan == NULL)
		return fail_memory(err);
	while (ok && found) {
		ok = journal_scan_next(scan, &head, &at, &found, err);
		if (ok && found)
			ok = record_gather(w, j, &head, at, err);
	}
	journal_scan_free(scan);
	return ok && chunk_put(w, err);
}

/* Lines that the result files have and the journal has not would run again. */
static bool lines_check(const struct batch_walk *w, struct error *err)
{
	const struct counts *c = &w->batch->counts;

	return w->lines >= c->completed + c->failed ||
	       fail(err, ERR_INVALID,
		    "the journal of batch %s has %" PRIu64 " lines that have ended, and %" PRIu64
		    " have: let it end on this directory, or cancel it, then move",
		    w->batch->id, w->lines, c->completed + c->failed);
}

static bool journal_gather(struct batch_walk *w, struct error *err)
{
	char path[PATH_MAX];
	struct journal *j;
	struct stat st;

	snprintf(path, sizeof(path), "%s/batches/%s.journal", w->of->data_dir, w->batch->id);
	if (stat(path, &st) != 0)
		return errno == ENOENT ? lines_check(w, err)
				       : fail_sys(err, errno, "looking at %s", path);
	if (st.st_size <= JOURNAL_START)
		return lines_check(w, err);
	if (!journal_open_to_read(path, (uint64_t)st.st_size, &j, err))
		return false;
	bool ok = records_gather(w, j, (uint64_t)st.st_size, err);
	journal_close(j);
	return ok && lines_check(w, err);
}

/* ---- a batch ---- */

/* As many as the whole of the input has; of one that is gone, as of the shortest lines. */
static uint64_t input_bytes(const struct batches_moving *m, const struct batch *b)
{
	struct blob_reader *r;
	struct error err;

	if (!blob_open(m->from, b->input_file_id, BLOB_DATA, &r, &err))
		return 0;
	uint64_t bytes = blob_bytes(r);
	blob_reader_close(r);
	return bytes;
}

static bool spans_add(struct batch_walk *w, struct error *err)
{
	struct batches_moved *moved = w->of->moved;
	struct span_moved *all = reallocarray(moved->spans, moved->n_spans + w->n, sizeof(*all));

	if (all == NULL)
		return fail_memory(err);
	moved->spans = all;
	w->spans = all + moved->n_spans;
	for (size_t i = 0; i < w->n; i++) {
		w->spans[i] = (struct span_moved){ .id.n = (uint32_t)i, .plan = w->plan[i] };
		memcpy(w->spans[i].id.batch, w->batch->id, sizeof(w->spans[i].id.batch));
	}
	moved->n_spans += w->n;
	return true;
}

static bool results_add(struct batches_moved *moved, const struct batch *b, struct error *err)
{
	char(*all)[ID_SIZE] = reallocarray(moved->results, moved->n_results + 2, ID_SIZE);

	if (all == NULL)
		return fail_memory(err);
	moved->results = all;
	memcpy(all[moved->n_results++], b->output_file_id, ID_SIZE);
	memcpy(all[moved->n_results++], b->error_file_id, ID_SIZE);
	return true;
}

static void batch_walk_done(struct batch_walk *w)
{
	for (size_t i = 0; w->gathered != NULL && i < w->n; i++)
		buf_free(&w->gathered[i].records);
	free(w->gathered);
	free(w->plan);
	free(w->ended);
}

static bool batch_move(struct batches_moving *m, const struct batch *b, struct error *err)
{
	AUTO(batch_walk_done) struct batch_walk w = { .of = m, .batch = b };
	const struct span_input input = { b->counts.total, input_bytes(m, b), false };

	if (!span_cut(&b->options, &input, &w.plan, &w.n, err) || !spans_add(&w, err) ||
	    !results_add(m->moved, b, err))
		return false;
	w.gathered = calloc(w.n + 1, sizeof(*w.gathered));
	w.ended = calloc(1, b->counts.total / 8 + 1);
	if (w.gathered == NULL || w.ended == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < w.n; i++)
		w.gathered[i].records = BUF(GATHERED_BYTES);
	if (!journal_gather(&w, err))
		return false;
	m->moved->batches++;
	m->moved->lines += w.lines;
	return true;
}

/* ---- all of them ---- */

static bool status_check(struct batches_moving *m, const struct batch *b, struct error *err)
{
	(void)m;
	return b->status != BATCH_FINALIZING ||
	       fail(err, ERR_INVALID,
		    "batch %s has ended but for its last step: start the server on this directory "
		    "until it is final, then move",
		    b->id);
}

static bool status_move(struct batches_moving *m, const struct batch *b, struct error *err)
{
	/* One that is validating has sent nothing yet, and nodes validate it. */
	return b->status == BATCH_VALIDATING || batch_move(m, b, err);
}

typedef bool (*batch_fn)(struct batches_moving *m, const struct batch *b, struct error *err);

static bool each_batch(struct batches_moving *m, const char (*ids)[ID_SIZE], size_t n,
		       batch_fn each, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		AUTO(batch_done) struct batch b = { 0 };
		if (!store_batch_get(m->store, NULL, ids[i], &b, err) || !each(m, &b, err))
			return false;
	}
	return true;
}

/* The number of the node whose chunks these are: any that is no other's. */
static bool node_make(struct batches_moving *m, struct error *err)
{
	struct store_directory d;
	bool found;
	char part[16];

	if (!store_directory_get(m->store, &d, &found, err))
		return false;
	if (!found)
		return fail(err, ERR_INVALID,
			    "no server was ever started on %s: there is nothing to move but a new "
			    "database",
			    m->data_dir);
	snprintf(part, sizeof(part), "%.15s", d.id);
	m->node = strtoull(part, NULL, 16) | 1;
	return true;
}

bool migrate_batches(const char *data_dir, struct store *store, struct blobs *from,
		     struct blobs *to, struct batches_moved *ret, struct error *err)
{
	struct batches_moving m = {
		.data_dir = data_dir, .store = store, .from = from, .to = to, .moved = ret
	};
	AUTO(auto_free) char(*ids)[ID_SIZE] = NULL;
	size_t n;

	*ret = (struct batches_moved){ 0 };
	return node_make(&m, err) && store_batches_open(store, &ids, &n, err) &&
	       each_batch(&m, (const char(*)[ID_SIZE])ids, n, status_check, err) &&
	       each_batch(&m, (const char(*)[ID_SIZE])ids, n, status_move, err);
}

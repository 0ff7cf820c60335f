/* results.c: see results.h. Merging a segment reads the heads of its stretch of the journal once,
 * notes where each line stands, and then copies the lines in input order. */
#include "results/results_impl.h"

#include <errno.h>
#include <unistd.h>

#include "base/sys.h"

#define SCAN_BYTES (64u << 10)

static bool files_open(struct results *r, const struct merge_state *m, struct error *err)
{
	const struct results_files *f = &r->files;
	bool begins = m->output_bytes + m->error_bytes == 0;

	/* A crash after this leaves empty files of a batch that is in progress: they are opened
	 * here again. Their names are durable before bytes in them count, that is before the first
	 * segment does. */
	return blob_append_open(f->blobs, f->output_id, m->output_bytes, &r->output.file, err) &&
	       blob_append_open(f->blobs, f->error_id, m->error_bytes, &r->error.file, err) &&
	       (!begins || blobs_sync(f->blobs, err)) &&
	       (f->order_path == NULL ||
		order_open(f->order_path, begins, &r->order, &r->order_is_new, err));
}

bool results_open(const struct results_files *files, const struct merge_state *m,
		  struct results **ret, struct error *err)
{
	struct results *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return fail_memory(err);
	r->files = *files;
	r->at_once = files->at_once && blobs_share_syncs(files->blobs);
	r->output.of = r->error.of = r;
	r->output.pending = r->error.pending = BUF(2 * COPY_BYTES);
	r->order_bytes = BUF(COPY_BYTES);
	r->check = journal_check_new();
	r->scratch = malloc(COPY_BYTES);
	bool ok = r->check != NULL && r->scratch != NULL;
	if (!ok)
		fail_memory(err);
	if (!ok || (!r->at_once && !files_open(r, m, err))) {
		results_close(r);
		return false;
	}
	results_rewind(r, m);
	*ret = r;
	return true;
}

void results_close(struct results *r)
{
	if (r == NULL)
		return;
	blob_append_close(r->output.file);
	blob_append_close(r->error.file);
	order_close(r->order);
	buf_free(&r->output.pending);
	buf_free(&r->error.pending);
	buf_free(&r->order_bytes);
	journal_check_free(r->check);
	free(r->scratch);
	free(r);
}

bool results_recover(struct results *r, const struct merge_state *m, order_fn each, void *ctx,
		     uint32_t *ret_last, struct error *err)
{
	*ret_last = 0;
	return r->order == NULL || order_recover(r->order, m, each, ctx, ret_last, err);
}

bool results_order_clear(struct results *r, uint32_t first, uint32_t last, struct error *err)
{
	return r->order == NULL || order_clear(r->order, first, last, err);
}

bool results_order_mark_lost(struct results *r, struct error *err)
{
	return order_mark_lost(r->order, err);
}

bool results_order_is_new(const struct results *r)
{
	return r->order_is_new;
}

void results_rewind(struct results *r, const struct merge_state *m)
{
	if (!r->at_once) {
		blob_append_rewind_to(r->output.file, m->output_bytes);
		blob_append_rewind_to(r->error.file, m->error_bytes);
	}
	buf_clear(&r->order_bytes);
	r->output.lines = m->output_lines;
	r->error.lines = m->error_lines;
	buf_clear(&r->output.pending);
	buf_clear(&r->error.pending);
}

void results_keep(struct results *r, const struct merge_state *m)
{
	if (r->at_once)
		return;
	blob_append_keep(r->output.file, m->output_bytes);
	blob_append_keep(r->error.file, m->error_bytes);
}

/* It has become too much to be put at once: it is written as any other. */
static bool at_once_end(struct results *r, struct error *err)
{
	static const struct merge_state none;

	if (r->at_once && !files_open(r, &none, err)) {
		blob_append_close(TAKE(r->output.file));
		blob_append_close(TAKE(r->error.file));
		return false;
	}
	r->at_once = false;
	return true;
}

static bool sink_flush(struct sink *s, struct error *err)
{
	if (s->pending.n == 0)
		return true;
	if (!at_once_end(s->of, err))
		return false;
	int injected = failpoint("results.write");
	if (injected != 0)
		return fail_sys(err, injected, "writing a result file");
	if (!blob_append(s->file, buf_slice(&s->pending), err))
		return false;
	buf_clear(&s->pending);
	return true;
}

/* Where its next line will stand. */
uint64_t results_sink_end(const struct sink *s)
{
	return (s->file != NULL ? blob_appended_bytes(s->file) : 0) + s->pending.n;
}

/* A piece of a line, at most COPY_BYTES. */
static bool sink_put(struct sink *s, struct slice piece, struct error *err)
{
	if (s->pending.n + piece.n > COPY_BYTES && !sink_flush(s, err))
		return false;
	buf_add(&s->pending, piece);
	return s->pending.failed ? fail_memory(err) : true;
}

static void place_note(const struct results_segment *segment, struct place *places,
		       const struct journal_head *head, uint64_t at)
{
	if (head->record >= segment->first && head->record < segment->first + segment->lines)
		places[head->record - segment->first] = (struct place){ at, *head };
}

/* Finds the records of the segment between its bounds by going from head to head. *ret_whole false:
 * something on the way is no head. */
static bool places_find(const struct results *r, const struct journal *j,
			const struct results_segment *segment, struct place *places,
			bool *ret_whole, struct error *err)
{
	uint64_t at = segment->journal_at, window_at = 0;
	size_t window_n = 0;
	struct journal_head head;

	*ret_whole = false;
	while (at < segment->journal_end) {
		if (at < window_at || at + sizeof(head) > window_at + window_n) {
			uint64_t left = segment->journal_end - at;
			window_at = at;
			window_n = left < SCAN_BYTES ? (size_t)left : SCAN_BYTES;
			if (!journal_read(j, at, r->scratch, window_n, err))
				return false;
			if (window_n < sizeof(head))
				return true;
		}
		memcpy(&head, r->scratch + (at - window_at), sizeof(head));
		if (head.length == 0 || at + sizeof(head) + head.length > segment->journal_end)
			return true;
		place_note(segment, places, &head, at);
		at += sizeof(head) + head.length;
	}
	*ret_whole = true;
	return true;
}

/* The same where there is damage: each record is checked, and what is none stepped over. */
static bool places_search(const struct journal *j, const struct results_segment *segment,
			  struct place *places, struct error *err)
{
	if (segment->journal_at == segment->journal_end)
		return true;
	struct journal_scan *s = journal_scan_new(j, segment->journal_at, segment->journal_end,
						  segment->first + segment->lines);
	struct journal_head head;
	uint64_t at;
	bool found = true, ok = true;

	if (s == NULL)
		return fail_memory(err);
	memset(places, 0, segment->lines * sizeof(*places));
	while (ok && found) {
		ok = journal_scan_next(s, &head, &at, &found, err);
		if (ok && found)
			place_note(segment, places, &head, at);
	}
	journal_scan_free(s);
	return ok;
}

/* Reads the line of `place` in pieces of COPY_BYTES; with `to` NULL only checks it. */
static bool line_copy(struct results *r, const struct journal *j, const struct place *place,
		      struct sink *to, struct error *err)
{
	uint64_t at = place->at + sizeof(place->head), end = at + place->head.length;

	while (at < end) {
		size_t n = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
		if (!journal_read(j, at, r->scratch, n, err))
			return false;
		if (to == NULL)
			journal_check_feed(r->check, r->scratch, n);
		else if (!sink_put(to, (struct slice){ r->scratch, n }, err))
			return false;
		at += n;
	}
	return true;
}

/* Appends the line at `place`; *ret_good false, and nothing appended, if it does not check. */
bool results_line_append(struct results *r, const struct journal *j, const struct place *place,
			 bool *ret_good, struct error *err)
{
	struct sink *to = place->head.kind == JOURNAL_OUTPUT ? &r->output : &r->error;

	journal_check_start(r->check, &place->head);
	*ret_good = false;
	if (!line_copy(r, j, place, NULL, err))
		return err->sys == EIO || err->sys == ENODATA; /* as good as damaged */
	*ret_good = journal_check_ok(r->check, &place->head);
	if (!*ret_good)
		return true;
	to->lines++;
	if (place->head.length <= COPY_BYTES) /* still in scratch, whole */
		return sink_put(to, (struct slice){ r->scratch, place->head.length }, err);
	return line_copy(r, j, place, to, err);
}

static bool missing_append(struct results *r, uint64_t record, enum outcome_fault fault,
			   custom_id_fn custom_id, void *ctx, struct error *err)
{
	AUTO(buf_free) struct buf id = BUF(64u << 10);
	AUTO(buf_free) struct buf line = BUF(COPY_BYTES);
	struct slice raw = { NULL, 0 };
	bool known = custom_id(ctx, record, &id) && !id.failed;

	if (id.no_memory)
		return fail_memory(err);
	if (known)
		raw = id.n > 0 ? buf_slice(&id) : SLICE("");
	outcome_missing_line(raw, fault, &line);
	if (line.failed)
		return fail_memory(err);
	r->error.lines++;
	return sink_put(&r->error, buf_slice(&line), err);
}

void results_sums_add(struct merge_state *m, const struct journal_head *head)
{
	if (head->kind == JOURNAL_OUTPUT)
		m->counts.completed++;
	else {
		m->counts.failed++;
		(void)causes_add(&m->causes, head->http_status, head->record);
	}
	m->counts.retried += head->attempts > 0 ? head->attempts - 1 : 0;
	usage_add(&m->usage, &(struct usage){ head->input, head->cached, head->output,
					      head->reasoning, head->total });
}

static void sums_add_missing(struct merge_state *m, enum outcome_fault fault, uint64_t record)
{
	if (fault == OUTCOME_EXPIRED)
		m->counts.expired++;
	else if (fault == OUTCOME_CANCELLED)
		m->counts.cancelled++;
	else {
		m->counts.failed++;
		(void)causes_add(&m->causes, cause_code(fault, 0), record);
	}
}

/* A line was appended to `to`, at `at`, and counted there. */
void results_line_note(struct append *a, const struct sink *to, uint64_t at, uint64_t record,
		       uint32_t number)
{
	if (a->r->files.of_part)
		number = (uint32_t)(a->r->output.lines + a->r->error.lines);
	else if (number == 0 && a->r->files.order_path != NULL)
		number = a->number(a->ctx);
	a->notes[a->noted++] = (struct order_note){
		number,
		{ .place = at | (to == &a->r->error ? ORDER_ERROR : 0),
		  .length = (uint32_t)(results_sink_end(to) - at),
		  .record = (uint32_t)record },
	};
}

/* Appends what became of line `i` of the segment and counts it. */
static bool line_settle(struct append *a, uint32_t i, bool *ret_bad, struct error *err)
{
	const struct place *place = &a->places[i];
	const struct sink *to = place->head.kind == JOURNAL_OUTPUT ? &a->r->output : &a->r->error;
	enum outcome_fault missing = a->segment->missing;
	uint64_t record = a->segment->first + i, at = results_sink_end(to);
	bool good = false;

	*ret_bad = false;
	if (a->segment->settled != NULL && bit_get(a->segment->settled, i))
		return true;
	if (place->at != 0 && !results_line_append(a->r, a->j, place, &good, err))
		return false;
	if (good) {
		results_sums_add(&a->sums, &place->head);
		results_line_note(a, to, at, record, place->head.number);
		return true;
	}
	*ret_bad = missing == OUTCOME_ANSWERED || (place->at != 0 && !a->searched);
	if (*ret_bad)
		return true;
	sums_add_missing(&a->sums, missing, record);
	at = results_sink_end(&a->r->error);
	if (!missing_append(a->r, record, missing, a->custom_id, a->ctx, err))
		return false;
	results_line_note(a, &a->r->error, at, record, 0);
	return true;
}

/* The lines in their order, up to a bad one. */
static bool lines_settle(struct append *a, const struct merge_state *m, bool *ret_bad,
			 struct error *err)
{
	*ret_bad = false;
	a->sums = *m;
	a->noted = 0;
	for (uint32_t i = 0; i < a->segment->lines && !*ret_bad; i++)
		if (!line_settle(a, i, ret_bad, err))
			return false;
	return true;
}

/* First by the quick way; where that meets anything odd, by the one that checks each record. */
static bool segment_settle(struct append *a, const struct merge_state *m, bool *ret_bad,
			   struct error *err)
{
	bool whole;

	if (!places_find(a->r, a->j, a->segment, a->places, &whole, err))
		return false;
	if (whole && !lines_settle(a, m, ret_bad, err))
		return false;
	if (whole && !*ret_bad)
		return true;
	results_rewind(a->r, m);
	a->searched = true;
	return places_search(a->j, a->segment, a->places, err) && lines_settle(a, m, ret_bad, err);
}

/* All of it is written; `m` says so. */
static bool files_append(struct append *a, struct error *err)
{
	struct results *r = a->r;

	if (r->at_once && order_format(a->notes, a->noted, &r->order_bytes))
		return true;
	return at_once_end(r, err) && sink_flush(&r->output, err) && sink_flush(&r->error, err) &&
	       (r->order == NULL || order_put(r->order, a->notes, a->noted, err));
}

bool results_append_end(struct append *a, struct merge_state *m, struct error *err)
{
	struct results *r = a->r;

	if (!files_append(a, err))
		return false;
	a->sums.output_bytes = results_sink_end(&r->output);
	a->sums.output_lines = r->output.lines;
	a->sums.error_bytes = results_sink_end(&r->error);
	a->sums.error_lines = r->error.lines;
	*m = a->sums;
	return true;
}

bool results_append(struct results *r, const struct journal *j,
		    const struct results_segment *segment, custom_id_fn custom_id, void *ctx,
		    struct merge_state *m, bool *ret_damaged, struct error *err)
{
	AUTO(auto_free) struct place *places = calloc(segment->lines, sizeof(*places));
	AUTO(auto_free) struct order_note *notes = calloc(segment->lines, sizeof(*notes));
	struct append a = { .r = r,
			    .j = j,
			    .segment = segment,
			    .custom_id = custom_id,
			    .number = segment->number,
			    .ctx = ctx,
			    .places = places,
			    .notes = notes };

	if (places == NULL || notes == NULL)
		return fail_memory(err);
	if (!segment_settle(&a, m, ret_damaged, err))
		return false;
	return *ret_damaged || results_append_end(&a, m, err);
}

bool results_are_at_once(const struct results *r)
{
	return r->at_once;
}

/* A file with lines, and the order beside it. */
static bool sink_put_whole(struct sink *s, const char *id, struct error *err)
{
	struct results *r = s->of;
	int injected = failpoint("results.write");

	if (s->lines == 0)
		return true;
	if (injected != 0)
		return fail_sys(err, injected, "writing a result file");
	return blob_put(r->files.blobs, id, BLOB_DATA, buf_slice(&s->pending), err) &&
	       (r->files.order_path == NULL ||
		blob_put(r->files.blobs, id, BLOB_INDEX, buf_slice(&r->order_bytes), err));
}

/* crash, in here or up to the batch's final state: files that count for nothing, of a batch whose lines all
 * stand in its journal: they are put there anew. */
static bool put_at_once(struct results *r, struct error *err)
{
	/* of an earlier try, that had more */
	if (r->files.order_path != NULL && unlink(r->files.order_path) != 0 && errno != ENOENT)
		return fail_sys(err, errno, "removing %s", r->files.order_path);
	return sink_put_whole(&r->output, r->files.output_id, err) &&
	       sink_put_whole(&r->error, r->files.error_id, err) && blobs_sync(r->files.blobs, err);
}

bool results_sync(struct results *r, struct error *err)
{
	(void)failpoint("results.before_sync");
	bool ok = r->at_once ? put_at_once(r, err)
			     : blob_append_sync(r->output.file, err) &&
				       blob_append_sync(r->error.file, err) &&
				       (r->order == NULL || r->files.of_part ||
					order_sync(r->order, err));
	(void)failpoint("results.after_sync");
	return ok;
}

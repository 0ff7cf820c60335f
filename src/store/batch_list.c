/* batch_list.c: pages of batches, filtered, each way by an index (contract 10, 11.3).
 *
 * What is found is numbers in the order of making, newest first, and only the batches of the page
 * are read. A filter by status or by a pair of metadata is a list of blocks of 64 numbers with a
 * bit for each batch (migrations/009_filters.sql). All filters are joined by leaps: each is asked
 * for its latest block at or below the one looked for, until they agree on one; then their bits
 * are joined. So a filter that is rare costs as many looks as it has batches, and filters that are
 * common and never meet one in 64. A span of time is a span of numbers (or several, where the clock
 * has stepped back). */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "store/store_priv.h"

#define BLOCK_BITS 6
#define NO_BLOCK (-1)

/* Numbers from `from` on and below `below`. */
struct list_span {
	int64_t from, below;
};

struct batch_search {
	struct db *db;
	const struct batch_query *q;
	int64_t labels[BATCH_LABELS_MAX];
	int64_t *numbers; /* found; newest first */
	size_t n, wanted;
};

static void search_done(struct batch_search *s)
{
	free(s->numbers);
}

static bool take(struct batch_search *s, int64_t number, struct error *err)
{
	int64_t *grown = array_room(s->numbers, s->n, sizeof(*grown));

	if (grown == NULL)
		return fail_memory(err);
	s->numbers = grown;
	s->numbers[s->n++] = number;
	return true;
}

/* ---- the parts of the question ---- */

/* Where a page begins: the number of the batch `after` in the order of making. */
static bool find_cursor(struct db *db, const char *org, const char *after, int64_t *ret,
			struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_batch_cursor, VALUES(txt(after), txt(org)));
	bool known;

	if (!query_step(&q, &known, err))
		return false;
	if (!known)
		return fail_param(err, "after", "invalid_value",
				  "Invalid value for 'after': no batch has the id '%s'.", after);
	*ret = query_int(&q);
	return true;
}

/* *ret_known false: one of the pairs is no batch's. */
static bool find_labels(struct batch_search *s, bool *ret_known, struct error *err)
{
	const struct batch_query *q = s->q;

	assert(q->label_count <= BATCH_LABELS_MAX);
	*ret_known = true;
	for (unsigned i = 0; i < q->label_count && *ret_known; i++) {
		if (!sql_number(s->db, SQL_label_find,
				VALUES(txt(q->org), txt(q->labels[i].key), txt(q->labels[i].value)),
				&s->labels[i], err))
			return false;
		*ret_known = s->labels[i] != 0;
	}
	return true;
}

/* ---- blocks ---- */

/* Of one filter, or of all that were joined so far: its batches in a block. */
struct batch_block {
	int64_t number; /* NO_BLOCK: it has none */
	uint64_t bits;
};

static bool block_read(struct query *q, struct batch_block *ret, struct error *err)
{
	bool row;

	*ret = (struct batch_block){ .number = NO_BLOCK };
	if (!query_step(q, &row, err))
		return false;
	if (row) {
		ret->number = query_int(q);
		ret->bits = (uint64_t)query_int(q);
	}
	return true;
}

static bool label_block(struct batch_search *s, int64_t label, int64_t at, struct batch_block *ret,
			struct error *err)
{
	AUTO(query_done)
	struct query q = query(s->db, SQL_label_block, VALUES(num(label), num(at)));

	return block_read(&q, ret, err);
}

/* The batches with any of the statuses. */
static bool statuses_block(struct batch_search *s, int64_t at, struct batch_block *ret,
			   struct error *err)
{
	struct batch_block one;

	*ret = (struct batch_block){ .number = NO_BLOCK };
	for (unsigned status = 0; status < BATCH_STATUS_COUNT; status++) {
		if (!(s->q->statuses >> status & 1))
			continue;
		AUTO(query_done)
		struct query q = query(s->db, SQL_status_block,
				       VALUES(txt(s->q->org), num(status), num(at)));
		if (!block_read(&q, &one, err))
			return false;
		if (one.number > ret->number)
			*ret = one;
		else if (one.number == ret->number)
			ret->bits |= one.bits;
	}
	return true;
}

/* Joins one filter's batches; *ret_agrees false: it has none in that block, and ret->number is
 * where it has. */
static void block_join(struct batch_block *ret, const struct batch_block *one, bool *ret_agrees)
{
	*ret_agrees = one->number == ret->number;
	ret->number = one->number;
	ret->bits &= one->bits;
}

/* The latest block, of `at` and those before, in which every filter has batches; it may be that no
 * batch is each filter's. */
static bool next_block(struct batch_search *s, int64_t at, struct batch_block *ret,
		       struct error *err)
{
	struct batch_block one;
	bool agrees = false;

	*ret = (struct batch_block){ .number = at };
	while (!agrees && ret->number != NO_BLOCK) {
		ret->bits = UINT64_MAX;
		agrees = true;
		for (unsigned i = 0; i < s->q->label_count && agrees; i++) {
			if (!label_block(s, s->labels[i], ret->number, &one, err))
				return false;
			block_join(ret, &one, &agrees);
		}
		if (!agrees || s->q->statuses == 0)
			continue;
		if (!statuses_block(s, ret->number, &one, err))
			return false;
		block_join(ret, &one, &agrees);
	}
	return true;
}

/* ---- finding ---- */

static bool search_all(struct batch_search *s, const struct list_span *span, struct error *err)
{
	AUTO(query_done)
	struct query q = query(s->db, SQL_batch_list,
			       VALUES(txt(s->q->org), num(span->below), num(span->from),
				      num((int64_t)(s->wanted - s->n))));
	bool row;

	for (;;) {
		if (!query_step(&q, &row, err))
			return false;
		if (!row)
			return true;
		if (!take(s, query_int(&q), err))
			return false;
	}
}

/* Takes what belongs to the span of the batches of a block. */
static bool take_block(struct batch_search *s, const struct batch_block *b,
		       const struct list_span *span, struct error *err)
{
	for (int bit = (1 << BLOCK_BITS) - 1; bit >= 0 && s->n < s->wanted; bit--) {
		int64_t number = (b->number << BLOCK_BITS) + bit;
		if ((b->bits >> bit & 1) && number >= span->from && number < span->below &&
		    !take(s, number, err))
			return false;
	}
	return true;
}

static bool search_span(struct batch_search *s, const struct list_span *span, struct error *err)
{
	struct batch_block b = { .number = (span->below - 1) >> BLOCK_BITS };

	if (s->q->statuses == 0 && s->q->label_count == 0)
		return search_all(s, span, err);
	while (s->n < s->wanted) {
		if (!next_block(s, b.number, &b, err))
			return false;
		if (b.number == NO_BLOCK || b.number < span->from >> BLOCK_BITS)
			return true;
		if (!take_block(s, &b, span, err))
			return false;
		b.number--;
	}
	return true;
}

/* The span of numbers that the time asked for has in the latest run below *run, which becomes that
 * run; *ret_found false: there is no such run. */
static bool next_span(struct batch_search *s, int64_t *run, struct list_span *ret, bool *ret_found,
		      struct error *err)
{
	const struct batch_query *q = s->q;
	int64_t before = q->created_before != 0 ? q->created_before : INT64_MAX;
	AUTO(query_done)
	struct query found = query(s->db, SQL_batch_run,
				   VALUES(txt(q->org), num(*run), num(q->created_after),
					  num(before)));

	if (!query_step(&found, ret_found, err))
		return false;
	if (!*ret_found)
		return true;
	*run = query_int(&found);
	ret->from = query_int(&found); /* 0: nothing was made after that time */
	ret->below = query_int(&found) + 1;
	if (ret->from == 0)
		ret->below = 0;
	return true;
}

/* Finds the batches of the page, and one more if there are more. */
static bool search(struct batch_search *s, int64_t below, struct error *err)
{
	struct list_span span = { .from = 1, .below = below };
	int64_t run = INT64_MAX;
	bool found;

	if (s->q->created_after == 0 && s->q->created_before == 0)
		return search_span(s, &span, err);
	while (s->n < s->wanted) {
		if (!next_span(s, &run, &span, &found, err))
			return false;
		if (!found)
			break;
		if (span.below > below)
			span.below = below;
		if (span.from < span.below && !search_span(s, &span, err))
			return false;
	}
	return true;
}

/* ---- the page ---- */

struct batch_page {
	struct batch *batches;
	size_t n;
};

static void batch_page_free(struct batch_page *page)
{
	for (size_t i = 0; i < page->n; i++)
		batch_done(&page->batches[i]);
	free(page->batches);
}

/* The bytes of a batch's texts, which have no fixed size. */
static size_t texts_bytes(const struct batch *b)
{
	const char *texts[] = { b->errors, b->metadata, b->options.override };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		n += texts[i] != NULL ? strlen(texts[i]) : 0;
	return n;
}

static bool read_numbered(struct db *db, int64_t number, struct batch *ret, struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_batch_numbered, VALUES(num(number)));
	bool row;

	if (!query_step(&q, &row, err))
		return false;
	return row ? batch_read(&q, ret, err)
		   : fail_sys(err, EIO, "batch number %lld: in an index, and not there",
			      (long long)number);
}

/* Reads what was found, as far as a page goes; *ret_more: there are more. */
static bool read_page(struct batch_search *s, struct batch_page *page, bool *ret_more,
		      struct error *err)
{
	size_t most = s->n < s->q->limit ? s->n : s->q->limit, texts = 0;

	page->batches = calloc(most + 1, sizeof(*page->batches));
	if (page->batches == NULL)
		return fail_memory(err);
	while (page->n < most) {
		struct batch *b = &page->batches[page->n];
		if (!read_numbered(s->db, s->numbers[page->n], b, err))
			return false;
		texts += texts_bytes(b);
		if (page->n > 0 && texts > STORE_PAGE_TEXT_BYTES) {
			batch_done(b);
			break; /* it begins the next page */
		}
		page->n++;
	}
	*ret_more = page->n < s->n;
	return true;
}

static bool page_find(struct db *db, const struct batch_query *q, struct batch_page *page,
		      bool *ret_more, struct error *err)
{
	AUTO(search_done)
	struct batch_search s = { .db = db, .q = q, .wanted = (size_t)q->limit + 1 };
	int64_t below = INT64_MAX;
	bool known;

	if ((q->after != NULL && !find_cursor(db, q->org, q->after, &below, err)) ||
	    !find_labels(&s, &known, err) || (known && !search(&s, below, err)))
		return false;
	return read_page(&s, page, ret_more, err);
}

/* All statements of a page see the same moment. */
static void moment_end(struct db **db)
{
	struct error ignored; /* nothing was written */

	if (db_in_transaction(*db))
		(void)!sql_run(*db, SQL_rollback, VALUES(), NULL, &ignored);
}

bool store_batch_list(struct store *s, const struct batch_query *q, struct batch **ret,
		      size_t *ret_n, bool *ret_more, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(moment_end) struct db *moment = db;
	AUTO(batch_page_free) struct batch_page page = { 0 };

	if (!sql_run(moment, SQL_begin_read, VALUES(), NULL, err) ||
	    !page_find(moment, q, &page, ret_more, err))
		return false;
	*ret_n = page.n;
	page.n = 0;
	*ret = TAKE(page.batches);
	return true;
}

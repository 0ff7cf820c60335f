/* stream.c: see stream.h. */
#include "results/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "results/order.h"

enum source { IN_OUTPUT, IN_ERROR, IN_JOURNAL };

/* Where a line stands; of length 0: nowhere (a hole). */
struct stream_place {
	uint64_t at : 62;
	uint64_t source : 2; /* enum source */
	uint32_t length;
	uint32_t record;
};
#define PLACE_MASK ((UINT64_C(1) << 62) - 1) /* files have less */
_Static_assert(sizeof(struct stream_place) == 16, "a page's list is charged as 16 bytes a line");

struct stream {
	struct stream_sources from;
	uint32_t after, last;
	struct buf places; /* of the numbers after + 1 .. last */
	uint64_t bytes;
	/* where the next read is expected */
	size_t place;
	uint64_t place_at; /* offset in the page of that place's first byte */
};

void stream_sources_close(struct stream_sources *s)
{
	blob_reader_close(s->order);
	blob_reader_close(s->output);
	blob_reader_close(s->error);
	journal_close(s->journal);
	*s = (struct stream_sources){ 0 };
}

void stream_close(struct stream *s)
{
	if (s == NULL)
		return;
	stream_sources_close(&s->from);
	buf_free(&s->places);
	free(s);
}

static struct stream_place *places(const struct stream *s)
{
	return (struct stream_place *)s->places.p;
}

static size_t place_count(const struct stream *s)
{
	return s->last - s->after;
}

/* ---- finding the lines ---- */

static bool find_merged(struct stream *s, size_t *ret_missing, struct error *err)
{
	AUTO(auto_free) struct order_entry *entries = NULL;
	size_t n = 0, count = place_count(s);

	*ret_missing = count;
	if (s->from.order == NULL)
		return true;
	entries = malloc(count * sizeof(*entries) + 1);
	if (entries == NULL)
		return fail_memory(err);
	if (!order_read(s->from.order, s->after - s->from.before + 1, entries, count, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct order_entry *e = &entries[i];
		if (!order_counts(e, s->from.output_bytes, s->from.error_bytes))
			continue;
		places(s)[i] = (struct stream_place){
			.at = e->place & PLACE_MASK,
			.source = e->place & ORDER_ERROR ? IN_ERROR : IN_OUTPUT,
			.length = e->length,
			.record = e->record,
		};
		--*ret_missing;
	}
	return true;
}

/* Lines that are not merged, in the order of their numbers: where they alone fill the page, those
 * that follow are not read. A record that does not check is passed over: its line runs again when
 * the merge comes to it. */
static bool find_in_journal(struct stream *s, size_t missing, struct error *err)
{
	struct journal_head head = { 0 };
	bool ok = true, found = true;
	uint64_t at, bytes = 0;

	if (missing == 0 || s->from.journal == NULL || s->from.journal_at == 0)
		return true;
	struct journal_scan *scan = journal_scan_new(s->from.journal, s->from.journal_at,
						     s->from.journal_end, s->from.records);
	if (scan == NULL)
		return fail_memory(err);
	while (ok && found && missing > 0 && head.number < s->last && bytes < STREAM_PAGE_BYTES) {
		ok = journal_scan_next(scan, &head, &at, &found, err);
		if (!ok || !found || head.number <= s->after || head.number > s->last)
			continue;
		struct stream_place *to = &places(s)[head.number - s->after - 1];
		if (to->length > 0)
			continue;
		*to = (struct stream_place){
			.at = (at + sizeof(head)) & PLACE_MASK,
			.source = IN_JOURNAL,
			.length = head.length,
			.record = head.record,
		};
		bytes += head.length;
		missing--;
	}
	journal_scan_free(scan);
	return ok;
}

static void page_end(struct stream *s)
{
	size_t n = 0;

	while (n < place_count(s) && (s->bytes == 0 || s->bytes < STREAM_PAGE_BYTES))
		s->bytes += places(s)[n++].length;
	s->last = s->after + (uint32_t)n;
}

/* A page is held until its client has read it: so it keeps no file that it reads nothing of. */
static void spare_close(struct stream *s)
{
	unsigned used = 0;

	for (size_t i = 0; i < place_count(s); i++)
		used |= places(s)[i].length > 0 ? 1u << places(s)[i].source : 0;
	blob_reader_close(TAKE(s->from.order));
	if ((used & 1u << IN_OUTPUT) == 0)
		blob_reader_close(TAKE(s->from.output));
	if ((used & 1u << IN_ERROR) == 0)
		blob_reader_close(TAKE(s->from.error));
	if ((used & 1u << IN_JOURNAL) == 0)
		journal_close(TAKE(s->from.journal));
}

static bool page_find(struct stream *s, struct error *err)
{
	size_t missing, bytes = place_count(s) * sizeof(struct stream_place);

	if (!buf_reserve(&s->places, bytes))
		return fail_memory(err);
	memset(s->places.p, 0, bytes);
	s->places.n = bytes;
	if (!find_merged(s, &missing, err) || !find_in_journal(s, missing, err))
		return false;
	page_end(s);
	spare_close(s);
	return true;
}

bool stream_open(struct stream_sources *from, uint32_t after, uint32_t limit,
		 struct budget_use *use, struct stream **ret, struct error *err)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		stream_sources_close(from);
		return fail_memory(err);
	}
	s->from = *from;
	*from = (struct stream_sources){ 0 };
	s->after = s->last = after;
	if (s->from.last > after)
		s->last = s->from.last - after < limit ? s->from.last : after + limit;
	s->places = BUF_OF((size_t)limit * sizeof(struct stream_place), use);
	if (s->last > after && !page_find(s, err)) {
		stream_close(s);
		return false;
	}
	*ret = s;
	return true;
}

uint64_t stream_bytes(const struct stream *s)
{
	return s->bytes;
}

uint32_t stream_last(const struct stream *s)
{
	return s->last;
}

void stream_each(const struct stream *s, stream_fn each, void *ctx)
{
	struct stream_line line = { .number = s->after };

	for (size_t i = 0; i < place_count(s); i++) {
		const struct stream_place *p = &places(s)[i];
		line.number++;
		line.record = p->record;
		line.length = p->length;
		if (p->length > 0)
			each(ctx, &line);
		line.at += p->length;
	}
}

/* ---- reading them ---- */

static bool place_read(const struct stream *s, const struct stream_place *p, uint64_t skip,
		       void *to, size_t n, struct error *err)
{
	switch ((enum source)p->source) {
	case IN_JOURNAL:
		return journal_read(s->from.journal, p->at + skip, to, n, err);
	case IN_ERROR:
		return blob_read_at(s->from.error, p->at + skip, to, n, err);
	case IN_OUTPUT:
		break;
	}
	return blob_read_at(s->from.output, p->at + skip, to, n, err);
}

/* Reads go forward; another `at` begins anew. */
static void place_seek(struct stream *s, uint64_t at)
{
	if (at < s->place_at) {
		s->place = 0;
		s->place_at = 0;
	}
	while (s->place < place_count(s) && at >= s->place_at + places(s)[s->place].length)
		s->place_at += places(s)[s->place++].length;
}

bool stream_read(struct stream *s, uint64_t at, void *to, size_t n, size_t *ret_n,
		 struct error *err)
{
	char *p = to;

	for (*ret_n = 0; *ret_n < n && at < s->bytes;) {
		place_seek(s, at);
		assert(s->place < place_count(s));
		const struct stream_place *from = &places(s)[s->place];
		uint64_t skip = at - s->place_at, left = from->length - skip;
		size_t some = left < n - *ret_n ? (size_t)left : n - *ret_n;
		if (!place_read(s, from, skip, p + *ret_n, some, err))
			return false;
		*ret_n += some;
		at += some;
	}
	return true;
}

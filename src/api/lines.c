/* lines.c: the answer is made of texts and of ranges of input and results: a line may have megabytes, and
 * stays where it is until it is sent. */
#include "api/lines.h"

#include <stdlib.h>

#include "api/results.h"
#include "base/log.h"
#include "ingest/index.h"
#include "results/stream.h"

#define LIMIT_MAX 100u
#define LIMIT_DEFAULT 20u
#define PARTS_MAX (5 * LIMIT_MAX)   /* before the request, it, before the result, it, behind it */
#define TEXT_MAX (LIMIT_MAX * 128u) /* of these parts that are neither */
#define SHORT_BYTES \
	((uint64_t)65536) /* an answer that its handler reads: no other thread is woken */

enum lines_source { FROM_TEXTS, FROM_INPUT, FROM_RESULTS };

struct lines_part {
	uint64_t start; /* in the answer */
	uint64_t at, n; /* in the source */
	enum lines_source from;
};

struct lines_answer {
	struct stream *results;
	struct blob_reader *input; /* NULL: it is gone */
	struct index *index;       /* of `input`, while the answer is put together */
	struct buf texts;
	struct lines_part parts[PARTS_MAX];
	unsigned count;
	unsigned last; /* part that was read from */
	uint64_t bytes;
	bool ok; /* else `err` says why it is none */
	struct error err;
};

static void answer_free(struct lines_answer *a)
{
	if (a == NULL)
		return;
	stream_close(a->results);
	index_close(a->index);
	blob_reader_close(a->input);
	buf_free(&a->texts);
	free(a);
}

static void auto_answer_free(struct lines_answer **a)
{
	answer_free(*a);
}

/* ---- the answer's bytes ---- */

static const struct lines_part *part_at(struct lines_answer *a, uint64_t at)
{
	while (a->parts[a->last].start > at)
		a->last--;
	while (at - a->parts[a->last].start >= a->parts[a->last].n)
		a->last++;
	return &a->parts[a->last];
}

/* *ret_n: at least 1, of less than all the answer's bytes. */
static bool answer_some(struct lines_answer *a, uint64_t at, void *to, size_t n, size_t *ret_n,
			struct error *err)
{
	const struct lines_part *p = part_at(a, at);
	uint64_t skip = at - p->start;

	*ret_n = p->n - skip < n ? (size_t)(p->n - skip) : n;
	switch (p->from) {
	case FROM_INPUT:
		return blob_read_at(a->input, p->at + skip, to, *ret_n, err);
	case FROM_RESULTS:
		return stream_read(a->results, p->at + skip, to, *ret_n, ret_n, err);
	case FROM_TEXTS:
		break;
	}
	memcpy(to, a->texts.p + p->at + skip, *ret_n);
	return true;
}

static ssize_t answer_read(void *ctx, uint64_t at, void *to, size_t n)
{
	struct lines_answer *a = ctx;
	struct error err;
	size_t got;

	if (at >= a->bytes)
		return 0;
	if (answer_some(a, at, to, n, &got, &err))
		return (ssize_t)got;
	log_fault("lines.unreadable", &err);
	return -1;
}

static void answer_close(void *ctx)
{
	answer_free(ctx);
}

static const struct http_source_ops answer_ops = { .read = answer_read, .close = answer_close };

static bool answer_read_whole(struct lines_answer *a, struct buf *to, struct error *err)
{
	size_t got;

	if (!buf_reserve(to, (size_t)a->bytes))
		return fail_memory(err);
	for (; to->n < a->bytes; to->n += got)
		if (!answer_some(a, to->n, to->p + to->n, (size_t)a->bytes - to->n, &got, err))
			return false;
	return true;
}

/* ---- putting it together ---- */

static void part_add(struct lines_answer *a, enum lines_source from, uint64_t at, uint64_t n)
{
	a->parts[a->count++] = (struct lines_part){ a->bytes, at, n, from };
	a->bytes += n;
}

/* What was added to the texts since they had `at` bytes. */
static void text_add(struct lines_answer *a, size_t at)
{
	part_add(a, FROM_TEXTS, at, a->texts.n - at);
}

/* All 0 where the input is gone, or has no such line. */
static bool record_read(struct lines_answer *a, uint32_t number, struct index_record *ret)
{
	*ret = (struct index_record){ 0 };
	return a->index == NULL || number >= index_summary(a->index)->lines ||
	       index_read(a->index, number, ret, 1, &a->err);
}

/* Whether the record names a line of the input that is JSON. */
static bool is_request(const struct lines_answer *a, const struct index_record *r)
{
	return r->length > 0 && (record_flags(r) & (LINE_NOT_JSON | LINE_TOO_LONG)) == 0 &&
	       r->offset <= blob_bytes(a->input) && r->length <= blob_bytes(a->input) - r->offset;
}

static void on_line(void *ctx, const struct stream_line *line)
{
	struct lines_answer *a = ctx;
	struct index_record record;
	size_t at = a->texts.n;

	a->ok = a->ok && record_read(a, line->record, &record);
	if (!a->ok)
		return;
	bool has_request = is_request(a, &record);
	buf_printf(&a->texts, "{\"number\":%u,\"line\":", line->number);
	if (record.line > 0)
		buf_printf(&a->texts, "%u", record.line);
	else
		buf_text(&a->texts, "null");
	buf_text(&a->texts, has_request ? ",\"request\":" : ",\"request\":null");
	text_add(a, at);
	if (has_request)
		part_add(a, FROM_INPUT, record.offset, record.length);
	at = a->texts.n;
	buf_text(&a->texts, ",\"result\":");
	text_add(a, at);
	part_add(a, FROM_RESULTS, line->at, line->length - 1);
	at = a->texts.n;
	buf_text(&a->texts, "}\n");
	text_add(a, at);
}

/* Input and index stay NULL where the file is gone. */
static bool input_open(struct blobs *blobs, const struct batch *b, struct lines_answer *a,
		       struct error *err)
{
	struct blob_reader *file;

	if (b->input_missing)
		return true;
	if (!blob_open(blobs, b->input_file_id, BLOB_DATA, &a->input, err) ||
	    !blob_open(blobs, b->input_file_id, BLOB_INDEX, &file, err))
		return err->kind == ERR_NOT_FOUND;
	return index_open(file, &a->index, err);
}

static bool answer_fill(struct lines_answer *a, struct blobs *blobs, const struct batch *b,
			struct error *err)
{
	if (!input_open(blobs, b, a, err))
		return false;
	a->ok = true;
	stream_each(a->results, on_line, a);
	index_close(TAKE(a->index));
	if (!a->ok) {
		*err = a->err;
		return false;
	}
	return !a->texts.failed || fail_memory(err);
}

bool lines_get(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(batch_done) struct batch b = { 0 };
	AUTO(auto_answer_free) struct lines_answer *a = calloc(1, sizeof(*a));
	struct results_page page;

	if (a == NULL)
		return fail_memory(err);
	a->texts = BUF_OF(TEXT_MAX, budget_use(rq->api->budget, BUDGET_CALLS));
	if (!results_page(rq, LIMIT_DEFAULT, LIMIT_MAX, &b, &page, err))
		return false;
	r->content_type = "application/x-ndjson";
	results_headers(r, page.of.incomplete, page.of.last);
	a->results = page.of.stream;
	if (a->results == NULL)
		return true;
	if (!answer_fill(a, rq->api->blobs, &b, err))
		return false;
	if (a->bytes <= SHORT_BYTES)
		return answer_read_whole(a, &r->body, err);
	r->file = (struct http_file){ .ops = &answer_ops, .ctx = a, .length = a->bytes };
	a = NULL;
	return true;
}

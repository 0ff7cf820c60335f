/* run_canary.c: the first answers of a run, for a person to look at before the rest is paid for. */
#include "cli/run_impl.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "results/stream.h"
#include "rows/answer_text.h"
#include "terminal/text.h"

#define PAGE_LINES 10000u
#define SHOWN_BYTES 2000u /* of an answer, or of what was asked */

/* The value of a string, or JSON as it is, cut, on lines that are indented. */
static void text_print(const char *what, struct slice text, FILE *to)
{
	AUTO(buf_free) struct buf decoded = BUF(16u << 20), plain = BUF(64u << 10);

	if (text.n > 1 && text.p[0] == '"' && buf_reserve(&decoded, text.n)) {
		decoded.n = json_decode((struct slice){ text.p + 1, text.n - 2 }, decoded.p,
					text.n);
		text = buf_slice(&decoded);
	}
	bool cut = text.n > SHOWN_BYTES;
	if (cut)
		text.n = SHOWN_BYTES;
	while (text.n > 0) {
		const char *lf = memchr(text.p, '\n', text.n);
		size_t n = lf != NULL ? (size_t)(lf - text.p) : text.n;

		buf_clear(&plain);
		text_plain(&plain, (struct slice){ text.p, n });
		fprintf(to, "  %-7s %.*s%s\n", what, SLICE_ARG(buf_slice(&plain)),
			cut && lf == NULL ? "..." : "");
		what = "";
		n += lf != NULL;
		text = (struct slice){ text.p + n, text.n - n };
	}
}

static void answer_print(struct slice line, FILE *to)
{
	AUTO(answer_done) struct row_answer answer = ANSWER_EMPTY;
	AUTO(buf_free) struct buf id = BUF(4096), raw = BUF(4096);
	struct slice custom_id;

	if (!answer_id(line, &custom_id) || !answer_read(line, &answer) || answer.failed)
		return;
	if (buf_reserve(&raw, custom_id.n + 1))
		raw.n = json_decode(custom_id, raw.p, custom_id.n);
	text_plain(&id, buf_slice(&raw));
	fprintf(to, "%.*s\n", SLICE_ARG(buf_slice(&id)));
	if (answer.good)
		text_print("answer", answer.value, to);
	else
		text_print("failed", buf_slice(&answer.error), to);
}

static bool page_read(struct stream *stream, struct buf *to, struct error *err)
{
	size_t n = (size_t)stream_bytes(stream), got;

	if (!buf_reserve(to, n))
		return fail_memory(err);
	while (to->n < n) {
		if (!stream_read(stream, to->n, to->p + to->n, n - to->n, &got, err))
			return false;
		if (got == 0)
			break;
		to->n += got;
	}
	return true;
}

static void lines_print(struct slice lines, FILE *to)
{
	while (lines.n > 0) {
		const char *lf = memchr(lines.p, '\n', lines.n);
		size_t n = lf != NULL ? (size_t)(lf - lines.p) : lines.n;

		answer_print((struct slice){ lines.p, n }, to);
		n += lf != NULL;
		lines = (struct slice){ lines.p + n, lines.n - n };
	}
}

bool run_canary_print(struct run *r, FILE *to, struct error *err)
{
	AUTO(buf_free) struct buf lines = BUF(STREAM_PAGE_BYTES + (1u << 30));
	struct pipeline_page page;
	uint64_t after = 0;

	do {
		if (!pipeline_results(r->pipeline, &r->batch.row, after, PAGE_LINES, &page, err))
			return false;
		if (page.stream == NULL)
			break;
		after = page.last;
		buf_clear(&lines);
		bool good = page_read(page.stream, &lines, err);
		stream_close(page.stream);
		if (!good)
			return false;
		lines_print(buf_slice(&lines), to);
	} while (lines.n > 0);
	return true;
}

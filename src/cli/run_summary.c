/* run_summary.c: what a person is told of a run that has ended. */
#include "cli/run_summary.h"

#include <inttypes.h>

#include "base/buf.h"
#include "terminal/meter.h"

/* Why lines failed: what to mend before they are tried again. */
static void print_causes(const struct causes *causes, FILE *to)
{
	AUTO(buf_free) struct buf text = BUF(1024);

	causes_describe(causes, &text);
	buf_char(&text, '\0');
	if (causes->n > 0 && !text.failed)
		fprintf(to, "failed: %s\n", text.p);
}

static void print_counts(const struct run_summary *s, FILE *to)
{
	const struct counts *c = &s->batch->row.counts;
	double seconds = (double)s->ms / 1000;
	char span[24];

	meter_span((int64_t)(seconds + 0.5), span);
	fprintf(to, "%s: %" PRIu64 " lines in %s%s: %" PRIu64 " completed, %" PRIu64 " failed",
		batch_status_name(s->batch->row.status), c->total, span,
		s->continued ? " (the last part)" : "", c->completed, c->failed);
	if (c->expired > 0)
		fprintf(to, ", %" PRIu64 " not run within %s", c->expired,
			s->batch->row.completion_window);
	fputc('\n', to);
	print_causes(&s->batch->causes, to);
	if (s->kept > 0)
		fprintf(to, "of them %" PRIu64 " answers of the earlier run\n", s->kept);
}

static void print_tokens(const struct run_summary *s, FILE *to)
{
	const struct usage *u = &s->batch->row.usage;

	fprintf(to, "tokens: %" PRIu64 " in, %" PRIu64 " out\n", u->input, u->output);
}

static void print_places(const struct run_summary *s, FILE *to)
{
	if (!s->paths->stream)
		fprintf(to, "answers: %s\n", s->paths->output);
	if (s->with_errors)
		fprintf(to, "errors: %s\n", s->paths->errors);
}

/* What to do about lines that have no answer. */
static void print_next(const struct run_summary *s, FILE *to)
{
	const struct counts *c = &s->batch->row.counts;
	bool limited = s->limit > 0 && c->total >= s->limit;

	if (s->paths->stream || s->documents || (c->completed == c->total && !limited))
		return;
	fprintf(to,
		"next: the same command with --retry-failed%s runs %s; these answers are kept\n",
		limited ? " instead of --limit" : "",
		limited ? "all other lines" : "the lines that failed");
}

void run_summary_print(const struct run_summary *s, FILE *to)
{
	print_counts(s, to);
	print_tokens(s, to);
	print_places(s, to);
	print_next(s, to);
}

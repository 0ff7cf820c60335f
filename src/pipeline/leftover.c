/* leftover.c: see leftover.h. */
#include "pipeline/leftover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "batch/override.h"
#include "batch/segment.h"
#include "ingest/verdict.h"
#include "pipeline/batch_stream.h"
#include "pipeline/input.h"
#include "pipeline/lost_data.h"
#include "results/order.h"

#define RECORDS_AT_ONCE 512
#define ENTRIES_AT_ONCE 1024
#define COPY_BYTES (256u << 10)

struct leftover {
	const struct batch *parent, *child;
	const char *data_dir;
	struct blobs *blobs;
	struct input input;
	uint64_t records;
	uint8_t *left; /* bit a record */
	uint8_t *bad;  /* likewise: the parent has skipped it */
	uint64_t lines, bytes;
};

/* ---- which are left ---- */

static bool fail_input(struct error *err, const struct batch *parent)
{
	return fail_param(err, "input_file_id", "invalid_value",
			  "The input file '%s' of this batch is gone.", parent->input_file_id);
}

static bool input_get(struct leftover *r, struct error *err)
{
	const struct batch *parent = r->parent;
	struct error why;

	if (parent->input_missing)
		return fail_input(err, parent);
	r->input = (struct input){ .blobs = r->blobs,
				   .file_id = parent->input_file_id,
				   .batch_id = parent->id };
	if (!input_open(&r->input, 0, &why)) {
		*err = why;
		return (why.kind == ERR_NOT_FOUND || data_is_lost(&why)) && fail_input(err, parent);
	}
	r->records = input_lines(&r->input);
	return parent->counts.total == 0 || r->records == parent->counts.total ||
	       fail_input(err, parent);
}

static void record_drop(struct leftover *r, uint64_t record)
{
	if (record < r->records)
		r->left[record / 8] &= (uint8_t) ~(1u << (record % 8));
}

static bool fail_output(struct error *err, const struct batch *parent, const char *what)
{
	return fail(err, ERR_INVALID,
		    "%s of the output file '%s' of this batch is gone, and with it what says which "
		    "of its lines are left.",
		    what, parent->output_file_id);
}

/* The lines of the output file are done. An order that does not have all of them would have some run
 * again. */
static bool output_drop(struct leftover *r, const struct blob_reader *order, struct error *err)
{
	struct order_entry entries[ENTRIES_AT_ONCE];
	size_t n = ENTRIES_AT_ONCE;
	uint64_t dropped = 0;

	for (uint64_t number = 1; n == ENTRIES_AT_ONCE; number += n) {
		if (!order_read(order, (uint32_t)number, entries, ENTRIES_AT_ONCE, &n, err))
			return false;
		for (size_t i = 0; i < n; i++)
			if (entries[i].length > 0 && (entries[i].place & ORDER_ERROR) == 0) {
				record_drop(r, entries[i].record);
				dropped++;
			}
	}
	return dropped >= r->parent->counts.completed ||
	       fail_output(err, r->parent, "Some of the order");
}

static bool done_drop(struct leftover *r, struct error *err)
{
	struct blob_reader *order;

	if (r->parent->output_file_id[0] == '\0')
		return true;
	if (!final_order_open(r->data_dir, r->blobs, r->parent, &order, err))
		return err->kind == ERR_NOT_FOUND && fail_output(err, r->parent, "The order");
	bool ok = output_drop(r, order, err);
	blob_reader_close(order);
	return ok;
}

static bool on_bad(void *ctx, uint64_t number, const struct index_record *record,
		   const struct finding *finding, struct error *err)
{
	struct leftover *r = ctx;

	(void)record;
	(void)finding;
	(void)err;
	if (number < r->records)
		bit_set(r->bad, (uint32_t)number);
	return true;
}

static bool on_bad_again(void *ctx, uint64_t number, const struct index_record *record,
			 const struct finding *finding, struct error *err)
{
	struct leftover *r = ctx;

	(void)record;
	(void)finding;
	(void)err;
	if (number < r->records && bit_get(r->bad, (uint32_t)number))
		record_drop(r, number);
	return true;
}

/* Calls `each` for the lines that are bad with the options of `b`. `model`: that all lines must name. */
static bool bad_each(struct leftover *r, const struct batch *b, const char *model, bad_line_fn each,
		     struct error *err)
{
	struct override *override = NULL;
	struct verdict_lines lines;
	unsigned n;

	if (b->options.override != NULL) {
		override = override_new(b->options.override, &n);
		if (override == NULL)
			return fail_memory(err);
	}
	struct verdict_rules rules = verdict_rules_lasting(b, override);
	rules.model = model;
	bool ok = verdict_bad_lines(r->input.index, r->input.blob, &rules, 0,
				    input_lines(&r->input), each, r, &lines, err);
	override_free(override);
	return ok;
}

static bool bad_drop(struct leftover *r, struct error *err)
{
	const struct batch *parent = r->parent;

	if (!parent->options.skip_invalid || parent->counts.total == 0)
		return true;
	r->bad = calloc(1, r->records / 8 + 1);
	if (r->bad == NULL)
		return fail_memory(err);
	return bad_each(r, parent, parent->model, on_bad, err) &&
	       bad_each(r, r->child, NULL, on_bad_again, err);
}

/* Calls `each` for the records that are left. */
typedef bool (*record_fn)(void *ctx, const struct index_record *record, struct error *err);

static bool left_each(const struct leftover *r, record_fn each, void *ctx, struct error *err)
{
	struct index_record records[RECORDS_AT_ONCE];

	for (uint64_t first = 0; first < r->records; first += RECORDS_AT_ONCE) {
		uint64_t rest = r->records - first;
		size_t n = rest < RECORDS_AT_ONCE ? (size_t)rest : RECORDS_AT_ONCE;

		if (!index_read(r->input.index, first, records, n, err))
			return false;
		for (size_t i = 0; i < n; i++)
			if (((r->left[(first + i) / 8] >> ((first + i) % 8)) & 1) != 0 &&
			    !each(ctx, &records[i], err))
				return false;
	}
	return true;
}

static bool on_count(void *ctx, const struct index_record *record, struct error *err)
{
	struct leftover *r = ctx;

	(void)err;
	r->lines++;
	r->bytes += record->length + 1;
	return true;
}

static bool left_find(struct leftover *r, struct error *err)
{
	bool judged_bad = r->parent->status == BATCH_FAILED && r->parent->counts.total == 0;

	r->left = malloc(r->records / 8 + 1);
	if (r->left == NULL)
		return fail_memory(err);
	memset(r->left, judged_bad ? 0 : 0xff, r->records / 8 + 1);
	return done_drop(r, err) && bad_drop(r, err) && left_each(r, on_count, r, err);
}

bool leftover_open(const char *data_dir, struct blobs *blobs, const struct batch *parent,
		   const struct batch *child, struct leftover **ret, struct error *err)
{
	struct leftover *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return fail_memory(err);
	r->data_dir = data_dir;
	r->blobs = blobs;
	r->parent = parent;
	r->child = child;
	if (!input_get(r, err) || !left_find(r, err)) {
		leftover_close(r);
		return false;
	}
	*ret = r;
	return true;
}

void leftover_close(struct leftover *r)
{
	if (r == NULL)
		return;
	input_close(&r->input);
	free(r->left);
	free(r->bad);
	free(r);
}

uint64_t leftover_lines(const struct leftover *r)
{
	return r->lines;
}

uint64_t leftover_bytes(const struct leftover *r)
{
	return r->bytes;
}

/* ---- their bytes ---- */

/* A run of lines that follow each other in the input: [at, end), without the last one's LF. */
struct copy {
	const struct blob_reader *from;
	struct ingest *to;
	uint64_t at, end; /* equal: none yet */
	char *piece;      /* COPY_BYTES */
};

static bool run_write(struct copy *c, struct error *err)
{
	if (c->at == c->end)
		return true;
	while (c->at < c->end) {
		uint64_t left = c->end - c->at;
		size_t n = left < COPY_BYTES ? (size_t)left : COPY_BYTES;

		if (!blob_read_at(c->from, c->at, c->piece, n, err) ||
		    !ingest_write(c->to, (struct slice){ c->piece, n }, err))
			return false;
		c->at += n;
	}
	(void)failpoint("retry.copying");
	return ingest_write(c->to, SLICE("\n"), err);
}

static bool on_copy(void *ctx, const struct index_record *record, struct error *err)
{
	struct copy *c = ctx;

	if (c->at == c->end || record->offset != c->end + 1) {
		if (!run_write(c, err))
			return false;
		c->at = record->offset;
	}
	c->end = record->offset + record->length;
	return true;
}

bool leftover_copy(const struct leftover *r, struct ingest *in, struct error *err)
{
	AUTO(auto_free) char *piece = malloc(COPY_BYTES);
	struct copy c = { .from = r->input.blob, .to = in, .piece = piece };

	if (piece == NULL)
		return fail_memory(err);
	return left_each(r, on_copy, &c, err) && run_write(&c, err);
}

/* skip.c: the bad lines of a batch that leaves them out (contract 11.1, on_invalid_line). They end
 * before anything is sent: each has a record in the journal, with the error line that it becomes.
 * From there on they are lines that ended like others, for counts, results and a restart. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "ingest/verdict.h"
#include "pipeline/coordinator_impl.h"

#define WRITE_BYTES (1u << 20)

struct skipping {
	struct coordinator *c;
	struct journal *journal;
	struct buf records; /* not written yet */
	uint64_t put;
	bool again; /* most have a record; the lessor is told of the others */
};

static bool records_write(struct skipping *s, struct error *err)
{
	if (s->records.n > 0 && !journal_append(s->journal, buf_slice(&s->records), err))
		return false;
	buf_clear(&s->records);
	return true;
}

/* The raw custom_id; p NULL: there is none that can be read (contract 9). */
static bool custom_id_read(const struct skipping *s, const struct index_record *r, struct buf *to,
			   struct slice *ret, struct error *err)
{
	*ret = (struct slice){ NULL, 0 };
	if (r->custom_id_length == 0)
		return true;
	if (!buf_reserve(to, r->custom_id_length))
		return fail_memory(err);
	if (!blob_read_at(s->c->files.input.blob, r->offset + r->custom_id_offset, to->p,
			  r->custom_id_length, err))
		return false;
	*ret = (struct slice){ to->p, r->custom_id_length };
	return true;
}

/* The record goes behind those that are not written yet. */
static bool record_put(struct skipping *s, uint64_t number, struct slice custom_id,
		       const struct finding *finding, struct error *err)
{
	AUTO(buf_free) struct buf line = BUF(1u << 20);
	const struct journal_head about = {
		.record = (uint32_t)number,
		.http_status = cause_of_finding(finding),
		.kind = JOURNAL_ERROR,
		.number = journal_number_take(s->journal),
	};
	struct journal_head head;
	uint64_t at = journal_end(s->journal) + s->records.n;
	size_t start = s->records.n;

	outcome_bad_line(custom_id, finding, &line);
	if (line.failed || !journal_encode_line(&about, buf_slice(&line), &s->records))
		return fail_memory(err);
	s->put++;
	if (!s->again)
		return s->records.n < WRITE_BYTES || records_write(s, err);
	memcpy(&head, s->records.p + start, sizeof(head));
	if (!records_write(s, err))
		return false;
	lessor_memory_found(s->c->lessor, &head, at);
	return true;
}

static bool on_bad_line(void *ctx, uint64_t number, const struct index_record *r,
			const struct finding *finding, struct error *err)
{
	struct skipping *s = ctx;
	AUTO(buf_free) struct buf id = BUF(UINT16_MAX);
	struct slice custom_id;

	if (s->again && lessor_memory_has_ended(s->c->lessor, number))
		return true;
	return custom_id_read(s, r, &id, &custom_id, err) &&
	       record_put(s, number, custom_id, finding, err);
}

static bool lines_skip(struct skipping *s, const struct verdict_rules *rules, uint64_t first,
		       struct verdict_lines *ret, struct error *err)
{
	const struct input *in = &s->c->files.input;

	s->records = BUF(UINT32_MAX);
	bool ok = verdict_bad_lines(in->index, in->blob, rules, first, s->c->lines, on_bad_line, s,
				    ret, err) &&
		  records_write(s, err) && journal_sync(s->journal, err);
	buf_free(&s->records);
	return ok;
}

/* ---- before the batch is in progress ---- */

static void each_none(void *ctx, const struct journal_head *head, uint64_t at)
{
	(void)ctx;
	(void)head;
	(void)at;
}

void skip_forget(const struct coordinator *c)
{
	char path[512];

	coordinator_journal_path(c, path, sizeof(path));
	if (unlink(path) != 0 && errno != ENOENT)
		log_warn("journal.unlink_failed", kv_str("batch", c->id), kv_int("errno", errno));
}

/* A crash in here, or before the batch is in progress, leaves a journal of a batch that is still
 * `validating`: it is judged again, and the journal made anew; or of one that has ended, which the
 * next start removes (sweep.h). */
bool skip_first(struct coordinator *c, const struct verdict_rules *rules, struct verdict_lines *ret,
		struct error *err)
{
	struct skipping s = { .c = c };
	struct journal_found found;
	char path[512];

	skip_forget(c);
	coordinator_journal_path(c, path, sizeof(path));
	if (!journal_open(path, JOURNAL_START, c->lines, each_none, NULL, &s.journal, &found, err))
		return false;
	bool ok = lines_skip(&s, rules, 0, ret, err);
	journal_close(s.journal);
	return ok;
}

/* ---- which they are ---- */

static bool skipped_scan(const struct coordinator *c, struct journal_scan *scan, uint8_t *bits,
			 uint64_t *ret_n, struct error *err)
{
	struct journal_head head;
	bool found = true;
	uint64_t at;

	while (journal_scan_next(scan, &head, &at, &found, err)) {
		if (!found)
			return true;
		if (head.kind != JOURNAL_ERROR || !cause_is_of_finding(head.http_status) ||
		    head.record >= c->lines || bit_get(bits, head.record))
			continue;
		bit_set(bits, head.record);
		++*ret_n;
	}
	return false;
}

/* The journal has the records of all lines until the batch is final. */
bool skip_look(const struct coordinator *c, uint8_t *bits, uint64_t *ret_n, struct error *err)
{
	const struct journal *j = c->files.journal;

	*ret_n = 0;
	if (!c->batch.options.skip_invalid || j == NULL)
		return true;
	struct journal_scan *scan = journal_scan_new(j, JOURNAL_START, journal_end(j), c->lines);
	bool ok = scan != NULL ? skipped_scan(c, scan, bits, ret_n, err) : fail_memory(err);
	journal_scan_free(scan);
	return ok;
}

/* ---- when it goes on ---- */

bool skip_again(struct coordinator *c, struct error *err)
{
	struct skipping s = { .c = c, .journal = c->files.journal, .again = true };
	const struct verdict_rules rules = verdict_rules_lasting(&c->batch, c->override);
	struct verdict_lines lines;

	if (!c->batch.options.skip_invalid || c->input_lost || c->files.journal == NULL)
		return true;
	if (!lines_skip(&s, &rules, coordinator_merged(c)->segments * SEGMENT_LINES, &lines, err))
		return false;
	if (s.put == 0)
		return true;
	lessor_memory_found_all(c->lessor);
	if (c->span == NULL) /* of a span they stand nowhere before */
		log_warn("batch.skipped_again", kv_str("batch", c->id), kv_u64("lines", s.put));
	return true;
}

/* earlier.c: two files walked side by side: both are in the order of the input. */
#include "cli/earlier.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/json.h"
#include "base/sys.h"
#include "batch/outcome.h"
#include "journal/journal.h"

#define RECORDS_AT_ONCE 256
#define WRITE_BYTES (1u << 20)

struct walk {
	const char *output;
	uint64_t line; /* of the output, from 1 */

	const struct blob_reader *input;
	const struct index *index;
	uint64_t record; /* the next of the input's */
	struct index_record cache[RECORDS_AT_ONCE];
	uint64_t cache_first, cache_n;

	struct journal *journal;
	struct buf records; /* not written yet */
	uint64_t kept;
};

/* ---- a result line ---- */

struct result {
	struct slice custom_id; /* raw, without its quotes */
	struct slice body;      /* of the answer */
	uint64_t status;        /* 0: there is no answer */
};

static void response_read(struct json *j, struct result *ret)
{
	struct slice key, value;

	if (json_peek(j) != JSON_OBJECT) {
		json_skip(j, &value);
		return;
	}
	json_next(j);
	while (json_member(j, &key)) {
		if (!json_skip(j, &value))
			return;
		if (json_key_is(key, "status_code") && !json_u64(value, &ret->status))
			ret->status = 0;
		else if (json_key_is(key, "body"))
			ret->body = value;
	}
}

/* False if it is none. */
static bool result_read(struct slice line, struct result *ret)
{
	struct json j;
	struct slice key, value;

	*ret = (struct result){ 0 };
	json_init(&j, line);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &key)) {
		if (json_key_is(key, "response"))
			response_read(&j, ret);
		else if (json_skip(&j, &value) && json_key_is(key, "custom_id") &&
			 value.p[0] == '"')
			ret->custom_id = (struct slice){ value.p + 1, value.n - 2 };
	}
	return json_end(&j) && ret->custom_id.p != NULL;
}

/* ---- its request line ---- */

static bool record_get(struct walk *w, uint64_t number, const struct index_record **ret,
		       struct error *err)
{
	uint64_t left = index_summary(w->index)->lines - number;

	if (number < w->cache_first || number >= w->cache_first + w->cache_n) {
		uint64_t n = left < RECORDS_AT_ONCE ? left : RECORDS_AT_ONCE;
		w->cache_n = 0;
		if (!index_read(w->index, number, w->cache, (size_t)n, err))
			return false;
		w->cache_first = number;
		w->cache_n = n;
	}
	*ret = &w->cache[number - w->cache_first];
	return true;
}

static bool custom_id_is(const struct walk *w, const struct index_record *r, struct slice custom_id,
			 bool *ret, struct error *err)
{
	char raw[UINT16_MAX];

	if (!blob_read_at(w->input, r->offset + r->custom_id_offset, raw, r->custom_id_length, err))
		return false;
	*ret = json_same_string((struct slice){ raw, r->custom_id_length }, custom_id);
	return true;
}

/* Steps to the request line of that custom_id. */
static bool record_find(struct walk *w, struct slice custom_id, uint64_t *ret, struct error *err)
{
	const struct index_record *r;
	uint64_t lines = index_summary(w->index)->lines;
	bool found = false;

	while (!found && w->record < lines) {
		*ret = w->record++;
		if (!record_get(w, *ret, &r, err) || !custom_id_is(w, r, custom_id, &found, err))
			return false;
	}
	if (found)
		return true;
	return fail(err, ERR_INVALID,
		    "%s:%" PRIu64 ": the custom_id '%.*s' is not in the input, or not behind those "
		    "of the lines before: this is not the output of an earlier run of this input",
		    w->output, w->line, custom_id.n < 100 ? (int)custom_id.n : 100, custom_id.p);
}

/* ---- into the journal ---- */

static bool records_write(struct walk *w, struct error *err)
{
	if (w->records.n > 0 && !journal_append(w->journal, buf_slice(&w->records), err))
		return false;
	buf_clear(&w->records);
	return true;
}

static uint32_t count_of(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static bool line_keep(struct walk *w, struct slice line, struct error *err)
{
	struct result result;
	uint64_t record = 0;

	w->line++;
	if (!result_read(line, &result))
		return fail(err, ERR_INVALID,
			    "%s:%" PRIu64 ": this is no result line of an earlier run", w->output,
			    w->line);
	if (!record_find(w, result.custom_id, &record, err))
		return false;
	if (result.status < 200 || result.status > 299)
		return true; /* it is one of those that run again */
	struct answer_facts facts;
	answer_scan(result.body, &facts);
	const struct usage u = facts.usage;
	struct journal_head about = {
		.record = (uint32_t)record,
		.http_status = (uint16_t)result.status,
		.kind = JOURNAL_OUTPUT,
		.attempts = 1,
		.input = count_of(u.input),
		.cached = count_of(u.cached),
		.output = count_of(u.output),
		.reasoning = count_of(u.reasoning),
		.total = count_of(u.total),
		.number = journal_number_take(w->journal),
	};
	if (!journal_encode_line(&about, line, &w->records))
		return fail_memory(err);
	w->kept++;
	return w->records.n < WRITE_BYTES || records_write(w, err);
}

static bool lines_keep(struct walk *w, FILE *from, struct error *err)
{
	AUTO(auto_free) char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, from)) > 0) {
		if (line[n - 1] != '\n') /* getline() leaves room for a NUL, and none is needed */
			line[n++] = '\n';
		if (!line_keep(w, (struct slice){ line, (size_t)n }, err))
			return false;
	}
	if (ferror(from))
		return fail_sys(err, errno, "reading %s", w->output);
	/* crash, until here and right after: there is no run.json, so the next call begins anew. */
	return records_write(w, err) && journal_sync(w->journal, err);
}

static void each_none(void *ctx, const struct journal_head *head, uint64_t at)
{
	(void)ctx;
	(void)head;
	(void)at;
}

bool earlier_keep(const char *output, const struct blob_reader *input, const struct index *index,
		  const char *journal_path, uint64_t *ret_kept, struct error *err)
{
	AUTO(auto_free) struct walk *w = calloc(1, sizeof(*w));
	struct journal_found found;

	if (w == NULL)
		return fail_memory(err);
	*w = (struct walk){
		.output = output, .input = input, .index = index, .records = BUF(UINT32_MAX)
	};
	FILE *from = fopen(output, "re");
	if (from == NULL)
		return fail(err, ERR_INVALID, "there is no earlier output %s: %s", output,
			    strerrordesc_np(errno));
	bool ok = journal_open(journal_path, JOURNAL_START, index_summary(index)->lines, each_none,
			       NULL, &w->journal, &found, err) &&
		  lines_keep(w, from, err);
	*ret_kept = w->kept;
	journal_close(w->journal);
	buf_free(&w->records);
	fclose(from);
	return ok;
}

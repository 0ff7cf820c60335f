/* input.c: see input.h. */
#include "pipeline/input.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "batch/override.h"
#include "ingest/ingest.h"
#include "pipeline/lost_data.h"

/* By what is set in it, each member once: no more than the text of an override. */
#define BODY_GROWS_MAX (1u << 20)
#define CACHE_RECORDS 64 /* read at once; dispatch goes through them in order */

/* ---- opening ---- */

static bool index_get(struct input *in, struct error *err)
{
	struct blob_reader *file;

	return blob_open(in->blobs, in->file_id, BLOB_INDEX, &file, err) &&
	       index_open(file, &in->index, err);
}

/* The pass that made it at the upload, once more. A crash leaves the old index or the new one. */
static bool index_remake(struct input *in, uint64_t line_bytes, const struct error *why,
			 struct error *err)
{
	const struct ingest_limits limits = { .line_bytes = line_bytes };
	char sha256[65];

	if (!ingest_file(in->blobs, in->blob, &limits, in->file_id, sha256, &in->index, err))
		return false;
	log_write_error(LOG_WARN, "index.remade", why,
			LOG_FIELDS(kv_str("batch", in->batch_id), kv_str("file", in->file_id)));
	return true;
}

/* The first lines, which dispatch is going to read in a hurry. Where they cannot be read it will say
 * so. */
static void input_warm(const struct input *in)
{
	struct error err;
	char first;
	size_t n;

	if (!blobs_cost_descriptors(in->blobs))
		(void)!blob_read_upto(in->blob, 0, &first, 1, &n, &err);
}

bool input_open(struct input *in, uint64_t line_bytes, struct error *err)
{
	struct error why;

	assert(in->index == NULL && in->blob == NULL);
	if (!blob_open(in->blobs, in->file_id, BLOB_DATA, &in->blob, err))
		return false;
	if (index_get(in, &why)) {
		input_warm(in);
		return true;
	}
	*err = why;
	return data_is_lost(&why) && index_remake(in, line_bytes, &why, err);
}

static void cache_free(struct input *in)
{
	free(TAKE(in->cache));
	in->cache_n = 0;
}

static void blob_close(struct input *in)
{
	blob_reader_close(TAKE(in->blob));
	cache_free(in);
}

void input_close(struct input *in)
{
	blob_close(in);
	index_close(TAKE(in->index));
}

/* Readers without descriptors stay: opening them again would wait for a network. */
void input_release(struct input *in)
{
	if (in->blob != NULL && in->index != NULL && !blobs_cost_descriptors(in->blobs)) {
		cache_free(in);
		return;
	}
	blob_close(in);
	index_let_go(in->index);
}

bool input_take_up(struct input *in, struct error *err)
{
	struct blob_reader *file;

	if (in->index == NULL || (in->blob != NULL && !blobs_cost_descriptors(in->blobs)))
		return true;
	assert(in->blob == NULL);
	if (!blob_open(in->blobs, in->file_id, BLOB_DATA, &in->blob, err) ||
	    !blob_open(in->blobs, in->file_id, BLOB_INDEX, &file, err))
		return false;
	index_take(in->index, file);
	return true;
}

uint64_t input_lines(const struct input *in)
{
	return index_summary(in->index)->lines;
}

/* ---- reading ---- */

static bool record_get(struct input *in, uint64_t record, struct index_record *ret,
		       struct error *err)
{
	assert(in->blob != NULL && record < input_lines(in));
	if (in->cache == NULL)
		in->cache = malloc(CACHE_RECORDS * sizeof(*in->cache));
	if (in->cache == NULL)
		return fail_memory(err);
	if (record < in->cache_first || record >= in->cache_first + in->cache_n) {
		uint64_t rest = input_lines(in) - record;
		uint64_t n = rest < CACHE_RECORDS ? rest : CACHE_RECORDS;

		in->cache_n = 0;
		if (!index_read(in->index, record, in->cache, (size_t)n, err))
			return false;
		in->cache_first = record;
		in->cache_n = n;
	}
	*ret = in->cache[record - in->cache_first];
	return true;
}

/* Whether the places that the index names lie inside the line. */
static bool record_fits(const struct index_record *r)
{
	return (uint64_t)r->body_offset + r->body_length <= r->length &&
	       (uint64_t)r->custom_id_offset + r->custom_id_length <= r->length;
}

bool input_look(struct input *in, uint64_t record, struct line_look *ret, struct error *err)
{
	struct index_record r;

	if (!record_get(in, record, &r, err))
		return false;
	*ret = (struct line_look){ .body_bytes = r.body_length, .prefix = r.prefix };
	if (in->override != NULL)
		ret->body_bytes += (uint32_t)override_bytes(in->override);
	return true;
}

/* The index has counted the line's own `input`. */
static bool override_line(const struct input *in, struct buf *to, struct request_line *line,
			  struct error *err)
{
	AUTO(buf_free) struct buf body = BUF(line->body.n + BODY_GROWS_MAX);
	size_t id_at = (size_t)(line->custom_id.p - to->p);
	struct slice value;

	if (!override_apply(in->override, line->body, &body))
		return body.no_memory ? fail_memory(err)
				      : fail_sys(err, E2BIG, "a body with its override");
	size_t at = to->n;
	buf_add(to, buf_slice(&body));
	if (to->failed)
		return fail_memory(err);
	line->custom_id.p = to->p + id_at;
	line->body = (struct slice){ to->p + at, to->n - at };
	if (override_member(in->override, "input", &value) != JSON_BAD)
		line->inputs = 0;
	return true;
}

bool input_model(struct input *in, uint64_t record, uint16_t *ret, struct error *err)
{
	struct index_record r;

	if (!record_get(in, record, &r, err))
		return false;
	*ret = r.model;
	return true;
}

bool input_line(struct input *in, uint64_t record, struct buf *to, struct request_line *ret,
		struct error *err)
{
	struct index_record r;

	if (!record_get(in, record, &r, err))
		return false;
	if (!record_fits(&r))
		return fail_sys(err, EBADMSG, "index record %llu", (unsigned long long)record);
	if (!buf_reserve(to, r.length))
		return fail_memory(err);
	if (!blob_read_at(in->blob, r.offset, to->p, r.length, err))
		return false;
	to->n = r.length;
	ret->custom_id = (struct slice){ to->p + r.custom_id_offset, r.custom_id_length };
	ret->body = (struct slice){ to->p + r.body_offset, r.body_length };
	ret->inputs = r.inputs;
	return in->override == NULL || override_line(in, to, ret, err);
}

bool input_custom_id(const struct input *in, uint64_t record, struct buf *to)
{
	struct error err;
	struct index_record r;

	if (in->index == NULL || in->blob == NULL)
		return false; /* the input is lost */
	if (!index_read(in->index, record, &r, 1, &err) || !record_fits(&r) ||
	    !buf_reserve(to, r.custom_id_length + 1u))
		return false;
	if (!blob_read_at(in->blob, r.offset + r.custom_id_offset, to->p, r.custom_id_length, &err))
		return false;
	to->n = r.custom_id_length;
	return true;
}

uint64_t input_line_number(const struct input *in, uint64_t record)
{
	struct index_record r;
	struct error err;

	if (in->index == NULL || !index_read(in->index, record, &r, 1, &err))
		return 0;
	return r.line;
}

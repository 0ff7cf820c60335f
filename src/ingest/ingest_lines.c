/* ingest_lines.c: the lines of a file that comes in pieces, each looked at once, where it lies in the
 * caller's piece; only one that straddles two is put together in `carry`. */
#include "ingest/ingest_impl.h"

#include <string.h>

#include "base/json.h"
#include "ingest/line.h"

/* A long line's carry is given back at once: one upload may hold it, a hundred may not. */
#define CARRY_KEPT_BYTES (64u << 10)

#define BOM "\xef\xbb\xbf"

static bool is_blank(struct slice line)
{
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] != ' ' && line.p[i] != '\t' && line.p[i] != '\r')
			return false;
	return true;
}

static uint64_t custom_id_hash(const struct ingest *in, struct slice raw)
{
	char text[CUSTOM_ID_MAX_BYTES];
	size_t n = json_decode(raw, text, sizeof(text));

	return XXH3_64bits_withSecret(text, n, in->hash_key, sizeof(in->hash_key));
}

static uint32_t offset_in(struct slice line, struct slice part)
{
	return part.p == NULL ? 0 : (uint32_t)(part.p - line.p);
}

#define CUSTOM_ID_FAULTS                                                            \
	(LINE_NOT_JSON | LINE_NOT_OBJECT | LINE_TOO_LONG | LINE_CUSTOM_ID_MISSING | \
	 LINE_CUSTOM_ID_NOT_STRING | LINE_CUSTOM_ID_LENGTH)

/* A line that is neither blank nor too long. */
static bool line_index(struct ingest *in, struct slice line, uint64_t offset, struct error *err)
{
	struct line_facts facts;

	line_scan_like(&in->alike, line, &facts);
	struct index_record record = {
		.offset = offset,
		.length = (uint32_t)line.n,
		.line = in->line,
		.body_offset = offset_in(line, facts.body),
		.body_length = (uint32_t)facts.body.n,
		.custom_id_offset = offset_in(line, facts.custom_id),
		.inputs = facts.inputs,
		.prefix = facts.prefix,
	};
	record_set_flags(&record, facts.flags);
	uint64_t number = index_writer_summary(in->index)->lines;
	if ((facts.flags & CUSTOM_ID_FAULTS) == 0) {
		record.custom_id_length = (uint16_t)facts.custom_id.n;
		record.custom_id_hash = custom_id_hash(in, facts.custom_id);
		if (!duplicates_add(in->duplicates, record.custom_id_hash, number, err))
			return false;
	}
	return index_writer_add(in->index, &record, facts.model, facts.url, err);
}

static bool long_line_index(struct ingest *in, uint64_t length, uint64_t offset, struct error *err)
{
	struct index_record record = {
		.offset = offset,
		.length = length < UINT32_MAX ? (uint32_t)length : UINT32_MAX,
		.line = in->line,
		.flags = LINE_TOO_LONG,
		.inputs = 1,
	};
	struct slice none = { NULL, 0 };

	return index_writer_add(in->index, &record, none, none, err);
}

/* The line at hand has ended (its LF, if any, is not in `line`) and had `length` bytes; of one that
 * is too long, `line` is the beginning. */
static bool line_end(struct ingest *in, struct slice line, uint64_t length, struct error *err)
{
	uint64_t offset = in->line_offset;

	if (in->line == UINT32_MAX)
		return fail(err, ERR_INVALID, "The file has more than %u lines.", UINT32_MAX);
	in->line++;
	in->line_offset += length + 1;
	in->line_seen = 0;
	if (offset == 0 && line.n >= BOM_BYTES && memcmp(line.p, BOM, BOM_BYTES) == 0) {
		line.p += BOM_BYTES;
		line.n -= BOM_BYTES;
		length -= BOM_BYTES;
		offset += BOM_BYTES;
	}
	bool return_ends = line.n == length && line.n > 0 && line.p[line.n - 1] == '\r';
	if (length - return_ends > in->limits.line_bytes)
		return long_line_index(in, length, offset, err);
	return is_blank(line) || line_index(in, line, offset, err);
}

static bool carry_add(struct ingest *in, struct slice part, struct error *err)
{
	size_t room = in->carry.max - in->carry.n;

	in->line_seen += part.n;
	if (part.n > room)
		part.n = room;
	buf_add(&in->carry, part);
	return !in->carry.failed || fail_memory(err);
}

static bool carry_end(struct ingest *in, struct error *err)
{
	if (!line_end(in, buf_slice(&in->carry), in->line_seen, err))
		return false;
	buf_clear(&in->carry);
	if (in->carry.cap > CARRY_KEPT_BYTES)
		buf_free(&in->carry);
	return true;
}

bool ingest_is_full(const struct ingest *in)
{
	return in->limits.lines_max > 0 &&
	       index_writer_summary(in->index)->lines >= in->limits.lines_max;
}

bool ingest_lines_find(struct ingest *in, struct slice bytes, struct error *err)
{
	while (bytes.n > 0 && !ingest_is_full(in)) {
		const char *lf = memchr(bytes.p, '\n', bytes.n);
		struct slice part = { bytes.p, lf != NULL ? (size_t)(lf - bytes.p) : bytes.n };

		if (lf == NULL)
			return carry_add(in, part, err);
		if (in->line_seen == 0) {
			if (!line_end(in, part, part.n, err))
				return false;
		} else if (!carry_add(in, part, err) || !carry_end(in, err)) {
			return false;
		}
		bytes.p = lf + 1;
		bytes.n -= part.n + 1;
	}
	return true;
}

bool ingest_lines_end(struct ingest *in, struct error *err)
{
	return in->line_seen == 0 || carry_end(in, err);
}

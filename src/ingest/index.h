/* index.h: the line index of an uploaded file: one fixed-size record a line, in a file of its own
 * beside the blob, read by ranges and never loaded whole.
 *
 *	header    64 bytes: magic "LTINDEX\0", version, record size, record count, footer offset
 *	records   72 or 48 bytes each, in file order; blank lines have none
 *	footer    summary: urls, models, flag counts (JSON text)
 *
 * Native little-endian; other machines refuse it by its magic. Version 1 has no prefixes, and
 * records of 48 bytes: it is written where no line has a prefix, and was written before there were
 * any. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "batch/prefix.h"
#include "blob/blob.h"
#include "ingest/line.h"

struct index_record {
	uint64_t offset;         /* of the line in the blob */
	uint64_t custom_id_hash; /* XXH3 of the decoded custom_id, keyed per file */
	uint32_t length;         /* of the line, without LF */
	uint32_t line;           /* physical line, from 1 */
	uint32_t body_offset;    /* in the line */
	uint32_t body_length;
	uint32_t custom_id_offset; /* in the line, of the raw text between the quotes */
	uint16_t custom_id_length; /* raw bytes (escapes make it up to 6 times the decoded length);
	                              0 under LINE_CUSTOM_ID_* */
	uint16_t model;            /* number in the summary, INDEX_OTHER: missing or not listed */
	uint16_t url;              /* likewise */
	uint16_t flags;            /* enum line_flag, the low 16 bits: see record_flags() */
	uint32_t inputs : 30;      /* a line's bytes bound them */
	uint32_t more_flags : 2;   /* the others; 0 in an index made before there were any */
	struct prefix prefix;      /* all 0 in an index of version 1 */
};
_Static_assert(LINE_FLAG_BITS == 16 + 2, "a record holds every flag");
_Static_assert(sizeof(struct index_record) == 72, "the index file's record is 72 bytes");

static inline uint32_t record_flags(const struct index_record *r)
{
	return r->flags | (uint32_t)r->more_flags << 16;
}

static inline void record_set_flags(struct index_record *r, uint32_t flags)
{
	r->flags = (uint16_t)flags;
	r->more_flags = (flags >> 16) & 3;
}

#define INDEX_OTHER UINT16_MAX
#define INDEX_NAMES_MAX 256 /* distinct urls, and models, that a summary lists */
/* A url or model, decoded, that a summary lists; no longer ones, and none that holds a NUL byte. */
#define INDEX_NAME_BYTES 256

/* What is known of a whole file without reading its records. */
struct index_summary {
	uint64_t lines;  /* records */
	uint64_t inputs; /* sum over the lines */
	uint64_t body_bytes;
	uint32_t flags_any; /* flags of all lines or-ed */
	unsigned url_count, model_count;
	bool url_overflow, model_overflow; /* some line names one that is not listed */
	/* A good share of the lines, one in eight, shares a prefix with a line shortly before it,
	 * and not just the one that all of them begin with: it pays to send those one after
	 * another. */
	bool prefixes;
	/* decoded, malloc'ed, in order of appearance; room for as many as there are, about, for each
	 * open batch has a summary */
	char **urls, **models;
};
void index_summary_done(struct index_summary *s);

struct index; /* an index open for reading; any thread */

/* Takes `file` over, also on failure. INTERNAL, detail "index: ...", if it is no index or torn. */
MUST_USE bool index_open(struct blob_reader *file, struct index **ret, struct error *err);
void index_close(struct index *ix);
/* For AUTO(): NULL is fine. */
static inline void auto_index_close(struct index **ix)
{
	if (*ix != NULL)
		index_close(*ix);
}
const struct index_summary *index_summary(const struct index *ix);
/* Closes the file and keeps the rest, for an index that is not read for a while. NULL is fine. */
void index_let_go(struct index *ix);
/* Takes over a reader of the same file, before it is read again. */
void index_take(struct index *ix, struct blob_reader *file);
/* Reads `n` records from number `first` (from 0) on. */
MUST_USE bool index_read(const struct index *ix, uint64_t first, struct index_record *to, size_t n,
			 struct error *err);

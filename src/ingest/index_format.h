/* index_format.h: what an index file is made of, for index_writer.c, which writes it, and index.c,
 * which reads it. Private to them.
 *
 *	+--------------------+ 0
 *	| struct index_header|   64 bytes, written last: a file cut off in the making has no magic
 *	+--------------------+ 64
 *	| struct index_record|   72 bytes each; 48 in version 1, which ends before `prefix`
 *	| ...                |
 *	+--------------------+ header.footer_at
 *	| summary            |   JSON text, header.footer_bytes
 *	+--------------------+ the file ends here
 *
 * Where no line has a prefix (prompts of less than 512 bytes) version 1 is written: a sixteenth less
 * for the disk at an upload of short lines.
 *
 * To change the layout: raise INDEX_VERSION, and go on reading the versions that users have: their
 * batches go on after an upgrade. One of a later version is refused. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "ingest/index.h"

#define INDEX_MAGIC UINT64_C(0x005845444e49544c) /* "LTINDEX\0"; on a big-endian machine another */
#define INDEX_VERSION 2

/* What a record of version 1 is: the beginning of one of today. */
#define INDEX_RECORD_BYTES_V1 offsetof(struct index_record, prefix)
_Static_assert(INDEX_RECORD_BYTES_V1 == 48, "the record of version 1 was 48 bytes");

struct index_header {
	uint64_t magic;
	uint32_t version;
	uint32_t record_bytes;
	uint64_t records;
	uint64_t footer_at;
	uint64_t footer_bytes;
	uint64_t check; /* XXH3 of the footer, seeded with XXH3 of this header where check is 0 */
	uint64_t spare[2];
};
_Static_assert(sizeof(struct index_header) == 64, "the index file's header is 64 bytes");

/* Names of 256 bytes, each byte six in JSON, twice 256 of them, and some numbers. */
#define INDEX_FOOTER_MAX (1u << 20)

/* Of a header and the summary behind the records. */
uint64_t index_header_check(struct index_header h, struct slice footer);
/* In an index with records of so many bytes. */
uint64_t index_record_offset(uint64_t number, size_t record_bytes);
/* `n` records of `bytes` bytes each, of version 1 or of today, lie at the end of the room for `to`:
 * they become those of today. */
void index_records_widen(struct index_record *to, size_t n, size_t bytes);
/* The summary as JSON. What is read into is zeroed; index_summary_done() undoes it, after a failure
 * too. */
void index_summary_format(const struct index_summary *s, struct buf *to);
MUST_USE bool index_summary_parse(struct slice text, struct index_summary *s, struct error *err);
/* Fails: the file, or its summary, is not what was written. */
bool index_corrupt(struct error *err, const char *what);
/* Takes `name`, which is malloc'ed, in at the end of a summary's urls or models; NULL: no memory. */
MUST_USE bool index_name_add(char ***names, unsigned *count, char *name, struct error *err);
bool index_summary_corrupt(struct error *err);

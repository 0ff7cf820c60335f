/* duplicates.h: which records of a file repeat the custom_id of an earlier one, in fixed memory.
 *
 * Hashes are collected as the records come. Up to 2 MiB of them stay in memory; what is more is
 * spilled as sorted runs to a scratch file and merged at the end, so that equal hashes meet. Equal
 * hashes only raise suspicion: both custom_ids are read back and compared. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "blob/blob.h"
#include "ingest/line.h"

struct duplicates;

/* What resolving needs of the file. Records are asked for in any order. */
struct duplicates_io {
	/* The decoded custom_id of a record: to `to`, its bytes in *ret_n. */
	bool (*read_id)(void *ctx, uint64_t record, char to[static CUSTOM_ID_MAX_BYTES],
			size_t *ret_n, struct error *err);
	/* The record repeats an earlier one. */
	bool (*mark)(void *ctx, uint64_t record, struct error *err);
	void *ctx;
};

/* `blobs`: where to spill; NULL: to a file without a name. */
MUST_USE bool duplicates_open(struct blobs *blobs, struct duplicates **ret, struct error *err);
/* Records come in rising order. */
MUST_USE bool duplicates_add(struct duplicates *d, uint64_t hash, uint64_t record,
			     struct error *err);
/* The memory that it takes, and what it takes more if so many records are added (0: nothing,
 * mostly). */
uint64_t duplicates_bytes(const struct duplicates *d);
uint64_t duplicates_growth(const struct duplicates *d, size_t records);
/* Once, after the last record. */
MUST_USE bool duplicates_resolve(struct duplicates *d, const struct duplicates_io *io,
				 struct error *err);
void duplicates_close(struct duplicates *d); /* NULL is fine */

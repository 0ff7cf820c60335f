/* redo_format.h: the bytes of the redo log. Private to redo/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"

#define REDO_NAME_MOST 200u
#define REDO_ENTRY_MOST (sizeof(struct redo_head) + REDO_NAME_MOST + REDO_BYTES_MOST)
#define REDO_BYTES_MOST (256u << 10)

/* Native little-endian. `check` is XXH3 over the rest. */
struct redo_header {
	char magic[8];
	uint32_t version;
	uint32_t done; /* 1: all of the generation is in its files; the next one has another number */
	uint64_t generation; /* from 1 */
	uint64_t kernel;     /* which boot and mount the files were written in: redo_kernel() */
	uint64_t check;
};
_Static_assert(sizeof(struct redo_header) == 40, "the layout on disk");

enum redo_kind { REDO_WRITE = 1, REDO_PUT = 2, REDO_GONE = 3 };

/* `check` is XXH3 over the rest of the head, the name and the bytes. A sequence only grows in a
 * generation: what a failed sync left behind the last entry is older than that, and is none. */
struct redo_head {
	uint64_t check;
	uint64_t generation, sequence;
	uint64_t at;
	uint32_t length;
	uint16_t kind, name_n;
};
_Static_assert(sizeof(struct redo_head) == 40, "the layout on disk");

struct redo_entry {
	struct redo_head head;
	char name[REDO_NAME_MOST + 1];
	struct slice bytes; /* in what was read */
};

struct redo_header redo_header_make(uint64_t generation, uint64_t kernel, bool done);

enum redo_header_kind {
	REDO_HEADER_NONE, /* there was none yet */
	REDO_HEADER_OURS,
	REDO_HEADER_DAMAGED,
	REDO_HEADER_OF_ANOTHER_VERSION,
};
enum redo_header_kind redo_header_look(const struct redo_header *h);

/* "files/NAME" or "batches/NAME", of a name that one of ours can have. */
bool redo_name_is_plain(const char *name, size_t n);
/* Appends an entry; `to->failed` if there is no room. Its generation is set when it is written. */
void redo_entry_add(struct buf *to, enum redo_kind kind, const char *name, uint64_t at,
		    struct slice bytes, uint64_t sequence);
/* Gives all entries in `bytes`, which are as redo_entry_add() made them, their generation. */
void redo_entries_seal(char *bytes, size_t n, uint64_t generation);
/* The entry that `bytes`, which redo_entry_add() made, begin with. */
void redo_entry_take(struct slice bytes, struct redo_entry *ret);
/* How many bytes the entry has that begins with `head`; 0: none does. */
size_t redo_entry_size(const struct redo_head *head);
/* The entry in `bytes`, of redo_entry_size(). False: it does not check, or is none of `generation` that
 * comes behind `sequence`. */
MUST_USE bool redo_entry_read(struct slice bytes, uint64_t generation, uint64_t sequence,
			      struct redo_entry *ret);

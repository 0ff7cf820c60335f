/* index_writer.h: how ingest makes the file that index.h reads.
 *
 *	index_writer_open -> _add, a line each -> _record, to mark duplicates -> _finish
 *	                                       -> _commit (in a store of blobs) or _end (without)
 *
 * Memory: the buffer of records, the names of the summary, and a table of 4,096 prefix hashes. */
#pragma once

#include "blob/blob.h"
#include "ingest/index.h"

struct index_writer;

/* `blobs` may be NULL. */
MUST_USE bool index_writer_open(struct blobs *blobs, struct index_writer **ret, struct error *err);

/* Appends `record`, after numbering its model and url (raw; {NULL,0}: missing). */
MUST_USE bool index_writer_add(struct index_writer *w, struct index_record *record,
			       struct slice model, struct slice url, struct error *err);

/* After the last _add: the record `number`, to read or to change its flags (by _mark). Valid until
 * the next call. Near ones are cheap. */
MUST_USE bool index_writer_record(struct index_writer *w, uint64_t number,
				  const struct index_record **ret, struct error *err);
MUST_USE bool index_writer_mark(struct index_writer *w, uint64_t number, enum line_flag flag,
				struct error *err);

/* Footer, header; durable if there is a store. */
MUST_USE bool index_writer_finish(struct index_writer *w, struct error *err);
/* `prefixes` is known after _finish. */
const struct index_summary *index_writer_summary(const struct index_writer *w);

/* Gives the index its name. */
MUST_USE bool index_writer_commit(struct index_writer *w, const char *id, struct error *err);
/* Without a store: the finished file, now the caller's. `w` can only be closed from then on. */
MUST_USE struct blob_reader *index_writer_end(struct index_writer *w);

void index_writer_close(struct index_writer *w); /* what has no name is gone; NULL is fine */

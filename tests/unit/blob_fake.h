/* blob_fake.h: a store of blobs in memory, without a descriptor anywhere: what works on it needs no
 * more than blob/blob.h. Reads may be short, and the n-th call may fail. One thread. */
#pragma once

#include "blob/blob.h"

/* blobs_close() frees it. */
struct blobs *blob_fake_new(void);
/* A reader of a copy of `bytes`, with the knobs of `blobs`. */
struct blob_reader *blob_fake_reader(struct blobs *blobs, struct slice bytes);

/* From now on a read gives no more than so many bytes at once. 0: all. */
void blob_fake_read_most(struct blobs *blobs, size_t bytes);
/* From now on the n-th call of a store, reader, writer or appender (from 1) fails; a write that
 * fails, and an append, leaves half of its bytes. */
void blob_fake_fail_nth(struct blobs *blobs, unsigned nth, int error);
/* None fails any more; whether one did. */
bool blob_fake_restore(struct blobs *blobs);

/* How many blobs have a name, and how many writers are open. */
unsigned blob_fake_count(const struct blobs *blobs);
unsigned blob_fake_writers(const struct blobs *blobs);
/* The blob's bytes as a power cut would leave them; {NULL, 0}: none of that name. Valid until it
 * changes. */
struct slice blob_fake_durable(const struct blobs *blobs, const char *id, enum blob_kind kind);

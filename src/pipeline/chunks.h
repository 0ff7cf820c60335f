/* chunks.h: makes finished lines durable beyond this machine: a group of journal records becomes an
 * object of the bucket, a *chunk*, and each span in it gets a row that says where (store/pieces.h).
 * The commit of the rows is the moment of "finished". A group of more than 16 MiB becomes several, one
 * behind the other; after a failure it goes on with the one that has failed. Private to pipeline/.
 *
 * crash: before the object is put, nothing; before the rows, an object that no row names, which the
 * garbage sweep removes (store/garbage.h); after it, lines that have ended, for whoever owns the span
 * next.
 *
 * Threads: the recorder's alone. */
#pragma once

#include "blob/blob.h"
#include "journal/recorder.h"
#include "store/pieces.h"

struct cluster;

struct chunks {
	struct cluster *cluster; /* set by the owner, with `blobs` */
	struct blobs *blobs;
	/* our own: of the group, the part and its line that the chunk begins with; NULL: its first */
	size_t part;
	const struct outcome *line;
	/* where the next one does */
	size_t next_part;
	const struct outcome *next_line;
	/* of the chunk that is under way; number 0: there is none */
	uint64_t number;
	struct owner owner;
	char name[OBJECT_NAME_SIZE];
	struct buf bytes;
	bool is_put;
	struct piece_settled pieces[RECORDED_MAX]; /* one of each part from `part` on */
	size_t pieces_n;
};

void chunks_init(struct chunks *c, struct cluster *cluster, struct blobs *blobs);
void chunks_done(struct chunks *c);
/* As recorder_ops.publish says. */
MUST_USE bool chunks_publish(struct chunks *c, struct recorded *parts, size_t n, struct error *err);

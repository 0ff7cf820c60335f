/* bucket.h: the kind of blob store that is a bucket of an S3-compatible store (s3/s3.h):
 *
 *	PREFIX/files/<id>.jsonl          the data of a blob that was written once
 *	PREFIX/files/<id>.parts/<start>  what was appended, a row of objects: <start>, 20 digits, is the
 *	                                 length of all before it
 *	PREFIX/files/<id>.index          beside an uploaded file its line index
 *	PREFIX/lost/<when>/<name>        what the database does not know (lost.h has <when>)
 *
 * The data are the objects that stand one behind the other from 0 on, <id>.jsonl first where it is
 * there; what stands behind a gap is none of them. An object appears whole, and is never changed but
 * for one that is cut: so what a crash leaves is a shorter row, or a longer one whose end nobody has
 * recorded, and the next blob_append_open() cuts that.
 *
 * Who writes: one process to a prefix, or several nodes of one database, which have called
 * blobs_bucket_share(). A blob has one writer at a time. It need not be the same: the store shows everyone
 * what was put before, and blob_append_open() reads the row anew, so what one process appends stands behind
 * what another has appended and closed. But nothing here keeps two writers of one blob apart, and a call
 * that was given up may be carried out late: its object then stands in place of one that another writer has
 * put at the same length since. So nodes give what they write ids that no other start of a node uses
 * ("part-NODE-EPOCH-NUMBER"), and make one blob of them when all are there (blobs_join() of objects.h).
 * Readers have a blob as it was when they opened it; where it was changed since a read is EBADMSG. */
#pragma once

#include "blob/blob.h"
#include "s3/s3.h"

/* Asks for the bucket: wrong credentials and the like are found here. */
MUST_USE bool blobs_open_bucket(const struct s3_config *c, struct blobs **ret, struct error *err);
/* Whether what stands below the prefix belongs to the data directory of that id, as the object
 * PREFIX/lowtide.id says, which is made where nothing stands there. INVALID: it is another's, or
 * nobody's; with `adopt` it is this one's from now on. Of several who claim a prefix at one time one id
 * has it, and all who come with that (data_dir_share() of cli/data_dir.h). Where a store knows no
 * If-None-Match two of different ids may both believe that they have it, until they start again. */
MUST_USE bool blobs_bucket_claim(struct blobs *blobs, const char *id, bool adopt,
				 struct error *err);
/* Other nodes write to the prefix as well: from now on blobs_sweep() leaves what is younger than an hour by
 * the store's clock, which another may be about to record, and what is named as a part. Before other threads
 * use the store. */
void blobs_bucket_share(struct blobs *blobs);
/* Calls that wait for the store to come back fail: the process ends. */
void blobs_bucket_give_up(struct blobs *blobs);

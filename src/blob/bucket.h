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
 * One process writes to a prefix at a time. */
#pragma once

#include "blob/blob.h"
#include "s3/s3.h"

/* Asks for the bucket: wrong credentials and the like are found here. */
MUST_USE bool blobs_open_bucket(const struct s3_config *c, struct blobs **ret, struct error *err);
/* Whether what stands below the prefix belongs to the data directory of that id, as the object
 * PREFIX/lowtide.id says, which is made where nothing stands there. INVALID: it is another's, or
 * nobody's; with `adopt` it is this one's from now on. */
MUST_USE bool blobs_bucket_claim(struct blobs *blobs, const char *id, bool adopt,
				 struct error *err);
/* Calls that wait for the store to come back fail: the process ends. */
void blobs_bucket_give_up(struct blobs *blobs);

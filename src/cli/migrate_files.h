/* migrate_files.h: the files of a data directory go to a bucket: what clients uploaded, results, pending uploads'
 * parts, and the indexes beside them. */
#pragma once

#include "blob/blob.h"
#include "store/store.h"

struct files_moved {
	uint64_t files, bytes; /* put now: of data and of indexes */
	uint64_t before;       /* files that an earlier call had put */
	uint64_t damaged; /* files whose bytes are not those of their row: told, and put as they are */
};
/* What `store` knows of DATA/files is in `to` afterwards, each file looked at there. `left_out`: ids that are not to
 * go. Nothing is removed. An earlier call's work is not done again: what is there whole stays. */
MUST_USE bool migrate_files(const char *data_dir, struct store *store, struct blobs *from,
			    struct blobs *to, const char (*left_out)[ID_SIZE], size_t left_out_n,
			    struct files_moved *ret, struct error *err);

/* lost.h: what stood in the data directory and the database does not know of. It may be all that is
 * left of somebody's answers: a database may be missing, be an older one, or another directory's.
 * So it is moved and not removed, and goes after its time (retention.lost) or when `lowtide gc` is
 * told to:
 *
 *	DATA/lost/<when, UTC: 20261129T144114Z>/<name>
 *
 * The name is what it was: .jsonl and .index came from DATA/files, .journal from DATA/batches, and
 * back there they go. A move is a rename in one file system; a crash leaves the file in the one
 * place or in the other, and the next sweep moves it. Any thread; also beside a running server. */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* Moves DATA/`folder`/`name` there; `at`, Unix s, is when it counts from. */
MUST_USE bool lost_take(const char *data_dir, int64_t at, const char *folder, const char *name,
			struct error *err);

struct lost_file {
	const char *path; /* below DATA */
	uint64_t bytes;
	int64_t at; /* Unix s */
};
/* Calls `each` for all that is there, in no order. Nothing there is no error. */
MUST_USE bool lost_each(const char *data_dir, void (*each)(void *ctx, const struct lost_file *file),
			void *ctx, struct error *err);
/* Removes what was put there at `until` or before; *ret_files and *ret_bytes are how much. */
MUST_USE bool lost_remove(const char *data_dir, int64_t until, uint64_t *ret_files,
			  uint64_t *ret_bytes, struct error *err);

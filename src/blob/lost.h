/* lost.h: files in the data directory that the database does not know. They may be all that is left
 * of an organization's answers: the database may be missing, an older one, or another directory's.
 * So such files are moved here, and removed after retention.lost or by `lowtide gc --delete`:
 *
 *	DATA/lost/<when, UTC: 20261129T144114Z>/<name>
 *
 * The name is kept: .jsonl and .index came from DATA/files, .journal from DATA/batches; to restore
 * a file, move it back there. A move is a rename in one file system; a crash leaves the file in the
 * one place or in the other, and the next sweep moves it. Any thread; also beside a running
 * server. */
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
/* Calls `each` for every file in lost/, in no order. Nothing there is no error. */
MUST_USE bool lost_each(const char *data_dir, void (*each)(void *ctx, const struct lost_file *file),
			void *ctx, struct error *err);
/* Removes what was put there at `until` or before; *ret_files and *ret_bytes are how much. */
MUST_USE bool lost_remove(const char *data_dir, int64_t until, uint64_t *ret_files,
			  uint64_t *ret_bytes, struct error *err);

/* history_file.h: the rings in a file: DATA/history. Private to history/.
 *
 *	magic "LTHIST\0\0" and a version, native little-endian
 *	ticks, wall-clock time, which ticks were seen
 *	for each organization: its id, since, active, the steps of the hour and of the day
 *	XXH3 of all before
 *
 * At most 680 KB, written whole, so that a file is that of one moment. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "history/rings.h"

#define HISTORY_FILE_MAX (1 << 20)

/* Appends the file; `at`: Unix s of the last tick. What has not ended is left out. */
void history_encode(const struct rings *r, int64_t at, struct buf *to);
/* Fills `r`, which is rings_init()'s. Of a file that is not whole, or not ours, nothing: INTERNAL. */
MUST_USE bool history_decode(struct slice file, struct rings *r, int64_t *ret_at,
			     struct error *err);

MUST_USE bool history_save(const char *data_dir, struct slice file, struct error *err);
/* *ret_found false: there is none. */
MUST_USE bool history_load(const char *data_dir, struct rings *r, int64_t *ret_at, bool *ret_found,
			   struct error *err);

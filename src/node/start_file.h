/* start_file.h: DATA/node, which names the last start on a directory:
 *
 *	lowtide node
 *	id 00f3…        16 hex digits */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

/* *ret NOBODY: there is none, or it makes no sense. */
MUST_USE bool start_file_read(const char *data_dir, uint64_t *ret, struct error *err);
MUST_USE bool start_file_write(const char *data_dir, uint64_t id, struct error *err);

/* file_kind.h: what a file is that was meant to be JSONL and is something else all through: then
 * one sentence helps more than a finding a line. */
#pragma once

#include "base/slice.h"

#define FILE_KIND_BYTES (64u << 10) /* of a file's beginning suffice */

/* A sentence with what to do about it, or NULL: nothing that is known. Of a file in which a server
 * finds nothing wrong it may say anything: ask only where something is. */
const char *file_kind(struct slice beginning);

/* metadata.h: the `metadata` of a batch (contract 5.1, limits in 3.3). */
#pragma once

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"

#define METADATA_PAIRS_MAX 16
#define METADATA_KEY_CHARACTERS_MAX 64
#define METADATA_VALUE_CHARACTERS_MAX 512

/* `text` is a valid JSON object. *ret is a copy to be echoed, malloc'ed: the pairs as they were
 * written, escapes and all, without the white space between them. INVALID as contract 5.2 says. */
MUST_USE bool metadata_read(struct slice text, char **ret, struct error *err);

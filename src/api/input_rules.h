/* input_rules.h: the rules of contract 3.2 that hold for input files, however they are uploaded. */
#pragma once

#include "api/request.h"

/* `batch`, or `batch-api`. */
MUST_USE bool input_purpose_check(struct slice purpose, struct error *err);
/* Zero bytes are refused by the profile kimi. */
MUST_USE bool input_empty_check(const struct api *api, uint64_t bytes, struct error *err);
/* The option `first_line_checked`: a file whose first line is not JSON is refused at once. Reads the
 * index of the blob `id`. */
MUST_USE bool input_first_line_check(struct api *api, const char *id, struct error *err);
/* When a file that is made at `at` expires, 0: never. `after_s` as the client said, 0: it did not. */
int64_t input_expires_at(const struct api *api, int64_t at, int64_t after_s);

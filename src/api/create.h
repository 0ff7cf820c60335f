/* create.h: the request that makes a batch, as a value (contract 5.1, 5.2). */
#pragma once

#include "api/api.h"
#include "base/buf.h"

/* Fills what `ret` takes from the request: input_file_id, endpoint, completion_window, metadata,
 * output_expires_after_s, options, and in *ret_window_s the window's length. INVALID as contract
 * 5.2 says; batch_done(ret) is the caller's either way. Touches no store. */
MUST_USE bool create_read(struct slice body, const struct api_config *config, struct batch *ret,
			  uint64_t *ret_window_s, struct error *err);
/* The same of a retry (contract 11.3), whose body may be empty: what it does not say is as in
 * `parent`. Fills all that a batch has of its request but input_file_id. */
MUST_USE bool create_read_again(struct slice body, const struct api_config *config,
				const struct batch *parent, struct batch *ret,
				uint64_t *ret_window_s, struct error *err);
/* What makes two creates the same (contract 2.4). */
void create_content(const struct batch *b, struct buf *to);

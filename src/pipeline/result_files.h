/* result_files.h: the rows of a batch's two result files, when it ends. Pure. */
#pragma once

#include "store/store.h"

/* `expires_after_s`: of a batch that does not say itself; 0: never. */
void result_files(const struct batch *b, const struct merge_state *m, uint64_t expires_after_s,
		  int64_t now, struct file *ret_output, struct file *ret_error);

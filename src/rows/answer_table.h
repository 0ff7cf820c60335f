/* answer_table.h: result files (contract 9) by custom_id: in any order, of any size, in flat
 * memory: where each line stands is kept on disk. One thread. */
#pragma once

#include "rows/answer_text.h"

struct answer_table;

#define ANSWER_FILES_MAX 8u

/* Reads the files once. INVALID: a line is no result line, or two lines of one custom_id both
 * have an answer. Of an answer and an error of one custom_id the answer is taken: it was asked
 * again. `directory`: where there is room for 48 bytes a line. */
MUST_USE bool answer_table_open(const char *const *paths, size_t n, const char *directory,
				struct answer_table **ret, struct error *err);
void answer_table_close(struct answer_table *a); /* NULL is fine */

/* What was answered to that custom_id. *ret NULL: there is no line. It is valid until the next
 * call. *ret_again: the same custom_id was asked for before. */
MUST_USE bool answer_table_get(struct answer_table *a, struct slice custom_id,
			       const struct row_answer **ret, bool *ret_again, struct error *err);
/* custom_ids in the files, and how many of them were asked for. */
uint64_t answer_table_count(const struct answer_table *a);
uint64_t answer_table_used(const struct answer_table *a);

/* spans_priv.h: columns that statements of spans have alike. Private to spans.c, span_list.c,
 * pieces.c. */
#pragma once

#include "store/asks.h"
#include "store/spans.h"

void span_counts_read(struct query *q, struct counts *counts, struct usage *usage);
/* chunk, at, length, lines of all rows. A malloc'ed array. */
MUST_USE bool span_pieces_read(struct query *q, struct span_piece **ret, size_t *ret_n,
			       struct error *err);

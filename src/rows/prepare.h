/* prepare.h: request lines of documents: one a row, in their order. One thread. */
#pragma once

#include "rows/documents.h"

#define ROW_ID_BYTES_MAX 512u /* of a custom_id (contract 7.1) */

/* What each request is. Its texts are the caller's. */
struct request_options {
	const char *model;
	const char *prompt;   /* with columns, as prompt.h says */
	const char *system;   /* likewise; NULL: none */
	const char *id;       /* the column that is the custom_id; NULL: row-1, row-2, ... */
	const char *endpoint; /* NULL: /v1/chat/completions */
	char *const *params;  /* "name=value": members of the body; JSON, or else a string */
	size_t param_count;
};

struct prepare_options {
	struct documents_options documents;
	struct request_options request;
	uint64_t limit;        /* only the first rows; 0: all */
	const char *directory; /* where there is room for what is known of the ids */
};

/* Takes a request line with its LF. */
typedef bool (*request_fn)(void *ctx, struct slice line, struct error *err);

/* INVALID, with document and row, for what cannot become requests: no such column, a record that
 * is short or long, an id that is empty, too long or another row's, a request that is too large,
 * and no row at all. */
MUST_USE bool prepare(const struct prepare_options *options, request_fn each, void *ctx,
		      uint64_t *ret_rows, struct error *err);

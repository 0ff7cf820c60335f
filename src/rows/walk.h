/* walk.h: the documents that arguments name: files as they are, of a directory all files below
 * it, in the order of their names' bytes, but for hidden ones (a dot at the beginning). One
 * thread. */
#pragma once

#include <fts.h>

#include "base/error.h"

struct document_walk {
	char *const *paths;
	size_t count, next;
	FTS *tree; /* the directory that is being walked; NULL: none */
};

/* *ret_path NULL: that was the last. It is valid until the next call. */
MUST_USE bool walk_next(struct document_walk *w, const char **ret_path, struct error *err);
void walk_close(struct document_walk *w);

/* prompt.h: a prompt with columns in it: "Is this review positive? {review}". `{{` and `}}` are
 * braces. One thread. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* The columns that prompts name, each once. */
struct column_names {
	char **list;
	size_t count;
};
MUST_USE bool names_add(struct column_names *names, struct slice name, size_t *ret_index,
			struct error *err);
void names_done(struct column_names *names);

struct prompt_piece {
	struct slice text; /* of the prompt's own text, where column is PROMPT_TEXT */
	size_t column;     /* in the names */
};
#define PROMPT_TEXT SIZE_MAX

struct prompt {
	struct prompt_piece *pieces;
	size_t count;
};

/* `text` is the caller's until the prompt is done. INVALID for a brace without its other, naming
 * `what` ("--prompt"). */
MUST_USE bool prompt_read(const char *what, const char *text, struct column_names *columns,
			  struct prompt *ret, struct error *err);
/* Adds the prompt with the values of `columns` in their places. */
void prompt_fill(const struct prompt *p, const struct slice *values, struct buf *to);
void prompt_done(struct prompt *p);

/* questions.h: the requests of an input file by custom_id, to be put beside their answers. In memory
 * stand 16 bytes a line; the requests are read from the file again. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

struct questions {
	const char *path;
	int fd;
	struct question *list; /* sorted */
	size_t count, cap;
	struct buf line;
	uint64_t missing; /* answers without a question */
};

/* Reads the file once. */
MUST_USE bool questions_open(struct questions *q, const char *path, struct error *err);
void questions_close(struct questions *q);

/* Appends a result line, which is without its LF, with one more member: "request", the body as it
 * stands in the input; null where the input has none of its custom_id. */
MUST_USE bool questions_merge(struct questions *q, struct slice line, struct buf *to,
			      struct error *err);

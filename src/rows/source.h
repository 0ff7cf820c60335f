/* source.h: the bytes of one document, a window at a time, as UTF-8 or as they are. One thread. */
#pragma once

#include <iconv.h>

#include "base/error.h"
#include "rows/documents.h"

struct source {
	const char *name; /* the caller's, for messages */
	int fd;           /* -1: not open */
	/* The window: bytes that were read and not taken. */
	char *p;
	size_t at, end, room;
	bool ended; /* nothing follows the window */

	iconv_t conversion;   /* (iconv_t)-1: none */
	char *raw;            /* what is to be converted */
	size_t raw_n, raw_at; /* bytes of it; where they stand in the document */
};

/* Closed: for a first source_close(). */
#define SOURCE_CLOSED ((struct source){ .fd = -1, .conversion = (iconv_t)-1 })

/* `path` "-": standard input. `encoding` NULL: the bytes are handed out as they are; else they are
 * converted from it (a name that iconv(3) knows). A byte order mark at the beginning stays. */
MUST_USE bool source_open(struct source *s, const char *path, const char *encoding,
			  struct error *err);
void source_close(struct source *s); /* also one that never was opened */

/* The window, valid until the next call. */
static inline struct slice source_window(const struct source *s)
{
	return (struct slice){ s->p + s->at, s->end - s->at };
}
/* Takes `n` bytes of the window: they are gone at the next source_more(). */
static inline void source_take(struct source *s, size_t n)
{
	s->at += n;
}
/* Adds bytes to the window, or sets `ended`. INVALID if the window is a whole row's and more. */
MUST_USE bool source_more(struct source *s, struct error *err);

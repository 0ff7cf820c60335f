/* record.h: structs as lines of text, which a program of another version can read: a tag, and the
 * members in a table's order, tabs between. ASCII alone, so it goes where text goes.
 *
 *	lane	m-1	16	0.5
 *
 * A reader leaves out lines of tags that it does not know, and what follows the last member that it
 * knows; a line with fewer members is refused. So members are added at the end. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum record_type {
	RECORD_BOOL,
	RECORD_UNSIGNED,
	RECORD_U64,
	RECORD_I64,
	RECORD_DOUBLE, /* exact; NAN may be */
	RECORD_SLICE,
	RECORD_WORD,  /* const char *; NULL and "" are the same: NULL when it is read */
	RECORD_CHARS, /* an array of char, NUL-ended; a longer text is cut when it is read */
};

struct record_field {
	enum record_type type;
	size_t at, size; /* of the member in its struct */
};

#define RECORD_TYPE(pointer) \
	_Generic((pointer),                   \
		bool *: RECORD_BOOL,          \
		unsigned *: RECORD_UNSIGNED,  \
		uint64_t *: RECORD_U64,       \
		int64_t *: RECORD_I64,        \
		double *: RECORD_DOUBLE,      \
		struct slice *: RECORD_SLICE, \
		const char **: RECORD_WORD,   \
		char(*)[]: RECORD_CHARS)
/* `member` of the type `of`; a member of another type than those above does not compile. */
#define RECORD(of, member)                                                \
	{                                                                 \
		RECORD_TYPE(&((of *)NULL)->member), offsetof(of, member), \
			sizeof(((of *)NULL)->member)                      \
	}

/* Appends a line of the struct `of`. */
void record_write(struct buf *to, const char *tag, const struct record_field *fields, size_t n,
		  const void *of);

/* The tag of the next line of *text, which is moved past it; NULL: there is none. *ret: what record_read()
 * reads. Lines and tags get their NULs in place. */
char *record_next(char **text, char **ret);
/* Fills the struct `to`, whose texts lie in the line from then on. False: it is not such a line, and
 * `to` may be filled in part. */
MUST_USE bool record_read(char *line, const struct record_field *fields, size_t n, void *to);

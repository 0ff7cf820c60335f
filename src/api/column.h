/* column.h: a member of a struct by its offset and type, for tables: a table says what is shown of
 * a struct, and one function writes it. Pure.
 *
 *	struct row { struct slice name; unsigned lines; };
 *	{ "lines", COLUMN(struct row, lines) } */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum column_type {
	COLUMN_NONE, /* of a table's entry that has no member */
	COLUMN_ONE,  /* the number 1, whatever the struct holds */
	COLUMN_BOOL,
	COLUMN_UNSIGNED,
	COLUMN_U64,
	COLUMN_I64,
	COLUMN_DOUBLE,
	COLUMN_SLICE, /* struct slice */
	COLUMN_TEXT,  /* char *, NUL-ended; NULL: none */
	COLUMN_CHARS, /* an array of char, NUL-ended */
};

struct column {
	enum column_type type;
	size_t at; /* bytes from the struct's start */
};

#define COLUMN_TYPE(pointer) \
	_Generic((pointer),                   \
		bool *: COLUMN_BOOL,          \
		unsigned *: COLUMN_UNSIGNED,  \
		uint64_t *: COLUMN_U64,       \
		int64_t *: COLUMN_I64,        \
		double *: COLUMN_DOUBLE,      \
		struct slice *: COLUMN_SLICE, \
		const char **: COLUMN_TEXT,   \
		char **: COLUMN_TEXT,         \
		char(*)[]: COLUMN_CHARS)
/* `member` of the type `of`; a member of another type than those above does not compile. */
#define COLUMN(of, member)                                               \
	{                                                                \
		COLUMN_TYPE(&((of *)NULL)->member), offsetof(of, member) \
	}

/* The text of a column that is text; n == 0: none. */
struct slice column_text(struct column c, const void *row);

#define DECIMALS_NONE UINT32_MAX /* rounded to a whole number */
/* Appends a number, a bool as 0 or 1. `decimals` of a double; 0: as many as it takes. */
void column_number(struct column c, const void *row, unsigned decimals, struct buf *to);
bool column_is_text(struct column c);
/* True of a double that is NAN. */
bool column_is_unknown(struct column c, const void *row);
/* True of no text, the number 0, false. */
bool column_is_empty(struct column c, const void *row);
/* True of a COLUMN_I64 below 0. */
bool column_is_negative(struct column c, const void *row);

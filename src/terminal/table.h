/* table.h: objects of the API as a table for people: columns within a width, numbers and times in
 * words. What is written is appended to a buffer; no I/O.
 *
 * A table keeps its first rows, TABLE_ROWS, to find its widths; those that follow are written in
 * these widths: a list of any length takes as much memory. */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "terminal/tty.h"

#define TABLE_ROWS 1000u
#define TABLE_COLUMNS_MAX 24u

/* How a member is shown. */
enum table_form {
	TABLE_TEXT,
	TABLE_NUMBER, /* "1,234,567", on the right */
	TABLE_BYTES,  /* "8.4 GB", on the right */
	TABLE_AGE,    /* "2h05m ago" */
	TABLE_TIME,   /* "2026-11-30 21:00:05 (2h05m ago)" */
};

/* A value on its way into a table. */
struct table_cell {
	struct buf *text; /* plain (text.h); in table_object() a value may have several lines */
	enum tty_color color;
	int64_t now_s;
};

struct table_column {
	const char *title;
	const char *path; /* of the member: "lowtide.eta_at" */
	enum table_form form;
	unsigned gives_way; /* where there is little room the largest goes first; 0: it stays */
	bool right;         /* as numbers are */
	bool shrinks;       /* long values may be cut, down to some characters */
	/* Instead of path and form. What appends nothing is a value that is not there. */
	void (*put)(struct table_cell *cell, const json_t *object);
};

struct table {
	const struct table_column *columns;
	unsigned count;
	size_t width; /* SIZE_MAX: none */
	bool colored;
	int64_t now_s;

	/* table.c's own, zeroed at first */
	struct table_kept *rows; /* until the widths are known */
	size_t row_count;
	bool settled;
	size_t widths[TABLE_COLUMNS_MAX];
	bool gone[TABLE_COLUMNS_MAX];
};

/* Appends what can be written by now. `to->failed`: no memory. */
void table_row(struct table *t, const json_t *object, struct buf *to);
/* Appends the rest; a table without rows is nothing, not even titles. The table is empty again. */
void table_end(struct table *t, struct buf *to);
void table_done(struct table *t);

/* One object: a line for each column, those without a value left out. */
void table_object(const struct table *t, const json_t *object, struct buf *to);

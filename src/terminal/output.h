/* output.h: what a command answers on standard output, in the form that was asked for (--output):
 *
 *	table  for people (table.h): within the terminal's width, in colour on one that has any; as
 *	       wide as need be where standard output is no terminal
 *	json   objects as the API gave them, one a line; a list is an array of them
 *	plain  for cut and awk: values as the API gave them between tabs, one object a line, no
 *	       header, "-" for null, columns that stay
 *
 * No form lets through characters that do something to a terminal (text.h).
 *
 *	output_open(&o, form);
 *	output_list(&o, &layout);
 *	good = for each object: output_row(&o, object, err);
 *	good = output_end(&o, good, err) && good;
 *
 * When whoever reads standard output has gone (`| head -1`), the process ends by SIGPIPE, without a
 * word, also where SIGPIPE is ignored. One thread. */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "terminal/table.h"

enum output_form { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_PLAIN };

/* A kind of object. */
struct output_layout {
	const struct table_column *list; /* each row of a table */
	unsigned list_count;
	const struct table_column *object; /* one of them, whole; NULL: as in the list */
	unsigned object_count;
	const char *const *plain; /* paths, ends with NULL */
	const char *none; /* "no batches": told on standard error where a table has no rows */
};

struct output {
	enum output_form form;
	FILE *to;
	bool colored;
	size_t width; /* of the terminal; SIZE_MAX: none */
	int64_t now_s;

	/* output.c's own */
	const struct output_layout *layout;
	struct table table;
	size_t written;
};

/* "table", "json" or "plain"; false: another. */
bool output_form_read(const char *text, enum output_form *ret);

/* On standard output. */
void output_open(struct output *o, enum output_form form);
void output_list(struct output *o, const struct output_layout *layout);
MUST_USE bool output_row(struct output *o, const json_t *object, struct error *err);
/* All is written, and the memory of the rows is free. `whole` false: the list broke off, which
 * the form shows: an array in JSON is left open, so that nobody takes it for all. */
MUST_USE bool output_end(struct output *o, bool whole, struct error *err);
/* Text that is not of a form, whole lines of it. */
MUST_USE bool output_text(struct output *o, const struct buf *text, struct error *err);
/* One object. */
MUST_USE bool output_object(struct output *o, const struct output_layout *layout,
			    const json_t *object, struct error *err);

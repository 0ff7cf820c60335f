/* documents.c: one document after another; what they are is documents_{table,jsonl,text}.c. */
#include "rows/documents_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "rows/text.h"

#define LOOK_BYTES 4 /* of a document's beginning: what it is instead */

static const struct {
	const char *name;
	const struct document_kind *kind;
} formats[] = {
	[DOCUMENTS_BY_NAME] = { NULL, NULL },
	[DOCUMENTS_CSV] = { "csv", &documents_table },
	[DOCUMENTS_TSV] = { "tsv", &documents_table },
	[DOCUMENTS_JSONL] = { "jsonl", &documents_jsonl },
	[DOCUMENTS_TEXT] = { "text", &documents_text },
};

bool documents_format_read(const char *name, enum documents_format *ret)
{
	for (size_t i = DOCUMENTS_CSV; i < ARRAY_LEN(formats); i++) {
		if (strcmp(name, formats[i].name) != 0)
			continue;
		*ret = (enum documents_format)i;
		return true;
	}
	return false;
}

enum documents_format documents_format_by_name(const char *path)
{
	static const struct {
		const char *ending;
		enum documents_format format;
	} endings[] = {
		{ ".csv", DOCUMENTS_CSV },      { ".tsv", DOCUMENTS_TSV },
		{ ".tab", DOCUMENTS_TSV },      { ".jsonl", DOCUMENTS_JSONL },
		{ ".ndjson", DOCUMENTS_JSONL },
	};
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot != NULL && i < ARRAY_LEN(endings); i++)
		if (strcasecmp(dot, endings[i].ending) == 0)
			return endings[i].format;
	return DOCUMENTS_TEXT;
}

/* ---- one document after another ---- */

static bool format_is(const struct documents *d, const char *path, struct error *err)
{
	if (d->options->format != DOCUMENTS_BY_NAME || documents_format_by_name(path) == d->format)
		return true;
	return fail(err, ERR_INVALID,
		    "%s and %s are of different kinds: name those of one kind, or say what all are "
		    "(--format csv|tsv|jsonl|text)",
		    d->first, path);
}

/* What no format is. */
static bool look_check(struct documents *d, struct error *err)
{
	static const struct {
		struct slice bytes;
		const char *what;
	} others[] = {
		{ SLICE("\xff\xfe"), "is UTF-16: give --encoding utf-16" },
		{ SLICE("\xfe\xff"), "is UTF-16: give --encoding utf-16" },
		{ SLICE("PAR1"),
		  "is Parquet: lowtide.map() in Python reads it, or save it as CSV" },
		{ SLICE("PK\x03\x04"),
		  "is a spreadsheet or a ZIP archive: save it as CSV, or unpack it" },
		{ SLICE("\x1f\x8b"), "is compressed: unpack it (gunzip)" },
		{ SLICE("\x28\xb5\x2f\xfd"), "is compressed: unpack it (unzstd)" },
		{ SLICE("%PDF"), "is a PDF: make a text of it (pdftotext)" },
	};
	struct slice window;

	if (d->options->encoding != NULL)
		return true;
	if (!documents_window_least(d, LOOK_BYTES, err))
		return false;
	window = source_window(&d->source);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (window.n >= others[i].bytes.n &&
		    memcmp(window.p, others[i].bytes.p, others[i].bytes.n) == 0)
			return documents_fail(d, err, "the document %s", others[i].what);
	return true;
}

static bool path_keep(struct documents *d, const char *path, struct error *err)
{
	free(d->path);
	d->path = strdup(path);
	if (d->first == NULL && d->path != NULL)
		d->first = strdup(path);
	return (d->path != NULL && d->first != NULL) || fail_memory(err);
}

/* Opens the next document, if there is one. */
static bool document_open(struct documents *d, struct error *err)
{
	const char *path;

	source_close(&d->source);
	if (!walk_next(&d->walk, &path, err))
		return false;
	d->ended = path == NULL;
	if (d->ended)
		return true;
	if (!path_keep(d, path, err) || !format_is(d, path, err) ||
	    !source_open(&d->source, d->path, d->options->encoding, err))
		return false;
	d->row.document = d->source.name;
	d->row.line = 0;
	d->next_line = 1;
	d->told = false;
	return look_check(d, err) && d->kind->begin(d, err);
}

bool documents_format_find(const struct documents_options *options, enum documents_format *ret,
			   struct error *err)
{
	struct document_walk look = { .paths = options->paths, .count = options->path_count };
	const char *path;

	*ret = options->format;
	if (!walk_next(&look, &path, err))
		return false;
	if (path == NULL)
		fail(err, ERR_INVALID, "%s: there are no documents", options->paths[0]);
	else if (*ret == DOCUMENTS_BY_NAME && strcmp(path, "-") != 0)
		*ret = documents_format_by_name(path);
	else if (*ret == DOCUMENTS_BY_NAME)
		fail(err, ERR_INVALID,
		     "standard input has no name that tells what it is: say so with --format "
		     "csv|tsv|jsonl|text");
	bool good = path != NULL && *ret != DOCUMENTS_BY_NAME;
	walk_close(&look);
	return good;
}

static bool values_make(struct documents *d, struct error *err)
{
	size_t n = d->columns->wanted_count;

	d->values = calloc(n + 1, sizeof(*d->values));
	d->scratch = calloc(n + 1, sizeof(*d->scratch));
	if (d->values == NULL || d->scratch == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < n; i++)
		d->scratch[i] = BUF(4 * ROW_BYTES_MAX);
	d->row.values = d->values;
	return true;
}

bool documents_open(const struct documents_options *options, const struct columns *columns,
		    struct documents **ret, struct error *err)
{
	struct documents *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return fail_memory(err);
	*d = (struct documents){
		.options = options,
		.columns = columns,
		.walk = { .paths = options->paths, .count = options->path_count },
		.source = SOURCE_CLOSED,
		.line = BUF(4 * ROW_BYTES_MAX),
		.columns_text = BUF(2 * COLUMNS_TEXT_BYTES),
		.header.names_text = BUF(ROW_BYTES_MAX),
	};
	bool good = documents_format_find(options, &d->format, err) && values_make(d, err);
	d->kind = formats[d->format].kind;
	d->delimiter = options->delimiter;
	if (d->format == DOCUMENTS_TSV)
		d->delimiter = '\t';
	if (good && document_open(d, err)) {
		*ret = d;
		return true;
	}
	documents_close(d);
	return false;
}

static void header_done(struct table_header *h)
{
	free(h->text);
	buf_free(&h->names_text);
	free(h->names);
	free(h->wanted_at);
}

void documents_close(struct documents *d)
{
	if (d == NULL)
		return;
	source_close(&d->source);
	walk_close(&d->walk);
	header_done(&d->header);
	csv_record_done(&d->record);
	for (size_t i = 0; d->scratch != NULL && i < d->columns->wanted_count; i++)
		buf_free(&d->scratch[i]);
	buf_free(&d->line);
	buf_free(&d->columns_text);
	free(d->scratch);
	free(d->values);
	free(d->path);
	free(d->first);
	free(d);
}

bool documents_next(struct documents *d, const struct row **ret, struct error *err)
{
	bool found = false;

	*ret = NULL;
	while (!d->ended) {
		d->row.number++;
		if (!d->kind->next(d, &found, err))
			return false;
		if (found) {
			*ret = &d->row;
			return true;
		}
		d->row.number--;
		if (!document_open(d, err))
			return false;
	}
	return true;
}

enum documents_format documents_format(const struct documents *d)
{
	return d->format;
}

char documents_delimiter(const struct documents *d)
{
	return d->delimiter;
}

void documents_header(const struct documents *d, struct slice *ret_text, struct slice *ret_end)
{
	const struct table_header *h = &d->header;

	*ret_text = (struct slice){ h->text, h->n };
	*ret_end = h->end_n > 0 ? (struct slice){ h->text + h->n, h->end_n } : SLICE("\n");
}

/* command_rows.h: what the subcommands share that read documents: which documents, and what is asked of
 * each row. Private to app/. One thread. */
#pragma once

#include "app/command_settings.h"
#include "rows/prepare.h"

#define DOCUMENTS_ROWS                                                                             \
	OPTION("format", OPTION_FORMAT, "csv|tsv|jsonl|text",                                      \
	       "what the documents are (by the ending of their names; all others are texts)"),     \
		OPTION("delimiter", OPTION_DELIMITER, "CHARACTER",                                 \
		       "between the columns of CSV (the one of , ; and tab that the header has)"), \
		OPTION("encoding", OPTION_ENCODING, "NAME",                                        \
		       "of the documents, as iconv -l lists them (utf-8)"),                        \
		OPTION("invalid-utf8", OPTION_INVALID_UTF8, "error|replace",                       \
		       "what is not UTF-8 is an error, or becomes U+FFFD (error)"),                \
		OPTION("id", OPTION_ID, "COLUMN",                                                  \
		       "the column that is the custom_id, another in each row (row-1, row-2, ...)")

#define COLUMN_ROW                              \
	OPTION("column", OPTION_COLUMN, "NAME", \
	       "of the answers (answer); the other is that name with _error")

#define REQUEST_ROWS                                                                                \
	OPTION("prompt", OPTION_PROMPT, "TEXT|@FILE",                                               \
	       "what is asked of each row; {column} stands for its value, {text} for a text file"), \
		OPTION("system", OPTION_SYSTEM, "TEXT|@FILE", "the system prompt, likewise"),       \
		OPTION("param", OPTION_PARAM, "NAME=VALUE",                                         \
		       "a member of each request, such as temperature=0; may be repeated")

/* The texts of the options are argv's, or are kept here. */
struct documents_given {
	struct documents_options documents; /* its paths are an array that is freed here */
	const char *id;
};
struct request_given {
	struct request_options request; /* its params are an array that is freed here */
	char *prompt, *system;          /* of files */
};

/* A parser's last case but one: ARGP_ERR_UNKNOWN is for the next. */
error_t parse_documents(int key, char *arg, struct argp_state *state,
			struct documents_given *given);
error_t parse_request(int key, char *arg, struct argp_state *state, struct request_given *given);
/* Adds a document to the paths. */
void document_add(struct documents_given *given, char *path, struct argp_state *state);
/* Reads the prompts that are in files, and puts all together. Both own what *ret points to. */
MUST_USE bool prepare_options_make(const struct documents_given *documents,
				   struct request_given *request, struct prepare_options *ret,
				   struct error *err);

void documents_given_done(struct documents_given *given);
void request_given_done(struct request_given *given);

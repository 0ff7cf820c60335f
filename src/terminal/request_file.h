/* request_file.h: the file that is to become a batch: opened, looked at before anything is sent, and read
 * again as often as need be. Standard input is copied to a file without a name in TMPDIR: its length
 * has to be told before it is sent (contract 4). */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"

struct request_file {
	int fd;
	uint64_t size;
	const char *path; /* "standard input" for -; for messages */
	bool is_stdin;
	struct stat st;     /* of a file that has a name */
	char name[256];     /* that the server gives it: ends in .jsonl */
	char endpoint[256]; /* the url of the first of the first lines that has one; "": none */
};

#define REQUEST_FILE_CLOSED ((struct request_file){ .fd = -1 })

/* `path` "-": standard input. INVALID, in a sentence, for what is no JSONL: a directory, nothing,
 * bytes that are no text, a table, a JSON array. */
MUST_USE bool request_file_open(const char *path, struct request_file *ret, struct error *err);
void request_file_close(struct request_file *in);
/* The endpoint of a batch of the file: `asked`, else its lines', else /v1/chat/completions. `in`
 * NULL: one that is not here to look at. */
const char *request_file_endpoint(const struct request_file *in, const char *asked);
/* Whether the file is as it was when it was opened. */
MUST_USE bool request_file_unchanged(const struct request_file *in, struct error *err);

/* tables.c: for test_tables.py: prepares, or joins, many documents in one process.
 *
 *	rows_tables prepare FORMAT ID DIR...   DIR/docs -> DIR/in.jsonl
 *	rows_tables join FORMAT ID DIR...      DIR/docs, DIR/out.jsonl, DIR/err.jsonl -> DIR/labelled
 *
 * ID "-": none. Exits 1, naming the directory, where one fails. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "no_sync.h"
#include "rows/join.h"
#include "rows/prepare.h"

struct names {
	char docs[PATH_MAX], in[PATH_MAX], out[PATH_MAX], err[PATH_MAX], labelled[PATH_MAX];
};

static bool line_write(void *ctx, struct slice line, struct error *err)
{
	return whole_file_write(ctx, line, err);
}

static bool one_prepare(const struct names *n, const struct documents_options *d, const char *id,
			const char *directory, struct error *err)
{
	const struct prepare_options options = {
		.documents = *d,
		.request = { .model = "m", .prompt = "{c}", .id = id },
		.directory = directory,
	};
	struct whole_file to;
	uint64_t rows;

	if (!whole_file_open(&to, n->in, true, err))
		return false;
	bool good = prepare(&options, line_write, &to, &rows, err) && whole_file_commit(&to, err);
	whole_file_close(&to);
	return good;
}

static bool one_join(const struct names *n, const struct documents_options *d, const char *id,
		     const char *directory, struct error *err)
{
	const char *const results[] = { n->out, n->err };
	const struct join_options options = { .documents = *d,
					      .id = id,
					      .results = results,
					      .result_count = 2,
					      .directory = directory };
	struct join_counts counts;
	struct whole_file to;

	if (!whole_file_open(&to, n->labelled, true, err))
		return false;
	bool good = join(&options, &to, &counts, err) && whole_file_commit(&to, err);
	whole_file_close(&to);
	return good && counts.left == 0 && counts.missing == 0;
}

static int one(bool prepares, const char *format, const char *id, const char *directory)
{
	static struct names n;
	char *paths[] = { n.docs };
	struct documents_options d = { .paths = paths, .path_count = 1 };
	struct error err = { .message = "lines are left over, or missing" };

	snprintf(n.docs, sizeof(n.docs), "%s/docs", directory);
	snprintf(n.in, sizeof(n.in), "%s/in.jsonl", directory);
	snprintf(n.out, sizeof(n.out), "%s/out.jsonl", directory);
	snprintf(n.err, sizeof(n.err), "%s/err.jsonl", directory);
	snprintf(n.labelled, sizeof(n.labelled), "%s/labelled", directory);
	if (!documents_format_read(format, &d.format))
		return 2;
	id = strcmp(id, "-") == 0 ? NULL : id;
	if (prepares ? one_prepare(&n, &d, id, directory, &err)
		     : one_join(&n, &d, id, directory, &err))
		return 0;
	fprintf(stderr, "%s: %s %s\n", directory, err.message, err.detail);
	return 1;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc < 5)
		return 2;
	for (int i = 4; i < argc && failed == 0; i++)
		failed = one(strcmp(argv[1], "prepare") == 0, argv[2], argv[3], argv[i]);
	return failed;
}

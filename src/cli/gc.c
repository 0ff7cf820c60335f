/* gc.c: a line for each file, and their sum. */
#include "cli/gc.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "blob/lost.h"
#include "terminal/report.h"

struct tally {
	uint64_t files, bytes, lost_after_s;
};

static void print_one(void *ctx, const struct lost_file *file)
{
	struct tally *t = ctx;
	char until[32] = "for ever";
	time_t end = (time_t)(file->at + (int64_t)t->lost_after_s);
	struct tm utc;

	t->files++;
	t->bytes += file->bytes;
	if (t->lost_after_s != 0 && gmtime_r(&end, &utc) != NULL)
		strftime(until, sizeof(until), "until %Y-%m-%d %H:%M UTC", &utc);
	printf("%s: %" PRIu64 " bytes, kept %s\n", file->path, file->bytes, until);
}

static int list(const char *data_dir, uint64_t lost_after_s)
{
	struct tally t = { .lost_after_s = lost_after_s };
	struct error err;

	if (!lost_each(data_dir, print_one, &t, &err)) {
		report(&err);
		return EXIT_FAULT;
	}
	if (t.files == 0)
		printf("nothing in %s/lost\n", data_dir);
	else
		printf("%" PRIu64 " file%s, %" PRIu64
		       " bytes in %s/lost; --delete removes them now\n",
		       t.files, t.files == 1 ? "" : "s", t.bytes, data_dir);
	return EXIT_GOOD;
}

int gc(const char *data_dir, uint64_t lost_after_s, bool remove)
{
	uint64_t files, bytes;
	struct error err;

	if (access(data_dir, R_OK | X_OK) != 0) {
		fprintf(stderr, "lowtide: %s: there is no data directory that can be read\n",
			data_dir);
		return EXIT_USAGE;
	}
	if (!remove)
		return list(data_dir, lost_after_s);
	if (!lost_remove(data_dir, INT64_MAX, &files, &bytes, &err)) {
		report(&err);
		return EXIT_FAULT;
	}
	printf("removed %" PRIu64 " file%s, %" PRIu64 " bytes, from %s/lost\n", files,
	       files == 1 ? "" : "s", bytes, data_dir);
	return EXIT_GOOD;
}

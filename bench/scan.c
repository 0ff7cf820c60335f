/* scan.c: how fast an input line is validated and its members located, on one core: by the scanner alone
 * (ingest/line.h), and as an upload does it, where lines are alike (ingest/template.h). A JSON object
 * for each kind of line, as bench.py prints them; the middle of 15 rounds.
 *
 *	gcc -O2 -D_GNU_SOURCE -Isrc bench/scan.c src/ingest/line.c src/ingest/template.c \
 *		src/base/json.c src/batch/weight.c -lxxhash -o /tmp/scan && /tmp/scan */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/attr.h"
#include "ingest/template.h"

#define TEXT_BYTES (16u << 20) /* more than the processor's caches hold */
#define ROUNDS 15

static const struct kind {
	const char *name;
	size_t bytes;     /* of a line, about */
	const char *fill; /* what the message repeats */
} kinds[] = {
	{ "340 B, text", 340, "tell me of the sea " },
	{ "4 KB, text", 4096, "The quick brown fox jumps over the lazy dog. " },
	{ "4 KB, line breaks and quotes", 4096, "The quick fox\\njumps over \\\"the\\\" dog. " },
	{ "4 KB, Chinese", 4096, "敏捷的棕色狐狸跳过懒狗。" },
	{ "4 KB, Chinese, escaped", 4096, "\\u654f\\u6377\\u7684" },
	{ "4 KB, many short messages", 4096, "\"},{\"role\":\"user\",\"content\":\"hello" },
	{ "8 KB, text", 8192, "The quick brown fox jumps over the lazy dog. " },
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* others may be busy on this machine */
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* A chat request as the Python SDK's users write it: json.dumps() of a dict. */
static size_t line_make(char *to, const struct kind *kind, unsigned number)
{
	size_t n = (size_t)sprintf(
		to,
		"{\"custom_id\": \"request-%06u\", \"method\": \"POST\", "
		"\"url\": \"/v1/chat/completions\", \"body\": {\"model\": \"kimi-k2\", "
		"\"messages\": [{\"role\": \"user\", \"content\": \"",
		number);
	size_t fill = strlen(kind->fill);

	while (n + fill + 30 <= kind->bytes) {
		memcpy(to + n, kind->fill, fill);
		n += fill;
	}
	return n + (size_t)sprintf(to + n, "\"}], \"max_tokens\": 1000}}");
}

static struct line_template alike;

static void scan(struct slice line, struct line_facts *ret)
{
	line_scan(line, ret);
}

static void scan_like(struct slice line, struct line_facts *ret)
{
	line_scan_like(&alike, line, ret);
}

/* MB a second. */
static double measure(const struct slice *lines, size_t count, size_t bytes,
		      void (*look)(struct slice line, struct line_facts *ret))
{
	double mb_per_s[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		double start = now_s();
		for (size_t i = 0; i < count; i++) {
			struct line_facts facts;
			look(lines[i], &facts);
			if (facts.flags != 0)
				abort();
		}
		mb_per_s[round] = (double)bytes / (now_s() - start) / 1e6;
	}
	qsort(mb_per_s, ROUNDS, sizeof(mb_per_s[0]), compare);
	return mb_per_s[ROUNDS / 2];
}

static void kind_measure(const struct kind *kind, char *text, struct slice *lines)
{
	size_t count = 0, bytes = 0;

	while (bytes + kind->bytes + 512 < TEXT_BYTES) {
		lines[count] = (struct slice){ text + bytes,
					       line_make(text + bytes, kind, (unsigned)count) };
		bytes += lines[count++].n;
	}
	double alone = measure(lines, count, bytes, scan);
	double like = measure(lines, count, bytes, scan_like);
	double line_bytes = (double)bytes / (double)count;
	printf("{\"bench\":\"scan\",\"lines\":\"%s\",\"mb_per_s\":%.0f,\"ns_per_line\":%.0f,"
	       "\"alike_mb_per_s\":%.0f,\"alike_ns_per_line\":%.0f}\n",
	       kind->name, alone, line_bytes / alone * 1e3, like, line_bytes / like * 1e3);
}

int main(void)
{
	char *text = malloc(TEXT_BYTES);
	struct slice *lines = calloc(TEXT_BYTES / 300, sizeof(*lines));

	if (text == NULL || lines == NULL)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		kind_measure(&kinds[i], text, lines);
	free(text);
	free(lines);
	return 0;
}

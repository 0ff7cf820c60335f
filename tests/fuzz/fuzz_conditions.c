/* A download's headers. A range lies in the file, whatever is asked for, and asked for in plain
 * digits it is the same; an etag in a list is found behind anything; what says nothing of gzip gets
 * none. */
#include <stdbool.h>
#include <string.h>

#include "api/conditions.h"
#include "fuzz.h"

#define ETAG "\"0123456789abcdef\""

static void range(const char *header, uint64_t size)
{
	uint64_t offset = UINT64_MAX, length = UINT64_MAX, again_offset, again_length;
	enum range_verdict verdict = range_read(header, size, &offset, &length);
	char plain[64];

	if (verdict != RANGE_PART) {
		PROMISE(verdict == RANGE_NONE || verdict == RANGE_UNSATISFIABLE);
		PROMISE(offset == UINT64_MAX && length == UINT64_MAX);
		return;
	}
	PROMISE(length > 0 && offset < size && length <= size - offset);
	snprintf(plain, sizeof(plain), "bytes=%llu-%llu", (unsigned long long)offset,
		 (unsigned long long)(offset + length - 1));
	PROMISE(range_read(plain, size, &again_offset, &again_length) == RANGE_PART);
	PROMISE(again_offset == offset && again_length == length);
}

static void etags(const char *header)
{
	char longer[4096];

	PROMISE(!etag_listed(NULL, ETAG));
	if (snprintf(longer, sizeof(longer), "%s,W/" ETAG, header) < (int)sizeof(longer))
		PROMISE(etag_listed(longer, ETAG));
	if (snprintf(longer, sizeof(longer), ETAG ",%s", header) < (int)sizeof(longer))
		PROMISE(etag_listed(longer, ETAG));
	if (strchr(header, '*') == NULL && strstr(header, "0123456789abcdef") == NULL)
		PROMISE(!etag_listed(header, ETAG));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t sizes[] = { 0, 1, 10, 4096, UINT64_C(1) << 40, INT64_MAX, UINT64_MAX };
	char *header = malloc(size + 1); /* a text of just its size: ASan sees a read beyond it */

	PROMISE(header != NULL);
	memcpy(header, data, size);
	header[size] = '\0';
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		range(header, sizes[i]);
	etags(header);
	if (gzip_asked(header))
		PROMISE(strcasestr(header, "gzip") != NULL && gzip_taken(header));
	if (html_taken(header))
		PROMISE(strcasestr(header, "text/html") != NULL);
	free(header);
	return 0;
}

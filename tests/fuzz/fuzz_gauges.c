/* An engine's metrics: finite numbers or none; what is told does not hang on the last newline, on
 * carriage returns, or on which kind was asked for; and another line takes nothing away. */
#include <math.h>
#include <string.h>

#include "fuzz.h"
#include "upstream/gauges.h"

static bool same(const struct gauges *a, const struct gauges *b)
{
	return a->kind == b->kind && a->waiting == b->waiting && a->running == b->running &&
	       a->cache == b->cache;
}

static void again(const char *text, size_t n, const struct gauges *expected)
{
	struct gauges g;
	PROMISE(gauges_read((struct slice){ text, n }, expected->kind, &g) && same(&g, expected));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char more[] = "\n\r\nvllm:num_requests_waiting{a=\"} 7\n# x 1\n\xff 2";
	struct slice text = { (const char *)data, size };
	struct gauges g, one;
	bool any = gauges_read(text, GAUGES_AUTO, &g), found = false;

	PROMISE(!gauges_read(text, GAUGES_NONE, &one));
	for (enum gauges_kind k = GAUGES_VLLM; k <= GAUGES_LLAMACPP; k++) {
		if (!gauges_read(text, k, &one))
			continue;
		PROMISE(one.kind == k);
		PROMISE(isfinite(one.waiting) && one.waiting >= 0);
		PROMISE(isfinite(one.running) && one.running >= 0);
		PROMISE(one.cache == -1 || (one.cache >= 0 && one.cache <= 1));
		PROMISE(found || same(&one, &g));
		found = true;
	}
	PROMISE(found == any);
	if (!any)
		return 0;
	char *longer = malloc(size + sizeof(more));
	PROMISE(longer != NULL);
	memcpy(longer, data, size);
	memcpy(longer + size, more, sizeof(more));
	for (size_t n = 0; n <= sizeof(more); n = n == 0 ? 1 : n == 1 ? sizeof(more) : n + 1)
		again(longer, size + n, &g);
	free(longer);
	return 0;
}

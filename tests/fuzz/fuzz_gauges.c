/* An engine's metrics: numbers in range or none, and then a reason; what is told does not hang on
 * the last newline, on carriage returns, or on which kind was asked for; and another line takes
 * nothing away. The same bytes as an engine's answer about its slots: a number in range. */
#include <math.h>
#include <string.h>

#include "fuzz.h"
#include "upstream/gauges.h"

static bool same(const struct gauges *a, const struct gauges *b)
{
	return a->kind == b->kind && a->waiting == b->waiting && a->running == b->running &&
	       a->deferred == b->deferred && a->cache == b->cache &&
	       a->preemptions == b->preemptions && a->prefix_queries == b->prefix_queries &&
	       a->prefix_hits == b->prefix_hits && a->output_tokens == b->output_tokens &&
	       a->slots == -1 && b->slots == -1;
}

static bool counted(double requests)
{
	return requests >= 0 && requests <= GAUGES_REQUESTS_MAX;
}

static bool counter(double n)
{
	return n == -1 || (isfinite(n) && n >= 0);
}

static void in_range(const struct gauges *g)
{
	PROMISE(counted(g->waiting) && counted(g->running));
	PROMISE(g->deferred >= 0 && g->deferred <= g->waiting);
	PROMISE(g->cache == -1 || (g->cache >= 0 && g->cache <= 1));
	PROMISE(counter(g->preemptions) && counter(g->prefix_queries) && counter(g->prefix_hits) &&
		counter(g->output_tokens));
}

static void again(const char *text, size_t n, const struct gauges *expected)
{
	struct gauges g;
	const char *why;

	PROMISE(gauges_read((struct slice){ text, n }, expected->kind, &g, &why) &&
		same(&g, expected));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char more[] = "\n\r\nvllm:num_requests_waiting{a=\"} 7\n# x 1\n\xff 2";
	struct slice text = { (const char *)data, size };
	struct gauges g, one;
	const char *why;
	bool any = gauges_read(text, GAUGES_AUTO, &g, &why), found = false;

	PROMISE(any || strlen(why) > 0);
	PROMISE(gauges_slots_read(text, GAUGES_SGLANG) <= 1000000);
	PROMISE(gauges_slots_read(text, GAUGES_LLAMACPP) <= 1000000);
	PROMISE(!gauges_read(text, GAUGES_NONE, &one, &why));
	for (enum gauges_kind k = GAUGES_VLLM; k <= GAUGES_LLAMACPP; k++) {
		if (!gauges_read(text, k, &one, &why))
			continue;
		PROMISE(one.kind == k);
		in_range(&one);
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

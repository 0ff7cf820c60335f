/* budget.c: atomic counters, one for each use and one for all of them. */
#include "base/budget.h"

#include <stddef.h>

static const struct {
	const char *label;
	unsigned quarters;
} kinds[] = {
#define X(name, label, quarters) { label, quarters },
	BUDGET_USES(X)
#undef X
};

void budget_init(struct budget *b, uint64_t limit_bytes)
{
	*b = (struct budget){ .limit = limit_bytes };
	for (unsigned kind = 0; kind < BUDGET_KINDS; kind++)
		b->uses[kind].of = b;
}

struct budget_use *budget_use(struct budget *b, enum budget_kind kind)
{
	return b != NULL ? &b->uses[kind] : NULL;
}

const char *budget_label(enum budget_kind kind)
{
	return kinds[kind].label;
}

void budget_charge(struct budget_use *use, uint64_t bytes)
{
	if (use == NULL || bytes == 0)
		return;
	use->bytes += bytes;
	use->of->bytes += bytes;
}

void budget_give(struct budget_use *use, uint64_t bytes)
{
	if (use == NULL || bytes == 0)
		return;
	struct budget *b = use->of;
	use->bytes -= bytes;
	b->bytes -= bytes;
	if (b->awaited && atomic_exchange(&b->awaited, false))
		b->room(b->ctx);
}

bool budget_has(const struct budget_use *use, uint64_t bytes, uint64_t promised)
{
	if (use == NULL || use->of->limit == 0)
		return true;
	const struct budget *b = use->of;
	uint64_t most = b->limit / 4 * kinds[use - b->uses].quarters;
	uint64_t held = b->bytes + promised;
	return (held <= most && bytes <= most - held) || (use->bytes == 0 && promised == 0);
}

bool budget_try(struct budget_use *use, uint64_t bytes)
{
	if (!budget_has(use, bytes, 0))
		return false;
	budget_charge(use, bytes);
	return true;
}

void budget_waiter(struct budget *b, void (*room)(void *ctx), void *ctx)
{
	b->room = room;
	b->ctx = ctx;
}

void budget_await(struct budget *b)
{
	if (b != NULL && b->room != NULL)
		b->awaited = true;
}

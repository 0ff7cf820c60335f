/* gather.c: see gather.h. */
#include "dispatch/gather.h"

#include "dispatch/lane.h"
#include "dispatch/target.h"
#include "upstream/upstream.h"

/* Three quarters of twice the limit are in flight or not durable. */
static bool lane_is_filling(const struct lane *lane)
{
	return 2 * slots_held(&lane->slots) >= 3 * lane_slots(lane);
}

static enum outcome_gather upstream_wants(const struct upstream *u)
{
	if (!u->shared || slots_unrecorded(&u->slots) == 0)
		return GATHER_ON;
	if (u->slots.sent == 0)
		return GATHER_NOT;
	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		if (slots_unrecorded(&lane->slots) > 0 && lane_is_filling(lane))
			return GATHER_BRIEFLY;
	return GATHER_ON;
}

/* Full, nothing is sent anywhere (lane_offer()). */
static enum outcome_gather all_want(const struct slots *all)
{
	if (slots_unsynced_full(all))
		return GATHER_NOT;
	return 4 * slots_unrecorded(all) >= 3 * UNSYNCED_MAX ? GATHER_BRIEFLY : GATHER_ON;
}

enum outcome_gather gather_wanted(const struct slots *all, const struct upstream *first)
{
	enum outcome_gather wanted = all_want(all);

	for (const struct upstream *u = first; u != NULL; u = u->next) {
		enum outcome_gather its = upstream_wants(u);
		if (its < wanted)
			wanted = its;
	}
	return wanted;
}

/* window.c: see window.h. Open groups stand in two lists of their lane: those that a line may
 * follow at once, and those whose lines wait for the ones in flight. */
#include "schedule/window.h"

#include <assert.h>
#include <stdlib.h>

#include "schedule/window_impl.h"

#define OPEN_LEAST 4u /* prefixes that lines in flight of any lane may hold */

void window_free(struct schedule_window *w)
{
	if (w != NULL && w->groups != &w->whole)
		free(w->groups);
	free(w);
}

unsigned window_segments(const struct schedule_window *w)
{
	return w->segments;
}

bool window_has_line(const struct schedule_window *w)
{
	return w != NULL && w->left > 0;
}

/* ---- lists of groups ---- */

static void list_push_first(struct schedule_window *w, struct group_list *list, uint16_t i)
{
	struct window_group *g = &w->groups[i];

	g->prev = WINDOW_NONE;
	g->next = list->first;
	*(list->first != WINDOW_NONE ? &w->groups[list->first].prev : &list->last) = i;
	list->first = i;
}

static void list_push_last(struct schedule_window *w, struct group_list *list, uint16_t i)
{
	struct window_group *g = &w->groups[i];

	g->next = WINDOW_NONE;
	g->prev = list->last;
	*(list->last != WINDOW_NONE ? &w->groups[list->last].next : &list->first) = i;
	list->last = i;
}

static void list_remove(struct schedule_window *w, struct group_list *list, uint16_t i)
{
	const struct window_group *g = &w->groups[i];

	assert(g->prev != WINDOW_NONE ? w->groups[g->prev].next == i : list->first == i);
	assert(g->next != WINDOW_NONE ? w->groups[g->next].prev == i : list->last == i);
	*(g->prev != WINDOW_NONE ? &w->groups[g->prev].next : &list->first) = g->next;
	*(g->next != WINDOW_NONE ? &w->groups[g->next].prev : &list->last) = g->prev;
}

static unsigned group_left(const struct window_group *g)
{
	return g->end - g->at;
}

static bool group_has_line(const struct window_group *g)
{
	return group_left(g) > 0;
}

/* Where it stands while it has lines left. With no line in flight the next one is another leader,
 * for the one before it has failed. */
static struct group_list *list_of(struct schedule_window *w, const struct window_group *g)
{
	struct window_lane *lane = &w->lanes[g->lane];
	bool ready = g->in_flight == 0 || (g->shared && g->warm);

	return ready ? &lane->ready : &lane->waits;
}

/* First the prefix that no line in flight holds, of these the one answered last: it is the warmest
 * in a slot's own cache, and soon dropped from a shared one. */
static void group_list(struct schedule_window *w, uint16_t i)
{
	struct group_list *list = list_of(w, &w->groups[i]);

	if (w->groups[i].in_flight == 0)
		list_push_first(w, list, i);
	else
		list_push_last(w, list, i);
}

/* ---- giving and taking back ---- */

static void line_give(struct schedule_window *w, struct window_group *g, struct schedule_line *ret)
{
	assert(w->left > 0 && group_has_line(g));
	const struct window_line *l = &w->lines[g->at++];

	ret->record = w->firsts[l->line / SEGMENT_LINES] + l->line % SEGMENT_LINES;
	ret->input_tokens = l->tokens;
	ret->window = w->serial;
	ret->group = SCHEDULE_NO_GROUP;
	ret->cached_tokens = 0;
	w->left--;
}

static void loose_give(struct schedule_window *w, struct schedule_line *ret)
{
	struct window_group *g = &w->groups[w->loose];

	line_give(w, g, ret);
	if (!group_has_line(g))
		w->loose = window_group_from(w, w->loose + 1, true);
}

/* Its prefix is in the cache of the lane that it is open for, as far as is known. */
static void group_give(struct schedule_window *w, uint16_t i, unsigned lane,
		       struct schedule_line *ret)
{
	struct window_group *g = &w->groups[i];
	struct window_lane *of = &w->lanes[g->lane];
	struct group_list *list = list_of(w, g);

	assert(of->open > 0);
	line_give(w, g, ret);
	ret->group = i;
	if (g->warm && g->lane == lane)
		ret->cached_tokens = PREFIX_BYTES(g->levels - 1) / WINDOW_BYTES_PER_TOKEN;
	bool first = g->in_flight++ == 0;
	if (group_has_line(g) && list == list_of(w, g) && !first)
		return;
	list_remove(w, list, i);
	if (group_has_line(g))
		group_list(w, i);
	else
		of->open--;
}

static void group_open(struct schedule_window *w, const struct schedule_lane *lane,
		       struct schedule_line *ret)
{
	uint16_t i = w->opens;
	struct window_group *g = &w->groups[i];
	struct window_lane *of = &w->lanes[lane->number];

	w->opens = window_group_from(w, i + 1, false);
	g->lane = (uint8_t)lane->number;
	g->shared = lane->cache == SCHEDULE_CACHE_SHARED;
	of->open++;
	group_list(w, i);
	group_give(w, i, lane->number, ret);
}

/* Of two groups that are another lane's, or wait for their leader, the better one. */
static bool group_better(const struct window_group *a, const struct window_group *b,
			 const struct schedule_lane *lane)
{
	bool shared = lane->cache == SCHEDULE_CACHE_SHARED;

	if (shared && (a->guest == lane->number) != (b->guest == lane->number))
		return a->guest == lane->number;
	if (a->warm != b->warm)
		return a->warm;
	if ((a->lane == lane->number) != (b->lane == lane->number))
		return a->lane == lane->number;
	if (shared)
		return group_left(a) > group_left(b);
	return a->in_flight < b->in_flight;
}

static uint16_t list_best(const struct schedule_window *w, const struct group_list *list,
			  const struct schedule_lane *lane, uint16_t best)
{
	for (uint16_t i = list->first; i != WINDOW_NONE; i = w->groups[i].next)
		if (best == WINDOW_NONE || group_better(&w->groups[i], &w->groups[best], lane))
			best = i;
	return best;
}

/* With no group left to open and no line of its own that is ready: see window.h. */
static void group_widen(struct schedule_window *w, const struct schedule_lane *lane,
			struct schedule_line *ret)
{
	uint16_t best = WINDOW_NONE;

	for (unsigned i = 0; i < LANES_MAX; i++) {
		best = list_best(w, &w->lanes[i].ready, lane, best);
		best = list_best(w, &w->lanes[i].waits, lane, best);
	}
	w->groups[best].guest = (uint8_t)lane->number;
	group_give(w, best, lane->number, ret);
}

static void take_of_slots(struct schedule_window *w, const struct schedule_lane *lane,
			  struct schedule_line *ret)
{
	const struct window_lane *of = &w->lanes[lane->number];

	if (of->ready.first != WINDOW_NONE)
		group_give(w, of->ready.first, lane->number, ret);
	else if (w->loose < w->opens)
		loose_give(w, ret);
	else if (w->opens < w->group_n)
		group_open(w, lane, ret);
	else
		group_widen(w, lane, ret);
}

/* Of the groups that a line may follow in at once: one that no line in flight holds, else the one
 * with the fewest left. */
static uint16_t group_ready(const struct schedule_window *w, const struct window_lane *of)
{
	uint16_t best = of->ready.first;

	if (w->groups[best].in_flight == 0)
		return best;
	for (uint16_t i = best; i != WINDOW_NONE; i = w->groups[i].next)
		if (group_left(&w->groups[i]) < group_left(&w->groups[best]))
			best = i;
	return best;
}

/* Whether a prefix was computed that no line in flight holds any more. */
static bool lane_has_unheld(const struct schedule_window *w, const struct window_lane *of)
{
	return of->ready.first != WINDOW_NONE && w->groups[of->ready.first].in_flight == 0;
}

/* Lines of the group from its leader on, if that is in flight. */
static unsigned group_worth(const struct window_group *g, unsigned most)
{
	unsigned n = group_left(g) + (!g->warm && g->in_flight > 0);

	return n < most ? n : most;
}

/* Whether the open groups have lines for all slots. A large one counts for half of them, so that
 * small ones go beside it: with nothing but small ones left most lines would be leaders. */
static bool open_groups_do(const struct schedule_window *w, const struct schedule_lane *lane)
{
	const struct window_lane *of = &w->lanes[lane->number];
	unsigned half = lane->slots - lane->slots / 2, n = 0;

	for (uint16_t i = of->ready.first; i != WINDOW_NONE && n < lane->slots;
	     i = w->groups[i].next)
		n += group_worth(&w->groups[i], half);
	for (uint16_t i = of->waits.first; i != WINDOW_NONE && n < lane->slots;
	     i = w->groups[i].next)
		n += group_worth(&w->groups[i], half);
	return n >= lane->slots;
}

static void take_shared(struct schedule_window *w, const struct schedule_lane *lane,
			struct schedule_line *ret)
{
	const struct window_lane *of = &w->lanes[lane->number];
	bool may_open = w->opens < w->group_n && (of->open == 0 || of->open < lane->prefixes);

	if (may_open && !lane_has_unheld(w, of) && !open_groups_do(w, lane))
		group_open(w, lane, ret); // NOLINT(bugprone-branch-clone): the order is the rule
	else if (of->ready.first != WINDOW_NONE)
		group_give(w, group_ready(w, of), lane->number, ret);
	else if (w->loose < w->group_n)
		loose_give(w, ret);
	else if (may_open && of->open < OPEN_LEAST)
		group_open(w, lane, ret);
	else if (of->waits.first != WINDOW_NONE)
		group_give(w, of->waits.first, lane->number, ret);
	else
		group_widen(w, lane, ret);
}

void window_take(struct schedule_window *w, const struct schedule_lane *lane,
		 struct schedule_line *ret)
{
	struct schedule_lane l = *lane;

	l.number %= LANES_MAX;
	l.slots += l.slots == 0;
	if (l.cache == SCHEDULE_CACHE_SHARED)
		take_shared(w, &l, ret);
	else
		take_of_slots(w, &l, ret);
}

void window_back(struct schedule_window *w, const struct schedule_line *l, bool answered)
{
	if (w == NULL || l->group == SCHEDULE_NO_GROUP || l->window != w->serial)
		return;
	uint16_t i = (uint16_t)l->group;
	struct window_group *g = &w->groups[i];
	struct group_list *list = list_of(w, g);
	assert(i < w->group_n && g->in_flight > 0);
	bool last = --g->in_flight == 0;
	g->warm = g->warm || answered;
	if (!group_has_line(g) || (list == list_of(w, g) && !last))
		return;
	list_remove(w, list, i);
	group_list(w, i);
}

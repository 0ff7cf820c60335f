/* window.c: see window.h. Lines are sorted twice: by their hashes, so that lines of the longest
 * common prefix are neighbours; then, with the hashes cut to the prefix that another line shares,
 * into the order of sending. */
#include "schedule/window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT16_MAX
#define BYTES_PER_TOKEN 4u
#define OPEN_LEAST 4u /* prefixes that lines in flight of any lane may hold */

_Static_assert(WINDOW_SEGMENTS *SEGMENT_LINES < NONE, "places in a window have 16 bits");

struct window_line {
	uint32_t tokens;
	uint16_t line; /* segment of the window * SEGMENT_LINES + place in it */
};

struct window_group {
	uint16_t at, end;    /* lines that have not been given */
	uint16_t in_flight;  /* of those given */
	uint16_t next, prev; /* in `ready` or in `waits` of the lane, while lines are left */
	uint8_t lane, guest; /* guest: the lane that helped out last */
	uint8_t levels;      /* of its prefix */
	bool loose;          /* lines that share no prefix, which wait for no other */
	bool shared;         /* it is open, for a lane with one cache */
	bool warm;           /* one was answered */
};

/* Of open groups that have lines left. */
struct group_list {
	uint16_t first, last;
};

struct window_lane {
	struct group_list ready; /* a line may follow at once; the next one first */
	struct group_list waits; /* their lines wait for those in flight; opened first first */
	uint16_t open;           /* groups of both */
};

struct schedule_window {
	uint32_t serial;
	unsigned segments;
	uint64_t firsts[WINDOW_SEGMENTS]; /* their first records */
	uint32_t left;                    /* lines that have not been given */
	uint16_t group_n;
	uint16_t opens; /* the next group to open: all before it are open */
	uint16_t loose; /* the next group of lines without a prefix that has any left */
	struct window_lane lanes[LANES_MAX];
	struct window_group *groups;
	struct window_group whole; /* the only one when there was no memory for groups */
	struct window_line lines[];
};

/* A line while the window is loaded. */
struct scan {
	struct prefix prefix;
	uint32_t tokens;
	uint16_t line;
	uint16_t place; /* first line of those that share its shortest prefix: they stay together */
};

bool cursor_peek(const struct schedule_ops *ops, struct schedule_batch *b)
{
	struct segment_cursor *l = &b->cursor;

	for (;;) {
		for (; l->next < l->lines; l->next++)
			if (!bit_get(l->done, l->next))
				return true;
		l->lines = l->next = 0;
		if (!ops->segment_next(b->batch, l))
			return false;
	}
}

/* ---- loading ---- */

static int by_hash(const void *pa, const void *pb)
{
	const struct scan *a = pa, *b = pb;

	for (unsigned i = 0; i < PREFIX_LEVELS; i++)
		if (a->prefix.hash[i] != b->prefix.hash[i])
			return a->prefix.hash[i] < b->prefix.hash[i] ? -1 : 1;
	return (a->line > b->line) - (a->line < b->line);
}

static int by_place(const void *pa, const void *pb)
{
	const struct scan *a = pa, *b = pb;

	return a->place != b->place ? (a->place < b->place ? -1 : 1) : by_hash(a, b);
}

static int by_line(const void *pa, const void *pb)
{
	const struct scan *a = pa, *b = pb;

	return (a->line > b->line) - (a->line < b->line);
}

static unsigned levels_shared(const struct scan *a, const struct scan *b)
{
	unsigned n = 0;

	while (n < PREFIX_LEVELS && a->prefix.hash[n] != 0 &&
	       a->prefix.hash[n] == b->prefix.hash[n])
		n++;
	return n;
}

/* Cuts each line's hashes to the longest prefix that a neighbour has too, and says which lines stay
 * together. The lines are sorted by hash. */
static void scan_cut(struct scan *lines, uint32_t n)
{
	unsigned before = 0;
	uint32_t family = 0; /* the first line that shares a prefix with those up to this one */

	for (uint32_t i = 0; i < n; i++) {
		unsigned after = i + 1 < n ? levels_shared(&lines[i], &lines[i + 1]) : 0;
		unsigned level = before > after ? before : after;
		memset(lines[i].prefix.hash + level, 0,
		       (PREFIX_LEVELS - level) * sizeof(lines[i].prefix.hash[0]));
		if (before == 0)
			family = i;
		lines[i].place = lines[i].line;
		if (lines[family].place > lines[i].line)
			lines[family].place = lines[i].line;
		before = after;
		for (uint32_t k = family; after == 0 && k < i; k++)
			lines[k + 1].place = lines[family].place;
	}
}

static bool scan_same_group(const struct scan *a, const struct scan *b)
{
	return memcmp(&a->prefix, &b->prefix, sizeof(a->prefix)) == 0;
}

static uint32_t groups_count(const struct scan *lines, uint32_t n)
{
	uint32_t groups = 0;

	for (uint32_t i = 0; i < n; i++)
		groups += i == 0 || !scan_same_group(&lines[i - 1], &lines[i]);
	return groups;
}

/* What was taken from the cursor cannot be put back: with no memory for groups it goes in input
 * order. */
static void window_fill(struct schedule_window *w, struct scan *by, uint32_t n)
{
	qsort(by, n, sizeof(*by), by_hash);
	scan_cut(by, n);
	qsort(by, n, sizeof(*by), by_place);
	w->groups = calloc(groups_count(by, n) + 1, sizeof(*w->groups));
	for (uint32_t i = 0; w->groups != NULL && i < n; i++) {
		if (i == 0 || !scan_same_group(&by[i - 1], &by[i]))
			w->groups[w->group_n++] = (struct window_group){
				.at = (uint16_t)i,
				.levels = (uint8_t)levels_shared(&by[i], &by[i]),
				.guest = LANES_MAX,
				.loose = by[i].prefix.hash[0] == 0
			};
		w->groups[w->group_n - 1].end = (uint16_t)(i + 1);
	}
	if (w->groups == NULL) {
		qsort(by, n, sizeof(*by), by_line);
		w->whole = (struct window_group){ .end = (uint16_t)n, .loose = true };
		w->groups = &w->whole;
		w->group_n = 1;
	}
	for (uint32_t i = 0; i < n; i++)
		w->lines[i] = (struct window_line){ by[i].tokens, by[i].line };
	w->left = n;
}

static uint32_t segment_scan(const struct schedule_ops *ops, struct schedule_batch *b,
			     unsigned segment, struct scan *ret)
{
	struct segment_cursor *l = &b->cursor;
	uint32_t n = 0;

	for (; l->next < l->lines; l->next++) {
		if (bit_get(l->done, l->next))
			continue;
		struct line_look look = { 0 };
		if (!ops->look(b->batch, l->first + l->next, &look))
			look = (struct line_look){ 0 };
		ret[n++] = (struct scan){ .prefix = look.prefix,
					  .tokens = look.body_bytes / BYTES_PER_TOKEN,
					  .line = (uint16_t)(segment * SEGMENT_LINES + l->next) };
	}
	return n;
}

/* The first group from `i` on that is loose, or that is not. group_n: there is none. */
static uint16_t group_from(const struct schedule_window *w, uint16_t i, bool loose)
{
	while (i < w->group_n && w->groups[i].loose != loose)
		i++;
	return i;
}

struct schedule_window *window_load(const struct schedule_ops *ops, struct schedule_batch *b,
				    unsigned segments, uint32_t serial)
{
	size_t lines_max = (size_t)segments * SEGMENT_LINES;
	AUTO(auto_free) struct scan *lines = malloc(lines_max * sizeof(*lines));
	struct schedule_window *w = calloc(1, sizeof(*w) + lines_max * sizeof(w->lines[0]));
	uint32_t n = 0;

	if (lines == NULL || w == NULL) {
		free(w);
		return NULL;
	}
	while (w->segments < segments && cursor_peek(ops, b)) {
		w->firsts[w->segments] = b->cursor.first;
		n += segment_scan(ops, b, w->segments, lines + n);
		w->segments++;
	}
	w->serial = serial;
	for (unsigned i = 0; i < LANES_MAX; i++)
		w->lanes[i].ready = w->lanes[i].waits = (struct group_list){ NONE, NONE };
	window_fill(w, lines, n);
	w->opens = group_from(w, 0, false);
	w->loose = group_from(w, 0, true);
	bool whole = w->groups == &w->whole;
	struct schedule_window *moved = realloc(w, sizeof(*w) + n * sizeof(w->lines[0]));
	if (moved != NULL)
		w = moved;
	if (whole)
		w->groups = &w->whole;
	return w;
}

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

	g->prev = NONE;
	g->next = list->first;
	*(list->first != NONE ? &w->groups[list->first].prev : &list->last) = i;
	list->first = i;
}

static void list_push_last(struct schedule_window *w, struct group_list *list, uint16_t i)
{
	struct window_group *g = &w->groups[i];

	g->next = NONE;
	g->prev = list->last;
	*(list->last != NONE ? &w->groups[list->last].next : &list->first) = i;
	list->last = i;
}

static void list_remove(struct schedule_window *w, struct group_list *list, uint16_t i)
{
	const struct window_group *g = &w->groups[i];

	assert(g->prev != NONE ? w->groups[g->prev].next == i : list->first == i);
	assert(g->next != NONE ? w->groups[g->next].prev == i : list->last == i);
	*(g->prev != NONE ? &w->groups[g->prev].next : &list->first) = g->next;
	*(g->next != NONE ? &w->groups[g->next].prev : &list->last) = g->prev;
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
		w->loose = group_from(w, w->loose + 1, true);
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
		ret->cached_tokens = PREFIX_BYTES(g->levels - 1) / BYTES_PER_TOKEN;
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

	w->opens = group_from(w, i + 1, false);
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
	for (uint16_t i = list->first; i != NONE; i = w->groups[i].next)
		if (best == NONE || group_better(&w->groups[i], &w->groups[best], lane))
			best = i;
	return best;
}

/* With no group left to open and no line of its own that is ready: see window.h. */
static void group_widen(struct schedule_window *w, const struct schedule_lane *lane,
			struct schedule_line *ret)
{
	uint16_t best = NONE;

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

	if (of->ready.first != NONE)
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
	for (uint16_t i = best; i != NONE; i = w->groups[i].next)
		if (group_left(&w->groups[i]) < group_left(&w->groups[best]))
			best = i;
	return best;
}

/* Whether a prefix was computed that no line in flight holds any more. */
static bool lane_has_unheld(const struct schedule_window *w, const struct window_lane *of)
{
	return of->ready.first != NONE && w->groups[of->ready.first].in_flight == 0;
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

	for (uint16_t i = of->ready.first; i != NONE && n < lane->slots; i = w->groups[i].next)
		n += group_worth(&w->groups[i], half);
	for (uint16_t i = of->waits.first; i != NONE && n < lane->slots; i = w->groups[i].next)
		n += group_worth(&w->groups[i], half);
	return n >= lane->slots;
}

static void take_shared(struct schedule_window *w, const struct schedule_lane *lane,
			struct schedule_line *ret)
{
	const struct window_lane *of = &w->lanes[lane->number];
	bool may_open = w->opens < w->group_n && (of->open == 0 || of->open < lane->prefixes);

	if (may_open && !lane_has_unheld(w, of) && !open_groups_do(w, lane))
		group_open(w, lane, ret);
	else if (of->ready.first != NONE)
		group_give(w, group_ready(w, of), lane->number, ret);
	else if (w->loose < w->group_n)
		loose_give(w, ret);
	else if (may_open && of->open < OPEN_LEAST)
		group_open(w, lane, ret);
	else if (of->waits.first != NONE)
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

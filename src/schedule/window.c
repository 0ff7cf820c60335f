/* window.c: see window.h. Lines are sorted twice: by their hashes, so that lines of the longest
 * common prefix are neighbours; then, with the hashes cut to the prefix that another line shares,
 * into the order of sending. */
#include "schedule/window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT16_MAX
#define BYTES_PER_TOKEN 4u

_Static_assert(WINDOW_SEGMENTS *SEGMENT_LINES < NONE, "places in a window have 16 bits");

struct window_line {
	uint32_t tokens;
	uint16_t line; /* segment of the window * SEGMENT_LINES + place in it */
};

struct window_group {
	uint16_t at, end;    /* lines that have not been given */
	uint16_t in_flight;  /* of those given */
	uint16_t next, prev; /* in `idle` of the lane or in `busy`, while lines are left */
	uint8_t lane;
	bool loose; /* lines that share no prefix, which wait for no other */
	bool warm;  /* one was answered */
};

struct schedule_window {
	uint32_t serial;
	unsigned segments;
	uint64_t firsts[WINDOW_SEGMENTS]; /* their first records */
	uint32_t left;                    /* lines that have not been given */
	uint16_t group_n, opened;         /* groups; those before `opened` are open */
	uint16_t idle[LANES_MAX]; /* open, lines left, none in flight; answered last first */
	uint16_t busy;            /* open, lines left, some in flight */
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
				.at = (uint16_t)i, .loose = by[i].prefix.hash[0] == 0
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
	memset(w->idle, 0xff, sizeof(w->idle)); /* NONE */
	w->busy = NONE;
	window_fill(w, lines, n);
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

static void list_push(struct schedule_window *w, uint16_t *head, uint16_t i)
{
	struct window_group *g = &w->groups[i];

	g->prev = NONE;
	g->next = *head;
	if (*head != NONE)
		w->groups[*head].prev = i;
	*head = i;
}

static void list_remove(struct schedule_window *w, uint16_t *head, uint16_t i)
{
	const struct window_group *g = &w->groups[i];

	assert(i < w->group_n && (g->next == NONE || w->groups[g->next].prev == i));
	assert(g->prev != NONE ? w->groups[g->prev].next == i : *head == i);
	if (g->prev != NONE)
		w->groups[g->prev].next = g->next;
	else
		*head = g->next;
	if (g->next != NONE)
		w->groups[g->next].prev = g->prev;
}

static uint16_t *list_of(struct schedule_window *w, const struct window_group *g)
{
	return g->in_flight == 0 ? &w->idle[g->lane] : &w->busy;
}

/* ---- giving and taking back ---- */

/* Of two groups with lines in flight, the better one to send another line of at the same time. */
static bool group_better(const struct window_group *a, const struct window_group *b, unsigned lane)
{
	if (a->warm != b->warm)
		return a->warm;
	if ((a->lane == lane) != (b->lane == lane))
		return a->lane == lane;
	return a->in_flight < b->in_flight;
}

/* With no group left to open and none idle of this lane's: see 3 and 4 in window.h. */
static uint16_t group_widen(const struct schedule_window *w, unsigned lane)
{
	uint16_t best = NONE;

	for (uint16_t i = w->busy; i != NONE; i = w->groups[i].next)
		if (best == NONE || group_better(&w->groups[i], &w->groups[best], lane))
			best = i;
	for (unsigned other = 0; other < LANES_MAX; other++) {
		uint16_t i = w->idle[other];
		if (i != NONE &&
		    (best == NONE || group_better(&w->groups[i], &w->groups[best], lane)))
			best = i;
	}
	return best;
}

static void line_give(struct schedule_window *w, struct window_group *g, struct schedule_line *ret)
{
	assert(w->left > 0 && g->at < g->end);
	const struct window_line *l = &w->lines[g->at++];

	ret->record = w->firsts[l->line / SEGMENT_LINES] + l->line % SEGMENT_LINES;
	ret->input_tokens = l->tokens;
	ret->window = w->serial;
	w->left--;
}

static void group_give(struct schedule_window *w, uint16_t i, struct schedule_line *ret)
{
	struct window_group *g = &w->groups[i];

	list_remove(w, list_of(w, g), i);
	line_give(w, g, ret);
	ret->group = i;
	g->in_flight++;
	if (g->at < g->end)
		list_push(w, list_of(w, g), i);
}

void window_take(struct schedule_window *w, unsigned lane, struct schedule_line *ret)
{
	lane %= LANES_MAX;
	if (w->idle[lane] != NONE) {
		group_give(w, w->idle[lane], ret);
		return;
	}
	if (w->opened == w->group_n) {
		group_give(w, group_widen(w, lane), ret);
		return;
	}
	struct window_group *g = &w->groups[w->opened];
	if (g->loose) {
		line_give(w, g, ret);
		ret->group = SCHEDULE_NO_GROUP;
		w->opened += g->at == g->end;
		return;
	}
	g->lane = (uint8_t)lane;
	list_push(w, &w->idle[lane], w->opened);
	group_give(w, w->opened++, ret);
}

void window_back(struct schedule_window *w, const struct schedule_line *l)
{
	if (w == NULL || l->group == SCHEDULE_NO_GROUP || l->window != w->serial)
		return;
	uint16_t i = (uint16_t)l->group;
	struct window_group *g = &w->groups[i];
	bool left = g->at < g->end;
	assert(i < w->group_n && g->in_flight > 0);
	if (left)
		list_remove(w, list_of(w, g), i);
	g->in_flight--;
	g->warm = true;
	if (left)
		list_push(w, list_of(w, g), i);
}

/* window_load.c: a window is loaded: see window.h. Lines are sorted twice: by their hashes, so that
 * lines of the longest common prefix are neighbours; then, with the hashes cut to the prefix that
 * another line shares, into the order of sending. */
#include <stdlib.h>
#include <string.h>

#include "schedule/window_impl.h"

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
					  .tokens = look.body_bytes / WINDOW_BYTES_PER_TOKEN,
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
	for (unsigned i = 0; i < LANES_MAX; i++)
		w->lanes[i].ready = w->lanes[i].waits = (struct group_list){ WINDOW_NONE,
									     WINDOW_NONE };
	window_fill(w, lines, n);
	w->opens = window_group_from(w, 0, false);
	w->loose = window_group_from(w, 0, true);
	bool whole = w->groups == &w->whole;
	struct schedule_window *moved = realloc(w, sizeof(*w) + n * sizeof(w->lines[0]));
	if (moved != NULL)
		w = moved;
	if (whole)
		w->groups = &w->whole;
	return w;
}

/* window_impl.h: what the files of a window share: its lines, groups and lanes. window_load.c sorts
 * the lines into groups, window.c gives them and takes them back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "schedule/window.h"

#define WINDOW_NONE UINT16_MAX
#define WINDOW_BYTES_PER_TOKEN 4u

_Static_assert(WINDOW_SEGMENTS *SEGMENT_LINES < WINDOW_NONE, "places in a window have 16 bits");

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

/* The first group from `i` on that is loose, or that is not. group_n: there is none. */
static inline uint16_t window_group_from(const struct schedule_window *w, uint16_t i, bool loose)
{
	while (i < w->group_n && w->groups[i].loose != loose)
		i++;
	return i;
}

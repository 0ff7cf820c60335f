/* window.h: the lines of the next few segments of a batch, sorted into groups that share a prefix.
 *
 * Of each line the longest prefix counts that another line of the window has, too; lines with the
 * same such prefix are a group. Groups with a shorter prefix in common stand next to each other;
 * lines that share no prefix keep their place. A group is opened for a lane with its first line,
 * the leader, and its other lines go there too. It is warm when a line of it was answered.
 *
 * Which line a lane gets whose slots have a cache each, the first that there is:
 * 1. of its open groups without a line in flight, the one answered last: its prefix is the warmest;
 * 2. the next group that is not open, or the next line that shares no prefix;
 * 3. of the warm groups, its own before others', that with the fewest lines in flight;
 * 4. any line: a slot is never left empty.
 *
 * A lane whose slots share a cache:
 * 1. of its open groups without a line in flight, the one whose last line came back last: a prefix
 *    that no line holds is soon dropped, and one whose leader has failed needs another leader;
 * 2. the leader of the next group, if its open groups have not lines left for all its slots, for as
 *    many end before the leader does, about; of a group no more count than half of the slots;
 * 3. of its warm groups, that with the fewest lines left;
 * 4. the next line that shares no prefix;
 * 5. another leader, if fewer than OPEN_LEAST groups are open;
 * 6. a line whose leader is in flight, of the group opened first: the nearest to being computed;
 * 7. lines of other lanes' groups, of one group as long as that has any. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "schedule/schedule.h"

struct schedule_window;

/* Moves the cursor on to the next line that has not ended, over segments; false: there is none. */
bool cursor_peek(const struct schedule_ops *ops, struct schedule_batch *b);

/* Takes the lines of up to `segments` segments from the batch. NULL: no memory, nothing was
 * taken. */
struct schedule_window *window_load(const struct schedule_ops *ops, struct schedule_batch *b,
				    unsigned segments, uint32_t serial);
void window_free(struct schedule_window *w); /* NULL is fine */
unsigned window_segments(const struct schedule_window *w);
bool window_has_line(const struct schedule_window *w); /* NULL: no */
/* A line for the lane, of a window that has one: sets record, input_tokens, cached_tokens, group
 * and window. */
void window_take(struct schedule_window *w, const struct schedule_lane *lane,
		 struct schedule_line *ret);
/* The line is no longer in flight; `answered`: its prompt was computed. Lines of another window,
 * and those that share no prefix, are ignored. */
void window_back(struct schedule_window *w, const struct schedule_line *l, bool answered);

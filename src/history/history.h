/* history.h: lines and tokens a second, and times to the first token of online answers, over the last
 * hour and day, of each organization and of all; and lines a second of single batches: what the console
 * plots.
 *
 * What happens is counted where it happens and put into rings (rings.h) every 10 s by a thread of its
 * own, `history`, which writes them to DATA/history once a minute and at the end. A crash loses a minute
 * of it at most; while no server runs nothing is known. The wall clock says only how long that was: a
 * clock that is set meanwhile moves nothing, one that was set back at a start counts as no time.
 *
 * Batches have steps in memory alone (paces.h): a restart begins them anew.
 *
 * Any thread, but for opening and closing; a lock held for microseconds. */
#pragma once

#include "base/error.h"
#include "history/paces.h"
#include "history/rings.h"

struct history;
struct pace_row; /* history_sum.h */

/* A file that is damaged is told in the log, and another begun. */
MUST_USE bool history_open(const char *data_dir, struct history **ret, struct error *err);
/* NULL is fine. */
void history_close(struct history *h);

/* Lines of batches have ended, and are durable; `tokens` of prompts and answers. `h` NULL: nobody
 * counts. Without memory an organization is counted in all alone. */
void history_lines(struct history *h, const char *org, uint64_t lines, uint64_t tokens);
/* The first piece of a streamed online answer came `ms` after its request. */
void history_first_token(struct history *h, const char *org, uint64_t ms);

/* Of `lines` of history_lines() so many are this batch's. */
void history_batch_lines(struct history *h, const char *batch, uint64_t lines);

struct history_page {
	int64_t from;    /* Unix s, when the first step began */
	unsigned step_s; /* the newest may not have ended */
	unsigned steps;
	struct rings_rate rates[HOUR_STEPS];
};
_Static_assert(PACE_STEPS <= HOUR_STEPS, "a page has room for either");
/* `org` NULL: all. */
void history_read(struct history *h, const char *org, enum rings_span span,
		  struct history_page *ret);
/* Of a batch since its first line ended, or since the server's start: lines/s alone, of steps that are
 * over. None: nothing is known of it. */
void history_read_batch(struct history *h, const char *batch, struct history_page *ret);

/* ---- of a node: for the history that several keep together (history_sum.h) ---- */

/* In a run of ticks; `org` "": of all together. */
struct history_part {
	char org[ID_SIZE];
	struct sums sums;
};
#define HISTORY_PARTS (1 + RINGS_ORGS)
/* From now on what is counted is kept for history_take() as well. */
void history_share(struct history *h);
/* What was counted since the last call, that of all first: up to HISTORY_PARTS into `ret`; how many. An
 * organization for which there was no place is counted in that of all alone. */
unsigned history_take(struct history *h, struct history_part *ret);

/* Calls `each` for batches of which a step has ended since `since_ms` of sys.monotonic_ms(), and which had
 * lines in it: with all their steps that are over. Brief, and without calls of the history. */
void history_paces(struct history *h, uint64_t since_ms,
		   void (*each)(void *ctx, const char *batch, const struct pace_row *row),
		   void *ctx);
/* Lines a second of a batch, of the last ten seconds or of a step and what follows it, whichever is longer;
 * 0: none ended. */
double history_batch_rate(struct history *h, const char *batch);

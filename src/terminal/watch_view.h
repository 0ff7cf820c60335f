/* watch_view.h: batches that are watched, as lines of a screen, or of a log. No I/O, no clock. */
#pragma once

#include "terminal/batches.h"
#include "terminal/meter.h"

struct watched {
	json_t *batch;      /* the newest object */
	struct meter meter; /* of tokens; the server tells the lines' rate */
	uint64_t news_ms;   /* when the object came */
	uint64_t line_ms;   /* when it was told last as a line of a log; 0: never */
	bool fresh;         /* it has not been shown since it came */
	char told[128];     /* state and stall of that line */
};

/* Takes the reference. */
void watched_set(struct watched *w, json_t *batch, uint64_t now_ms);

struct watch_look {
	size_t columns, rows;
	bool colored;
	int64_t now_s;
};

/* Lines for a frame: of those that have ended one each, then, where there is no room for these, how
 * many they are. */
void watch_screen(const struct watched *all, size_t n, const struct watch_look *look,
		  struct buf *to);

#define WATCH_LINE_EVERY_MS 10000u
/* Appends the batch's line where its state or stall has changed, or WATCH_LINE_EVERY_MS have passed
 * and its counts have changed. */
void watch_line(struct watched *w, int64_t now_s, uint64_t now_ms, struct buf *to);

/* screen.h: progress on standard error: a bar that is drawn anew on a terminal, else a line now and
 * then. Lines of the log come above the bar: while a screen is open they go through it. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "cli/meter.h"

#define SCREEN_COLUMNS_MAX 200

struct screen {
	bool terminal;
	uint64_t next_ms; /* when to show it again */
	struct meter meter;
	pthread_mutex_t lock;             /* of the terminal and what stands on it */
	char bar[SCREEN_COLUMNS_MAX + 1]; /* as it is drawn; "": it is not */
};

/* One at a time in a process. */
void screen_open(struct screen *s, uint64_t now_ms);
/* To be called every few dozen milliseconds: shows the view when it is time, and when it is the
 * `last`. Speed and expected end are filled in here; `tokens` is all so far. Nothing is shown
 * before the total is known. */
void screen_show(struct screen *s, struct meter_view *view, uint64_t tokens, uint64_t now_ms,
		 bool last);
/* The bar, if it is there, stays above what comes next. */
void screen_close(struct screen *s);

/* screen.h: progress on standard error: a bar that is drawn anew on a terminal, else a line now and
 * then. Lines of the log come above the bar: while a screen is open they go through it.
 *
 * Or progress for another program, on a descriptor of its choice, where it is a JSON object a line:
 *	{"done":41,"total":300,"failed":0,"running":8,"lines_per_s":5.2,"tokens_per_s":61.0,
 *	 "eta_s":49,"waiting":null}
 * Lines for which there is no room are left out; the last one waits for it, but not for long. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "terminal/meter.h"

#define SCREEN_COLUMNS_MAX 200

struct screen {
	bool terminal;
	int status_fd;    /* -1: standard error shows it, for people */
	uint64_t next_ms; /* when to show it again */
	struct meter meter;
	pthread_mutex_t lock;             /* of the terminal and what stands on it */
	char bar[SCREEN_COLUMNS_MAX + 1]; /* as it is drawn; "": it is not */
};

/* One at a time in a process. */
void screen_open(struct screen *s, uint64_t now_ms);
/* The same for another program. */
void screen_open_status(struct screen *s, int status_fd, uint64_t now_ms);
/* To be called every few dozen milliseconds: shows the view when it is time, and when it is the
 * `last`. Speed and expected end are filled in here; `tokens` is all so far. Nothing is shown
 * before the total is known. */
void screen_show(struct screen *s, struct meter_view *view, uint64_t tokens, uint64_t now_ms,
		 bool last);
/* The bar, if it is there, stays above what comes next; the next one is drawn below. */
void screen_leave(struct screen *s);
/* The bar stays likewise. */
void screen_close(struct screen *s);

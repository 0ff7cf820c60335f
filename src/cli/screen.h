/* screen.h: progress on standard error: a bar that is drawn anew on a terminal, else a line now and
 * then. */
#pragma once

#include <stdbool.h>

#include "cli/meter.h"

struct screen {
	bool terminal;
	uint64_t next_ms; /* when to show it again */
	struct meter meter;
};

void screen_open(struct screen *s, uint64_t now_ms);
/* To be called every few dozen milliseconds: shows the view when it is time, and when it is the
 * `last`. Speed and expected end are filled in here; `tokens` is all so far. */
void screen_show(struct screen *s, struct meter_view *view, uint64_t tokens, uint64_t now_ms,
		 bool last);

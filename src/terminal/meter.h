/* meter.h: how far a run is, how fast, and when it will be done: as a bar on a terminal and as
 * plain lines elsewhere. No I/O, no clock: the caller brings both. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define METER_SAMPLES 32

/* What is shown is the speed of the last ten seconds, not of the whole run: a run that was slow at
 * first, or goes on after a stop, would look slow for ever. */
struct meter {
	struct sample {
		uint64_t at_ms, lines, tokens;
	} samples[METER_SAMPLES]; /* a ring, one about each third of a second */
	unsigned first, count;
};

struct meter_view {
	uint64_t done, total, failed, running;
	double lines_per_s, tokens_per_s;
	int64_t eta_s;       /* -1: not known */
	const char *waiting; /* why nothing moves, or NULL */
};

/* `lines` that have ended, and tokens in and out, so far. */
void meter_add(struct meter *m, uint64_t now_ms, uint64_t lines, uint64_t tokens);
/* Fills in speed and expected end of a view whose other members are set. */
void meter_speed(const struct meter *m, struct meter_view *view);

/* One line of at most `columns` characters, ASCII; what has least to say goes first when there is
 * little room:
 *	[=======>          ]  41%  1234/3000  12 failed  532 lines/s  12.3k tokens/s  ETA 1m02s */
void meter_bar(const struct meter_view *view, size_t columns, char *to, size_t size);
/* The same for a log: "1234/3000 lines, 12 failed, 532 lines/s, 12.3k tokens/s, ETA 1m02s". */
void meter_line(const struct meter_view *view, char *to, size_t size);
/* "45s", "1m02s", "2h05m", "3d04h". */
void meter_span(int64_t seconds, char to[static 24]);
/* "0.4", "7.5", "532", "12.3k", "1.2M". */
void meter_rate(double per_s, char to[static 24]);

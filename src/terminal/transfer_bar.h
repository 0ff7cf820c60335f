/* transfer_bar.h: how far a transfer of bytes is, on standard error where that is a terminal:
 *	[=======>          ]  41%  1.2 GB of 3.0 GB  24.1 MB/s  ETA 1m02s */
#pragma once

#include <stdbool.h>

#include "terminal/meter.h"

struct transfer_bar {
	bool terminal, drawn;
	uint64_t total; /* UINT64_MAX: not known */
	uint64_t next_ms;
	struct meter meter;
};

/* Nothing is drawn before transfer_bar_show(). */
void transfer_bar_open(struct transfer_bar *b, uint64_t total);
/* So many bytes are there; drawn when it is time. */
void transfer_bar_show(struct transfer_bar *b, uint64_t done);
/* The bar goes. Once more is fine. */
void transfer_bar_close(struct transfer_bar *b);

/* What is drawn, without colours; `columns` of it at most. */
void transfer_bar_text(const struct meter_view *view, size_t columns, char *to, size_t size);

/* frame.h: some lines on a terminal that are drawn anew where they stand. The terminal's modes stay
 * as they are, the cursor stands at the start of the line below, and each drawing is one write: so
 * a program may end at any moment, by any signal, and leaves the terminal as it was. */
#pragma once

#include "base/buf.h"

struct frame {
	int fd;
	size_t lines;     /* that stand there */
	struct buf shown; /* what was drawn */
};

#define FRAME_BYTES_MAX (1u << 20)

void frame_open(struct frame *f, int fd);
/* `text` is whole lines, plain but for colours. What is wider than the terminal, or too much for its
 * height, is cut off; the last line then says how many are not shown. */
void frame_draw(struct frame *f, struct slice text, size_t columns, size_t rows);
/* What was drawn last stays. */
void frame_close(struct frame *f);

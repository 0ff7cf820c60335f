/* tty.h: whether there is a terminal, how wide it is, and colours on it. */
#pragma once

#include "base/buf.h"

enum tty_color { COLOR_NONE, COLOR_RED, COLOR_GREEN, COLOR_YELLOW, COLOR_DIM, COLOR_BOLD };

/* A terminal that understands more than text: TERM is not "dumb". */
bool tty_is(int fd);
/* The same, and colours are wanted: TERM is set, and NO_COLOR is not. */
bool tty_has_color(int fd);
/* Columns and rows, asked anew each time: windows are resized. SIZE_MAX: it does not say. */
size_t tty_columns(int fd);
size_t tty_rows(int fd);
/* Appends `text` in a colour; as it is where `colored` is false. */
void tty_color(struct buf *to, bool colored, enum tty_color color, struct slice text);

/* text.h: strangers' text on a terminal: which bytes may go there, how wide they are, where they may
 * be cut. Text is UTF-8, whatever the locale says; widths are those of the C.UTF-8 locale.
 *
 * What is drawn as more than one character (an emoji of several, joined) counts as the sum: it is
 * never wider than what is counted. */
#pragma once

#include <stdio.h>

#include "base/buf.h"

/* Appends `text` with U+FFFD for what is no UTF-8, and for each character that would do something:
 * control characters move the cursor, begin lines and change colours; marks of direction make one
 * text look like another. */
void text_plain(struct buf *to, struct slice text);
/* Appends the first character of JSON text as it stands, or as an escape (\u009b) where it would do
 * something; *rest goes on behind it. */
void text_escape_next(struct buf *to, struct slice *rest);
/* The same as text_plain(), written. */
void print_plain(const char *text, FILE *to);
/* Columns that plain text takes. */
size_t text_width(struct slice text);
/* Appends as much of plain text as fits into `columns`, with a last character "…" where some is cut
 * off; returns the columns that it takes. A character is never parted from its accents. */
size_t text_cut(struct buf *to, struct slice text, size_t columns);

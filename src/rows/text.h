/* text.h: bytes that strangers wrote: whether they are UTF-8, and as they may be shown. Pure. */
#pragma once

#include "base/buf.h"

/* How many bytes of `text` are UTF-8, from its beginning. */
size_t text_valid(struct slice text);
/* `text` with U+FFFD for what is not UTF-8. */
void text_replace(struct slice text, struct buf *to);

/* For a message: no control characters, whole characters, "..." where it was cut. Returns `to`. */
#define TEXT_SHOWN_BYTES 120
const char *text_show(struct slice text, char to[static TEXT_SHOWN_BYTES]);

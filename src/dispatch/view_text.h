/* view_text.h: a node's view as text, which others read (base/record.h).
 *
 * Of an upstream that another node drives there is what this one has in flight there, and nothing
 * where that is nothing: the rest is the other's to tell. */
#pragma once

#include "dispatch/view.h"

/* Appends `v`: VIEW_ALL, with decisions and flows. Flows of one batch and model are one. */
void view_write(struct buf *to, const struct scheduling_view *v);
/* Reads what view_write() made, here or in a program of another version: `text`, which is changed, and
 * has to live as long as *ret; of that are upstreams, models, flows and the two numbers of online
 * requests. INVALID: it makes no sense; *ret is not to be used then. */
MUST_USE bool view_read(char *text, struct scheduling_view *ret, struct error *err);

/* online.h: online requests that this node has in flight at upstreams that others drive, as their drivers
 * are told (node_online()). Of the looking thread, but where it says otherwise. */
#pragma once

#include "node/node_impl.h"

/* Tells what is due. */
MUST_USE bool online_tell(struct node *n, struct error *err);
/* When the next is due; INT64_MAX: nothing is. */
int64_t online_due_us(struct node *n);
/* What another node told. */
void online_heard(struct node *n, const struct online_told *told);
void online_free(struct node *n); /* without threads */

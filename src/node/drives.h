/* drives.h: which upstreams a node drives. The looking thread's, as is all here. */
#pragma once

#include "node/node_impl.h"

/* Takes over the names that node_upstreams() left. */
void drives_configure(struct node *n);
/* By the lists of the last look: takes what falls to this node, leaves what is to move or is not
 * wanted any more, releases what was left. A take or a release that fails is asked again at the
 * next look. */
MUST_USE bool drives_turn(struct node *n, struct error *err);
/* Releases alone: without a look. */
MUST_USE bool drives_release(struct node *n, struct error *err);
/* It was buried: it has none, and nobody is told. */
void drives_drop(struct node *n);
void drives_done(struct node *n);

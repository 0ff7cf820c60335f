/* state.h: what both threads of a node use. What they use of node.h is in state.c, too. */
#pragma once

#include "node/node_impl.h"

#define NODE_API_MARK "api " /* before the digest that others see: node_is_api() */

/* Of the clock that deadlines are of. */
int64_t node_mono_us(void);
/* A wait's milliseconds until `due_us` of that clock. */
unsigned node_wait_ms(int64_t due_us);
/* A number for a start of the program. */
uint64_t node_draw(void);

/* The looking thread has something to do. */
void node_wake(struct node *n);
/* It is to look at the lists now. */
void node_look_soon(struct node *n);
/* With the lock held: renews at once. */
void node_renew_soon(struct node *n);
/* Notes that `which` failed with `err`, or, NULL, that it works. While the node is away each sentence is
 * logged once. */
void node_note(struct node *n, enum node_fault which, const struct error *err);
/* Ends before long. */
bool node_is_closing(struct node *n);

/* queue.h: the batches of an organization that are listed, the first in turn on top: a heap. Those
 * with precedence come last, for they have turns of their own; of the others the order is that of the
 * last forecast, among which those that came since stand by their deadlines. Private to schedule/. */
#pragma once

#include "schedule/schedule_impl.h"

/* Makes room for all batches of the organization. */
void queue_reserve(struct schedule_org *o);
void queue_add(struct schedule *s, struct schedule_org *o, struct schedule_batch *b);
void queue_remove(struct schedule *s, struct schedule_org *o, struct schedule_batch *b);
/* After a forecast the order is another. */
void queue_renew(struct schedule *s, struct schedule_org *o);
/* NULL: none is listed. */
struct schedule_batch *queue_first(const struct schedule_org *o);

/* orgs.h: the organizations of a schedule, and whose turn it is: deficit round robin over those that
 * have a line. Private to schedule/. */
#pragma once

#include "schedule/schedule_impl.h"

/* NULL: no batch of it is in. */
struct schedule_org *org_find(const struct schedule *s, const char *id);
/* The same, made if there is none. */
struct schedule_org *org_get(struct schedule *s, const char *id);
/* It has no turns. */
void org_free(struct schedule *s, struct schedule_org *o);
void org_weigh(struct schedule *s, struct schedule_org *o, unsigned weight);

/* Its lines in flight are taken for so many tokens more, or less. */
void org_fly(struct schedule *s, struct schedule_org *o, double tokens);
/* Debt is bounded, so that an organization that sent a few enormous lines is not out for good. */
void org_pay(struct schedule *s, struct schedule_org *o, double tokens);

/* It has a line again, and gets the next turn; it has none. */
void ring_add(struct schedule *s, struct schedule_org *o);
void ring_remove(struct schedule *s, struct schedule_org *o);
/* The greatest weight in the ring is looked for anew. */
void ring_weigh(struct schedule *s);
/* Whose turn it is: an organization sends while it has tokens left, with its last line on credit.
 * Some have a line. */
struct schedule_org *org_next(struct schedule *s);

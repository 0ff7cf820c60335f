/* serving.h: which upstream serves which model: the lanes that there are. Threads: dispatch
 * alone. */
#pragma once

#include <stdbool.h>

struct dispatch;
struct model;
struct schedule_ops;

/* The model of that name, with its lanes; NULL: no memory. */
struct model *model_get(struct dispatch *d, const char *name, const struct schedule_ops *ops);
/* Once a model: tells the log when its batches name a model that no upstream lists. */
void model_unlisted_tell(struct dispatch *d, struct model *m);
/* The list of upstreams is another, or what they serve. */
void serving_renew(struct dispatch *d);
/* What an upstream reports is new: see poll_ops (watch.h). */
void serving_reported(struct dispatch *d, bool others);

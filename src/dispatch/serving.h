/* serving.h: which upstream serves which model: the lanes that there are. Threads: dispatch
 * alone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "dispatch/dispatch.h"

struct model;
struct schedule_ops;

/* The model of that name, with its lanes; NULL: no memory. */
struct model *model_get(struct dispatch *d, const char *name, const struct schedule_ops *ops);
/* Once a model: tells the log when its batches name a model that no upstream lists. */
void model_unlisted_tell(struct dispatch *d, struct model *m);
/* The list of upstreams is another, or what they serve. */
void serving_renew(struct dispatch *d);
/* An upstream that this node drives serves the model, and is so well: dispatch_drives_model(). */
bool serving_drives(const struct dispatch *d, const char *model, enum drives_how how);
/* Those that are known by name: see dispatch_driven_models(). False: no memory. */
bool serving_driven(const struct dispatch *d, char ***ret, size_t *ret_n);
/* What an upstream reports is new: see poll_ops (watch.h). */
void serving_reported(struct dispatch *d, bool others);

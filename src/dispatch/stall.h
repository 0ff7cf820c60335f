/* stall.h: why a model's batches wait, as far as upstreams are the reason. Threads: dispatch
 * alone. */
#pragma once

struct flow;
struct model;

/* Says why the model's batches wait, if they do. */
void model_stall(struct model *m);
/* The same where `f` has come to them; what others know is said to them only if it has changed: thousands
 * come at a start. */
void model_stall_added(struct model *m, struct flow *f);

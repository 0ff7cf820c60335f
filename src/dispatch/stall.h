/* stall.h: why a model's batches wait, as far as upstreams are the reason. Threads: dispatch
 * alone. */
#pragma once

struct model;

/* Says why the model's batches wait, if they do. */
void model_stall(struct model *m);

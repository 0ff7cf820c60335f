/* show.h: a batch of the store as a client is shown it at this moment. */
#pragma once

#include "api/objects.h"
#include "api/request.h"

/* The numbers of this moment and the cost of v->row (pipeline_view()). */
void batch_look(struct api *api, struct batch_view *v);
/* Lays the numbers of this moment over v->row (pipeline_view()) and writes the object. */
void batch_show(struct api *api, struct batch_view *v, struct buf *to);
/* The same of a row of an earlier moment: its state stays (pipeline_view_at()). */
void batch_show_at(struct api *api, struct batch_view *v, struct buf *to);

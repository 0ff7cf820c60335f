/* show.c: see show.h. */
#include "api/show.h"

/* Tokens are counted over the whole batch: of one with several models it cannot be told which are
 * whose. */
static void cost_look(struct api *api, struct batch_view *v)
{
	if (v->row.model == NULL ||
	    !prices_add(&api->prices, v->row.model, &v->row.usage, &v->cost))
		v->cost = (struct cost){ 0 };
}

void batch_look(struct api *api, struct batch_view *v)
{
	pipeline_view(api->pipeline, v);
	cost_look(api, v);
}

void batch_show(struct api *api, struct batch_view *v, struct buf *to)
{
	batch_look(api, v);
	batch_write(to, v);
}

void batch_show_at(struct api *api, struct batch_view *v, struct buf *to)
{
	pipeline_view_at(api->pipeline, v);
	cost_look(api, v);
	batch_write(to, v);
}

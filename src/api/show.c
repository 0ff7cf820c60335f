/* show.c: see show.h. */
#include "api/show.h"

void batch_show(struct api *api, struct batch_view *v, struct buf *to)
{
	pipeline_view(api->pipeline, v);
	batch_write(to, v);
}

void batch_show_at(struct api *api, struct batch_view *v, struct buf *to)
{
	pipeline_view_at(api->pipeline, v);
	batch_write(to, v);
}

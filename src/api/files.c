/* files.c */
#include "api/files.h"

#include "api/objects.h"
#include "api/paging.h"
#include "base/sys.h"

#define LIMIT_MAX 10000
#define LIMIT_DEFAULT 10000

bool files_get(struct request *rq, struct http_response *r, struct error *err)
{
	struct file f;

	if (!store_file_get(rq->api->store, rq->key.org, rq->object_id, sys.now_s(), &f, err))
		return false;
	file_write(&r->body, &f);
	return true;
}

/* The bytes go when no batch reads them any more: the sweep's business. */
bool files_delete(struct request *rq, struct http_response *r, struct error *err)
{
	if (!store_file_delete(rq->api->store, rq->key.org, rq->object_id, sys.now_s(), err))
		return false;
	pipeline_sweep(rq->api->pipeline);
	buf_text(&r->body, "{\"id\":");
	buf_json_string(&r->body, slice_of(rq->object_id));
	buf_text(&r->body, ",\"object\":\"file\",\"deleted\":true}");
	return true;
}

static bool read_order(const char *order, bool *ret_ascending, struct error *err)
{
	*ret_ascending = order != NULL && strcmp(order, "asc") == 0;
	if (order == NULL || *ret_ascending || strcmp(order, "desc") == 0)
		return true;
	return fail_param(err, "order", "invalid_value",
			  "Invalid value: '%s'. Supported values are: 'asc' and 'desc'.", order);
}

bool files_list(struct request *rq, struct http_response *r, struct error *err)
{
	struct file_query q = {
		.org = rq->key.org,
		.purpose = http_query(rq->http, "purpose"),
		.now = sys.now_s(),
	};
	struct page page;
	struct file *found;
	size_t n;
	bool more;

	if (!page_read(rq->http, LIMIT_MAX, LIMIT_DEFAULT, &page, err) ||
	    !read_order(http_query(rq->http, "order"), &q.ascending, err))
		return false;
	q.after = page.after;
	q.limit = page.limit;
	if (!store_file_list(rq->api->store, &q, &found, &n, &more, err))
		return false;
	list_begin(&r->body);
	for (size_t i = 0; i < n; i++) {
		list_item(&r->body, i);
		file_write(&r->body, &found[i]);
	}
	list_end(&r->body, n > 0 ? found[0].id : NULL, n > 0 ? found[n - 1].id : NULL, more);
	free(found);
	return true;
}

/* models.c */
#include "api/models.h"

#include "api/members.h"
#include "base/json.h"
#include "dispatch/dispatch.h"

#define MODELS_BYTES_MAX (16u << 20)

bool fail_no_model(struct error *err, struct slice model)
{
	struct error made;

	(void)!fail(&made, ERR_NOT_FOUND,
		    "The model '%.*s' does not exist or you do not have access to it.",
		    SLICE_ARG(model));
	made.code = "model_not_found";
	*err = made;
	return false;
}

bool models_list(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(buf_free) struct buf models = BUF(MODELS_BYTES_MAX);

	dispatch_models(pipeline_dispatch(rq->api->pipeline), &models);
	if (models.failed)
		return fail_memory(err);
	buf_text(&r->body, "{\"object\":\"list\",\"data\":");
	buf_add(&r->body, buf_slice(&models));
	buf_char(&r->body, '}');
	return true;
}

/* The element of the array `models` whose id is `id`; n == 0: there is none. */
static struct slice find_model(struct slice models, const char *id)
{
	struct json j;
	struct slice one;

	json_init(&j, models);
	if (json_next(&j) != JSON_ARRAY)
		return SLICE("");
	while (json_element(&j) && json_skip(&j, &one)) {
		struct member name = { .name = "id" };
		if (!members_find(one, &name, 1) || name.type != JSON_STRING)
			continue;
		if (json_key_is((struct slice){ name.text.p + 1, name.text.n - 2 }, id))
			return one;
	}
	return SLICE("");
}

bool models_get(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(buf_free) struct buf models = BUF(MODELS_BYTES_MAX);

	dispatch_models(pipeline_dispatch(rq->api->pipeline), &models);
	if (models.failed)
		return fail_memory(err);
	struct slice found = find_model(buf_slice(&models), rq->object_id);
	if (found.n == 0)
		return fail_no_model(err, slice_of(rq->object_id));
	buf_add(&r->body, found);
	return true;
}

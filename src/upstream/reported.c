/* reported.c: one pass over the list; of each model the members beside OpenAI's four are kept as
 * they came. */
#include "upstream/reported.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"

#define MODELS_MAX 1024u
#define MORE_BYTES_MAX (32u << 10) /* of one model */

static void model_done(struct reported_model *m)
{
	free(m->id);
	free(m->owned_by);
	free(m->more);
}

void reported_done(struct reported *r)
{
	for (size_t i = 0; i < r->n; i++)
		model_done(&r->models[i]);
	free(r->models);
	*r = (struct reported){ 0 };
}

/* ---- reading ---- */

/* Of OpenAI's four members, which are written anew. */
static bool is_known(struct slice key)
{
	return json_key_is(key, "id") || json_key_is(key, "object") ||
	       json_key_is(key, "created") || json_key_is(key, "owned_by");
}

static char *text_decode(struct slice value)
{
	struct slice raw = { value.p + 1, value.n - 2 };
	size_t n = json_decode(raw, NULL, 0);
	char *text = n <= 256 ? malloc(n + 1) : NULL;

	if (text == NULL)
		return NULL;
	json_decode(raw, text, n);
	text[n] = '\0';
	return text;
}

/* What an upstream says of a model beside the four members that OpenAI has goes to clients byte for
 * byte: max_model_len, meta, permission. Also `root`, which is a path on the engine's disk where it
 * was started with one: clients of engines read it there, too, and it opens nothing. */
static void member_keep(struct slice key, struct slice value, struct buf *more)
{
	buf_text(more, ",\"");
	buf_add(more, key);
	buf_text(more, "\":");
	buf_add(more, value);
}

/* One object of the list; false: it is not JSON. Without a usable id it is passed over. */
static bool model_read(struct json *j, struct reported_model *ret)
{
	AUTO(buf_free) struct buf more = BUF(MORE_BYTES_MAX);
	struct slice key, skipped;

	*ret = (struct reported_model){ 0 };
	if (json_peek(j) != JSON_OBJECT)
		return json_skip(j, &skipped);
	json_next(j);
	while (json_member(j, &key)) {
		enum json_type type = json_peek(j);
		bool text = type == JSON_STRING, id = json_key_is(key, "id");
		if (!json_skip(j, &skipped))
			return false;
		if (text && id && ret->id == NULL)
			ret->id = text_decode(skipped);
		else if (text && json_key_is(key, "owned_by") && ret->owned_by == NULL)
			ret->owned_by = text_decode(skipped);
		else if (type == JSON_NUMBER && json_key_is(key, "created"))
			(void)json_u64(skipped, (uint64_t *)&ret->created);
		else if (!is_known(key))
			member_keep(key, skipped, &more);
	}
	buf_char(&more, '\0');
	if (more.n > 1 && !more.failed) /* else too much: the model without it */
		ret->more = TAKE(more.p);
	return !j->bad;
}

static bool list_read(struct json *j, struct reported *r)
{
	if (json_next(j) != JSON_ARRAY)
		return false;
	while (json_element(j)) {
		struct reported_model one;
		bool read = model_read(j, &one);
		if (read && one.id != NULL && one.id[0] != '\0' && r->n < MODELS_MAX) {
			r->models[r->n++] = one;
			continue;
		}
		model_done(&one);
		if (!read)
			return false;
	}
	return !j->bad;
}

static bool answer_read(struct slice text, struct reported *r)
{
	struct json j;
	struct slice key, skipped;
	bool listed = false;

	json_init(&j, text);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &key)) {
		if (!listed && json_key_is(key, "data"))
			listed = list_read(&j, r);
		else
			json_skip(&j, &skipped);
	}
	return listed && json_end(&j);
}

bool reported_read(struct slice text, struct reported *ret)
{
	*ret = (struct reported){ .models = calloc(MODELS_MAX, sizeof(*ret->models)) };
	if (ret->models != NULL && answer_read(text, ret))
		return true;
	reported_done(ret);
	return false;
}

/* ---- asking ---- */

bool reported_same(const struct reported *a, const struct reported *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = strcmp(a->models[i].id, b->models[i].id) == 0;
	return same;
}

const struct reported_model *reported_find(const struct reported *r, const char *id)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->models[i].id, id) == 0)
			return &r->models[i];
	return NULL;
}

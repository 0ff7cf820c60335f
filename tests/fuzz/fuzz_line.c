/* line_scan: its slices lie in the line and are what they are said to be. */
#include "base/json.h"
#include "batch/weight.h"
#include "fuzz.h"
#include "ingest/template.h"

static struct slice line;

static void inside(struct slice part)
{
	PROMISE(part.n == 0 || (part.p >= line.p && part.p + part.n <= line.p + line.n));
}

/* Of whole bytes as of a body: an online one was not validated. What the index counts is what
 * weight.c counts. */
static void weight_fits(struct slice body, uint32_t inputs)
{
	static const char *const endpoints[] = { "/v1/chat/completions", "/v1/completions",
						 "/v1/embeddings", "/v1/rerank", "/v1/responses" };
	unsigned most = inputs < UNITS_MAX ? inputs : UNITS_MAX;

	for (unsigned i = 0; i < 5; i++) {
		unsigned units = body_units(body, endpoints[i], 0);
		PROMISE(units >= 1 && units <= UNITS_MAX);
	}
	PROMISE(inputs == 0 || body_units(body, endpoints[2], inputs) == most);
}

/* Level by level: 0 just where the prompt is shorter. */
static void prefix_fits(const struct prefix *prefix, size_t prompt_bytes)
{
	for (unsigned level = 0; level < PREFIX_LEVELS; level++)
		PROMISE((prefix->hash[level] != 0) == (prompt_bytes >= PREFIX_BYTES(level)));
}

/* Bytes of the body's member `name`, 0 if it is missing; found without line.c. */
static size_t member_bytes(struct slice body, const char *name)
{
	struct json j;
	struct slice key, value;
	size_t n = 0;

	json_init(&j, body);
	PROMISE(json_next(&j) == JSON_OBJECT);
	while (json_member(&j, &key)) {
		bool null = json_peek(&j) == JSON_NULL;
		PROMISE(json_skip(&j, &value));
		if (json_key_is(key, name))
			n = null ? 0 : value.n;
	}
	return n;
}

static size_t prompt_bytes_of(struct slice body)
{
	size_t n = member_bytes(body, "messages");

	if (n == 0)
		n = member_bytes(body, "prompt");
	return n > 0 ? n : member_bytes(body, "input");
}

static void same(struct slice a, struct slice b)
{
	PROMISE(a.p == b.p && a.n == b.n);
}

/* A template finds of a line what line_scan() finds, whatever it was made of. */
static void like(struct line_template *t, struct slice text)
{
	struct line_facts a, b;

	line_scan(text, &a);
	line_scan_like(t, text, &b);
	PROMISE(a.flags == b.flags && a.inputs == b.inputs && a.sampling == b.sampling);
	same(a.custom_id, b.custom_id);
	same(a.body, b.body);
	same(a.url, b.url);
	same(a.model, b.model);
	same(a.method, b.method);
	PROMISE(memcmp(&a.prefix, &b.prefix, sizeof(a.prefix)) == 0);
}

static void lines_alike(void)
{
	static struct line_template t;
	const char *lf = line.n > 0 ? memchr(line.p, '\n', line.n) : NULL;
	size_t n = lf != NULL ? (size_t)(lf - line.p) : line.n / 2;

	t.pause = t.misses = 0;
	like(&t, line);
	like(&t, line);
	like(&t, (struct slice){ line.p, n });
	like(&t, (struct slice){ line.p + n, line.n - n });
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct line_facts f;
	struct json j;
	struct slice value;

	line = (struct slice){ (const char *)data, size };
	lines_alike();
	line_scan(line, &f);
	weight_fits(line, 0);
	inside(f.custom_id);
	inside(f.body);
	inside(f.url);
	inside(f.model);
	inside(f.method);
	json_init(&j, line);
	bool valid = json_skip(&j, &value) && json_end(&j);
	PROMISE(valid == ((f.flags & LINE_NOT_JSON) == 0));
	PROMISE(f.inputs >= 1);
	PROMISE((f.sampling != NULL) == ((f.flags & LINE_SAMPLING) != 0));
	if ((f.flags & (LINE_NOT_JSON | LINE_NOT_OBJECT)) != 0) {
		PROMISE(f.body.p == NULL && f.custom_id.p == NULL && f.model.p == NULL);
		prefix_fits(&f.prefix, 0);
		return 0;
	}
	if ((f.flags & (LINE_BODY_MISSING | LINE_BODY_NOT_OBJECT)) == 0) {
		json_init(&j, f.body);
		PROMISE(json_peek(&j) == JSON_OBJECT && json_skip(&j, &value) && json_end(&j));
		PROMISE(value.p == f.body.p && value.n == f.body.n);
		prefix_fits(&f.prefix, prompt_bytes_of(f.body));
		weight_fits(f.body, f.inputs);
	} else {
		prefix_fits(&f.prefix, 0);
	}
	if ((f.flags & (LINE_CUSTOM_ID_MISSING | LINE_CUSTOM_ID_NOT_STRING)) == 0) {
		size_t n = json_decode(f.custom_id, NULL, 0);
		bool fits = n >= 1 && n <= CUSTOM_ID_MAX_BYTES;
		PROMISE(fits == ((f.flags & LINE_CUSTOM_ID_LENGTH) == 0));
		PROMISE(!fits || f.custom_id.n <= 6 * CUSTOM_ID_MAX_BYTES);
	}
	PROMISE((f.flags & LINE_MODEL_MISSING) != 0 || json_decode(f.model, NULL, 0) > 0);
	return 0;
}

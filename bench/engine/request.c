#include "request.h"

#include <stdlib.h>

#include "base/json.h"

#define NUMBER_SIZE 64
#define TOKENS_MAX 1e9
#define PRIORITY_MAX 1e15
#define N_MAX 1024

static double clamp(double n, double least, double most)
{
	return n < least ? least : n > most ? most : n;
}

static double number_read(struct json *j, double otherwise)
{
	char text[NUMBER_SIZE];

	if (json_peek(j) != JSON_NUMBER) {
		struct slice other;

		(void)json_skip(j, &other);
		return otherwise;
	}
	(void)json_next(j);
	return slice_copy(j->value, text, sizeof(text)) ? strtod(text, NULL) : otherwise;
}

static bool flag_read(struct json *j)
{
	struct slice value;

	return json_skip(j, &value) && slice_is(value, "true");
}

static struct slice string_read(struct json *j)
{
	struct slice value = { 0 };

	if (json_peek(j) != JSON_STRING) {
		(void)json_skip(j, &value);
		return (struct slice){ 0 };
	}
	return json_skip(j, &value) ? (struct slice){ value.p + 1, value.n - 2 } : value;
}

static bool include_usage_read(struct json *j)
{
	struct slice key, other;
	bool include = false;

	if (json_peek(j) != JSON_OBJECT) {
		(void)json_skip(j, &other);
		return false;
	}
	(void)json_next(j);
	while (json_member(j, &key)) {
		if (json_key_is(key, "include_usage"))
			include = flag_read(j);
		else
			(void)json_skip(j, &other);
	}
	return include;
}

static bool key_is_prompt(struct slice key)
{
	return json_key_is(key, "messages") || json_key_is(key, "prompt") ||
	       json_key_is(key, "input");
}

/* Whether the array `prompt` is a list of inputs: of texts, or of lists of tokens. */
static bool is_list(struct json *j, struct slice prompt)
{
	json_init(j, prompt);
	if (json_next(j) != JSON_ARRAY || !json_element(j))
		return false;
	return json_peek(j) == JSON_STRING || json_peek(j) == JSON_ARRAY;
}

static void prompt_read(struct json *j, bool messages, struct request *r)
{
	struct json list;

	r->n_inputs = 1;
	if (!json_skip(j, &r->prompt) || messages || !is_list(&list, r->prompt))
		return;
	size_t n = json_array_count(r->prompt);
	r->n_inputs = n < INPUTS_MAX ? (unsigned)n : INPUTS_MAX;
}

void request_inputs(const struct request *r, struct slice *ret)
{
	struct json j;

	ret[0] = r->prompt;
	if (r->prompt.n == 0 || r->prompt.p[0] != '[' || !is_list(&j, r->prompt))
		return; /* and of messages, which are objects */
	for (unsigned i = 0; i < r->n_inputs; i++) {
		if ((i > 0 && !json_element(&j)) || !json_skip(&j, &ret[i]))
			break;
	}
}

static void member_read(struct json *j, struct slice key, struct request *r)
{
	struct slice other;

	if (key_is_prompt(key))
		prompt_read(j, json_key_is(key, "messages"), r);
	else if (json_key_is(key, "n"))
		r->n = (unsigned)clamp(number_read(j, 1), 1, N_MAX);
	else if (json_key_is(key, "model"))
		r->model = string_read(j);
	else if (json_key_is(key, "max_tokens") || json_key_is(key, "max_completion_tokens"))
		r->max_tokens = (uint64_t)clamp(number_read(j, 0), 0, TOKENS_MAX);
	else if (json_key_is(key, "priority"))
		r->priority = (int64_t)clamp(number_read(j, 0), -PRIORITY_MAX, PRIORITY_MAX);
	else if (json_key_is(key, "stream"))
		r->stream = flag_read(j);
	else if (json_key_is(key, "stream_options"))
		r->include_usage = include_usage_read(j);
	else
		(void)json_skip(j, &other);
}

bool request_scan(struct slice body, struct request *ret)
{
	struct json j;
	struct slice key;

	*ret = (struct request){ .n = 1 };
	json_init(&j, body);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &key))
		member_read(&j, key, ret);
	return json_end(&j);
}

bool control_scan(struct slice body, struct control *ret)
{
	struct json j;
	struct slice key, other;

	*ret = (struct control){
		.down_s = -1, .refuse = -1, .slots = -1, .answer_factor = -1, .dead = -1, .mark = -1
	};
	json_init(&j, body);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &key)) {
		if (json_key_is(key, "down_s"))
			ret->down_s = number_read(&j, -1);
		else if (json_key_is(key, "refuse"))
			ret->refuse = number_read(&j, -1);
		else if (json_key_is(key, "slots"))
			ret->slots = number_read(&j, -1);
		else if (json_key_is(key, "answer_factor"))
			ret->answer_factor = number_read(&j, -1);
		else if (json_key_is(key, "dead"))
			ret->dead = flag_read(&j);
		else if (json_key_is(key, "mark"))
			ret->mark = flag_read(&j);
		else if (json_key_is(key, "lie"))
			ret->lie = string_read(&j);
		else
			(void)json_skip(&j, &other);
	}
	return json_end(&j);
}

/* The JSON scanner: skipping a value and walking through it agree, and what it finds is there. */
#include <string.h>

#include "base/json.h"
#include "fuzz.h"

static struct slice text;

static void inside(struct slice part)
{
	PROMISE(part.p >= text.p && part.p + part.n <= text.p + text.n);
}

static void string_seen(struct slice raw)
{
	char decoded[64], key[65];
	size_t n = json_decode(raw, decoded, sizeof(decoded));

	inside(raw);
	PROMISE(n <= raw.n);
	PROMISE(json_same_string(raw, raw));
	if (n < sizeof(key) && memchr(decoded, '\0', n) == NULL) {
		memcpy(key, decoded, n);
		key[n] = '\0';
		PROMISE(json_key_is(raw, key));
	}
}

/* Into everything; depth is the scanner's affair, so this needs no recursion. */
static bool walk(void)
{
	struct json j;
	struct slice key;
	bool object[JSON_DEPTH_MAX + 1];
	size_t depth = 0;
	bool more = true;

	json_init(&j, text);
	while (more) {
		enum json_type expected = json_peek(&j);
		enum json_type type = json_next(&j);

		PROMISE(type == expected || type == JSON_BAD);
		if (type == JSON_OBJECT || type == JSON_ARRAY) {
			PROMISE(depth < JSON_DEPTH_MAX);
			object[++depth] = type == JSON_OBJECT;
		} else if (type != JSON_BAD) {
			uint64_t value;
			inside(j.value);
			PROMISE(j.value.n > 0);
			if (type == JSON_STRING)
				string_seen((struct slice){ j.value.p + 1, j.value.n - 2 });
			(void)json_u64(j.value, &value);
		}
		for (more = false; depth > 0 && !more && !j.bad;) {
			if (object[depth])
				more = json_member(&j, &key);
			else
				more = json_element(&j);
			if (more && object[depth])
				string_seen(key);
			if (!more)
				depth--;
		}
	}
	return json_end(&j);
}

static void one_line_is_the_same(struct slice value)
{
	char *copy = malloc(text.n);
	struct json j;
	struct slice again;

	PROMISE(copy != NULL);
	size_t n = json_copy_one_line(value, copy);
	PROMISE(memchr(copy, '\n', n) == NULL && memchr(copy, '\r', n) == NULL);
	json_init(&j, (struct slice){ copy, n });
	PROMISE(json_skip(&j, &again) && json_end(&j));
	PROMISE(json_array_count(value) == json_array_count(again));
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json j;
	struct slice value;

	text = (struct slice){ (const char *)data, size };
	json_init(&j, text);
	bool valid = json_skip(&j, &value) && json_end(&j);
	PROMISE(walk() == valid);
	if (valid) {
		inside(value);
		one_line_is_the_same(value);
	}
	return 0;
}

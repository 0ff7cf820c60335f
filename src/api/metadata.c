/* metadata.c */
#include "api/metadata.h"

#include <stdio.h>

#include "api/members.h"
#include "base/buf.h"

#define ECHO_MAX (1u << 20) /* the body that it came in is not larger */

static struct slice unquoted(struct slice string)
{
	return (struct slice){ string.p + 1, string.n - 2 };
}

/* Unicode characters, not bytes: each begins with a byte that is not 10xxxxxx. */
static bool count_characters(struct slice raw, size_t *ret, struct error *err)
{
	AUTO(auto_free) char *text = malloc(raw.n + 1);
	size_t n = 0;

	if (text == NULL)
		return fail_memory(err);
	size_t bytes = json_decode(raw, text, raw.n);
	for (size_t i = 0; i < bytes; i++)
		n += ((unsigned char)text[i] & 0xC0) != 0x80;
	*ret = n;
	return true;
}

static size_t count_pairs(struct slice text)
{
	struct json j;
	struct slice key, value;
	size_t n = 0;

	json_init(&j, text);
	json_next(&j);
	while (json_member(&j, &key) && json_skip(&j, &value))
		n++;
	return n;
}

static bool check_pair(struct slice key, enum json_type type, struct slice value, struct error *err)
{
	char name[METADATA_KEY_CHARACTERS_MAX * 4 + 1];
	char path[sizeof("metadata.") + sizeof(name)];
	size_t n;

	if (!count_characters(key, &n, err))
		return false;
	if (n > METADATA_KEY_CHARACTERS_MAX)
		return fail_param(err, "metadata", "property_name_above_max_length",
				  "Invalid 'metadata': property name too long. Expected a property "
				  "name with maximum length %d, but got one with length %zu "
				  "instead.",
				  METADATA_KEY_CHARACTERS_MAX, n);
	name[json_decode(key, name, sizeof(name) - 1)] = '\0';
	snprintf(path, sizeof(path), "metadata.%s", name);
	if (type != JSON_STRING)
		return fail_type(err, path, JSON_STRING, type, value);
	if (!count_characters(unquoted(value), &n, err))
		return false;
	if (n > METADATA_VALUE_CHARACTERS_MAX)
		return fail_param(err, path, "string_above_max_length",
				  "Invalid '%s': string too long. Expected a string with maximum "
				  "length %d, but got a string with length %zu instead.",
				  path, METADATA_VALUE_CHARACTERS_MAX, n);
	return true;
}

static void add_pair(struct buf *to, struct slice key, struct slice value)
{
	buf_text(to, to->n > 1 ? ",\"" : "\"");
	buf_add(to, key);
	buf_text(to, "\":");
	buf_add(to, value);
}

bool metadata_read(struct slice text, char **ret, struct error *err)
{
	AUTO(buf_free) struct buf echo = BUF(ECHO_MAX);
	struct json j;
	struct slice key, value;
	size_t pairs = count_pairs(text);

	if (pairs > METADATA_PAIRS_MAX)
		return fail_param(
			err, "metadata", "object_above_max_properties",
			"Invalid 'metadata': too many properties. Expected an object with "
			"at most %d properties, but got an object with %zu properties "
			"instead.",
			METADATA_PAIRS_MAX, pairs);
	buf_char(&echo, '{');
	json_init(&j, text);
	json_next(&j);
	while (json_member(&j, &key)) {
		enum json_type type = json_peek(&j);
		if (!json_skip(&j, &value) || !check_pair(key, type, value, err))
			return false;
		add_pair(&echo, key, value);
	}
	buf_append(&echo, "}", sizeof("}")); /* with its NUL */
	if (echo.failed)
		return fail_memory(err);
	*ret = TAKE(echo.p);
	return true;
}

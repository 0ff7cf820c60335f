/* members.c */
#include "api/members.h"

#include <stdlib.h>

bool members_find(struct slice text, struct member *members, size_t n)
{
	struct json j;
	struct slice key, value;

	json_init(&j, text);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &key)) {
		enum json_type type = json_peek(&j);
		if (!json_skip(&j, &value))
			return false;
		for (size_t i = 0; i < n; i++)
			if (json_key_is(key, members[i].name)) {
				members[i].type = type;
				members[i].text = value;
			}
	}
	return json_end(&j);
}

bool member_absent(const struct member *m)
{
	return m->type == JSON_BAD || m->type == JSON_NULL;
}

static const char *member_path(const struct member *m)
{
	return m->path != NULL ? m->path : m->name;
}

/* As OpenAI's messages call it: "expected a string, but got an array". */
static const char *type_name(enum json_type type, struct slice text)
{
	switch (type) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_NUMBER:
		for (size_t i = 0; i < text.n; i++)
			if (strchr(".eE", text.p[i]) != NULL)
				return "a decimal number";
		return "an integer";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
	case JSON_BAD:
		break;
	}
	return "null";
}

bool fail_type(struct error *err, const char *path, enum json_type expected, enum json_type got,
	       struct slice text)
{
	return fail_param(err, path, "invalid_type",
			  "Invalid type for '%s': expected %s, but got %s instead.", path,
			  type_name(expected, SLICE("")), type_name(got, text));
}

bool member_require(const struct member *m, enum json_type type, struct error *err)
{
	const char *path = member_path(m);

	if (member_absent(m))
		return fail_param(err, path, "missing_required_parameter",
				  "Missing required parameter: '%s'.", path);
	return m->type == type || fail_type(err, path, type, m->type, m->text);
}

bool member_bool(const struct member *m, bool *ret, struct error *err)
{
	*ret = m->type == JSON_TRUE;
	return member_absent(m) || m->type == JSON_TRUE || m->type == JSON_FALSE ||
	       fail_type(err, member_path(m), JSON_TRUE, m->type, m->text);
}

bool member_text(const struct member *m, char **ret, size_t *ret_bytes, struct error *err)
{
	struct slice raw = { m->text.p + 1, m->text.n - 2 }; /* without its quotes */
	char *text = malloc(raw.n + 1);                      /* decoding never makes it longer */

	if (text == NULL)
		return fail_memory(err);
	*ret_bytes = json_decode(raw, text, raw.n);
	text[*ret_bytes] = '\0';
	*ret = text;
	return true;
}

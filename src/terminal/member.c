/* member.c: see member.h. */
#include "terminal/member.h"

#include "terminal/text.h"

#define VALUE_BYTES_MAX (4u << 20)

const json_t *member_at(const json_t *object, const char *path)
{
	char name[64];

	for (;;) {
		struct slice step = { path, strcspn(path, ".") };
		if (!slice_copy(step, name, sizeof(name)))
			return NULL;
		object = json_object_get(object, name);
		if (path[step.n] == '\0')
			return json_is_null(object) ? NULL : object;
		path += step.n + 1;
	}
}

int64_t member_integer(const json_t *object, const char *path)
{
	return json_integer_value(member_at(object, path));
}

double member_real(const json_t *object, const char *path)
{
	return json_number_value(member_at(object, path));
}

bool member_true(const json_t *object, const char *path)
{
	return json_is_true(member_at(object, path));
}

const char *member_string(const json_t *object, const char *path)
{
	const char *text = json_string_value(member_at(object, path));

	return text != NULL ? text : "";
}

static int append_piece(const char *piece, size_t n, void *ctx)
{
	struct buf *all = ctx;

	buf_append(all, piece, n);
	return all->failed ? -1 : 0;
}

void member_put_json(struct buf *to, const json_t *value)
{
	AUTO(buf_free) struct buf all = BUF(VALUE_BYTES_MAX);
	size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15);

	if (json_dump_callback(value, append_piece, &all, flags) != 0)
		to->failed = true;
	for (struct slice rest = buf_slice(&all); rest.n > 0;)
		text_escape_next(to, &rest);
}

void member_put(struct buf *to, const json_t *value)
{
	if (value == NULL || json_is_null(value))
		buf_char(to, '-');
	else if (json_is_string(value))
		text_plain(to,
			   (struct slice){ json_string_value(value), json_string_length(value) });
	else
		member_put_json(to, value);
}

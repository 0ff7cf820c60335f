/* fields.c: tables of bytes, tables of names. */
#include "http/fields.h"

#include <strings.h>

#include "base/error.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const bool token_bytes[256] = {
	['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,
	['#'] = true,         ['$'] = true,         ['%'] = true,         ['&'] = true,
	['\''] = true,        ['*'] = true,         ['+'] = true,         ['-'] = true,
	['.'] = true,         ['^'] = true,         ['_'] = true,         ['`'] = true,
	['|'] = true,         ['~'] = true,
};

bool field_is_token(struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!token_bytes[(unsigned char)text.p[i]])
			return false;
	return text.n > 0;
}

/* Without a way out in the middle: the compiler takes 16 bytes at a time. */
static bool has_control(struct slice text)
{
	bool any = false;

	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		any |= (bool)((c < ' ') & (c != '\t')) | (c == 0x7f);
	}
	return any;
}

const char *field_fault(struct slice name, struct slice value)
{
	if (name.n == 0)
		return "a header's name is empty";
	if (!field_is_token(name))
		return "a header's name holds a character that no name may hold";
	return has_control(value) ? "a header's value holds a control character" : NULL;
}

struct slice field_trimmed(struct slice text)
{
	while (text.n > 0 && is_blank(*text.p))
		text = (struct slice){ text.p + 1, text.n - 1 };
	while (text.n > 0 && is_blank(text.p[text.n - 1]))
		text.n--;
	return text;
}

const char *field_read(struct slice line, struct slice *ret_name, struct slice *ret_value)
{
	const char *colon = line.n > 0 ? memchr(line.p, ':', line.n) : NULL;

	if (line.n > 0 && is_blank(*line.p))
		return "a header is folded onto a second line";
	if (colon == NULL)
		return "a header's line has no colon";
	*ret_name = (struct slice){ line.p, (size_t)(colon - line.p) };
	*ret_value = field_trimmed((struct slice){ colon + 1, line.n - ret_name->n - 1 });
	return field_fault(*ret_name, *ret_value);
}

bool field_is(struct slice name, const char *other)
{
	return strlen(other) == name.n && strncasecmp(other, name.p, name.n) == 0;
}

bool field_is_one_of(struct slice name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (field_is(name, *names))
			return true;
	return false;
}

bool field_is_hop_by_hop(struct slice name)
{
	static const char *const names[] = {
		"Connection",
		"Keep-Alive",
		"Proxy-Authenticate",
		"Proxy-Authentication-Info",
		"Proxy-Authorization",
		"Proxy-Connection",
		"TE",
		"Trailer",
		"Transfer-Encoding",
		"Upgrade",
		NULL,
	};

	return field_is_one_of(name, names);
}

bool field_list_next(struct slice *list, struct slice *ret)
{
	if (list->n == 0)
		return false;
	const char *comma = memchr(list->p, ',', list->n);
	size_t n = comma != NULL ? (size_t)(comma - list->p) : list->n;
	size_t taken = comma != NULL ? n + 1 : n;
	*ret = field_trimmed((struct slice){ list->p, n });
	*list = (struct slice){ list->p + taken, list->n - taken };
	return true;
}

bool field_list_has(struct slice list, struct slice name)
{
	struct slice one;

	while (field_list_next(&list, &one))
		if (one.n == name.n && strncasecmp(one.p, name.p, name.n) == 0)
			return true;
	return false;
}

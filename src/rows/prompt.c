/* prompt.c */
#include "rows/prompt.h"

#include <stdint.h>
#include <stdlib.h>

#include "rows/text.h"

bool names_add(struct column_names *names, struct slice name, size_t *ret_index, struct error *err)
{
	for (size_t i = 0; i < names->count; i++) {
		if (!slice_is(name, names->list[i]))
			continue;
		*ret_index = i;
		return true;
	}
	char **more = reallocarray(names->list, names->count + 1, sizeof(*more));
	if (more == NULL)
		return fail_memory(err);
	names->list = more;
	more[names->count] = strndup(name.p, name.n);
	if (more[names->count] == NULL)
		return fail_memory(err);
	*ret_index = names->count++;
	return true;
}

void names_done(struct column_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
	*names = (struct column_names){ 0 };
}

static bool piece_add(struct prompt *p, struct slice text, size_t column, struct error *err)
{
	if (text.n == 0 && column == PROMPT_TEXT)
		return true;
	struct prompt_piece *more = reallocarray(p->pieces, p->count + 1, sizeof(*more));
	if (more == NULL)
		return fail_memory(err);
	p->pieces = more;
	p->pieces[p->count++] = (struct prompt_piece){ text, column };
	return true;
}

static bool fail_brace(const char *what, const char *brace, struct error *err)
{
	char shown[TEXT_SHOWN_BYTES];
	struct slice rest = slice_of(brace);

	if (rest.n > 40)
		rest.n = 40;
	return fail(err, ERR_INVALID,
		    "%s: the brace in '%s' stands alone: a column is {column}, a brace as such is "
		    "written twice, {{ or }}",
		    what, text_show(rest, shown));
}

/* `*p` is at a brace: steps behind the column, or behind both braces. */
static bool brace_read(const char *what, const char **p, struct column_names *columns,
		       struct prompt *ret, struct error *err)
{
	const char *brace = *p;
	size_t column = 0;

	if (brace[1] == brace[0]) {
		*p += 2;
		return piece_add(ret, (struct slice){ brace, 1 }, PROMPT_TEXT, err);
	}
	size_t n = strcspn(brace + 1, "{}");
	if (brace[0] == '}' || brace[1 + n] != '}')
		return fail_brace(what, brace, err);
	*p += n + 2;
	return names_add(columns, (struct slice){ brace + 1, n }, &column, err) &&
	       piece_add(ret, SLICE(""), column, err);
}

bool prompt_read(const char *what, const char *text, struct column_names *columns,
		 struct prompt *ret, struct error *err)
{
	*ret = (struct prompt){ 0 };
	while (*text != '\0') {
		size_t n = strcspn(text, "{}");
		bool good = piece_add(ret, (struct slice){ text, n }, PROMPT_TEXT, err);

		text += n;
		if (!good || (*text != '\0' && !brace_read(what, &text, columns, ret, err))) {
			prompt_done(ret);
			return false;
		}
	}
	return true;
}

void prompt_fill(const struct prompt *p, const struct slice *values, struct buf *to)
{
	for (size_t i = 0; i < p->count; i++)
		buf_add(to, p->pieces[i].column == PROMPT_TEXT ? p->pieces[i].text
							       : values[p->pieces[i].column]);
}

void prompt_done(struct prompt *p)
{
	free(p->pieces);
	*p = (struct prompt){ 0 };
}

/* text.c: characters, one at a time. */
#include "terminal/text.h"

#include <locale.h>
#include <pthread.h>
#include <wchar.h>

#include "base/utf8.h"

#define REPLACEMENT 0xfffdu
#define REPLACEMENT_TEXT "\xef\xbf\xbd"
#define ELLIPSIS "\xe2\x80\xa6"
#define JOINER 0x200du /* what follows is drawn with what went before */

struct character {
	size_t bytes;
	uint32_t code; /* REPLACEMENT where the bytes are no UTF-8 */
};

/* The character at the start of `text`, which is not empty. */
static struct character character_at(struct slice text)
{
	static const unsigned char masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	bool valid;
	size_t bytes = utf8_step(text.p, text.n, &valid);
	uint32_t code = (unsigned char)text.p[0] & masks[bytes];

	if (!valid)
		return (struct character){ bytes, REPLACEMENT };
	for (size_t i = 1; i < bytes; i++)
		code = code << 6 | ((unsigned char)text.p[i] & 0x3fu);
	return (struct character){ bytes, code };
}

static bool is_between(uint32_t code, uint32_t first, uint32_t last)
{
	return code >= first && code <= last;
}

static bool is_control(uint32_t code)
{
	return code < 0x20 || is_between(code, 0x7f, 0x9f) || is_between(code, 0x200e, 0x200f) ||
	       is_between(code, 0x2028, 0x202e) || is_between(code, 0x2066, 0x2069) ||
	       code == 0x61c;
}

/* What stands for the first character of `rest`, which goes on behind it. */
static struct slice plain_next(struct slice *rest)
{
	struct character c = character_at(*rest);
	struct slice own = { rest->p, c.bytes };

	*rest = (struct slice){ rest->p + c.bytes, rest->n - c.bytes };
	return c.code == REPLACEMENT || is_control(c.code) ? SLICE(REPLACEMENT_TEXT) : own;
}

void text_plain(struct buf *to, struct slice text)
{
	while (text.n > 0)
		buf_add(to, plain_next(&text));
}

void text_escape_next(struct buf *to, struct slice *rest)
{
	struct character c = character_at(*rest);

	if (is_control(c.code))
		buf_printf(to, "\\u%04x", (unsigned)c.code);
	else
		buf_append(to, rest->p, c.bytes);
	*rest = (struct slice){ rest->p + c.bytes, rest->n - c.bytes };
}

void print_plain(const char *text, FILE *to)
{
	struct slice rest = slice_of(text);

	while (rest.n > 0) {
		struct slice next = plain_next(&rest);
		fwrite(next.p, 1, next.n, to);
	}
}

/* ---- widths ---- */

static locale_t utf8_locale;

static void locale_find(void)
{
	utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* Where the locale is missing every character is one column wide. */
static size_t width_of(uint32_t code)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (code < 0x80)
		return 1;
	pthread_once(&once, locale_find);
	if (utf8_locale == (locale_t)0)
		return 1;
	locale_t before = uselocale(utf8_locale);
	int width = wcwidth((wchar_t)code);
	uselocale(before);
	return width < 0 ? 1 : (size_t)width;
}

size_t text_width(struct slice text)
{
	size_t width = 0;

	while (text.n > 0) {
		struct character c = character_at(text);
		width += width_of(c.code);
		text = (struct slice){ text.p + c.bytes, text.n - c.bytes };
	}
	return width;
}

/* Where `text` may be cut so that no more than `columns` are left; *ret_width: what these take. */
static size_t cut_place(struct slice text, size_t columns, size_t *ret_width)
{
	size_t place = 0, width = 0;
	bool joined = false;

	*ret_width = 0;
	for (size_t at = 0; at < text.n;) {
		struct character c = character_at((struct slice){ text.p + at, text.n - at });
		size_t own = width_of(c.code);
		if (own > 0 && !joined) {
			place = at;
			*ret_width = width;
		}
		if (width + own > columns)
			return place;
		width += own;
		joined = c.code == JOINER;
		at += c.bytes;
	}
	*ret_width = width;
	return text.n;
}

size_t text_cut(struct buf *to, struct slice text, size_t columns)
{
	size_t width;

	if (cut_place(text, columns, &width) == text.n) {
		buf_add(to, text);
		return width;
	}
	if (columns == 0)
		return 0;
	buf_append(to, text.p, cut_place(text, columns - 1, &width));
	buf_text(to, ELLIPSIS);
	return width + 1;
}

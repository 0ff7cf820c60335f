/* text.c */
#include "rows/text.h"

#include <stdint.h>

#include "base/utf8.h"

/* Bytes at `p` that are ASCII: eight at a time. */
static size_t ascii_run(const char *p, size_t n)
{
	size_t i = 0;
	uint64_t eight;

	for (; n - i >= sizeof(eight); i += sizeof(eight)) {
		memcpy(&eight, p + i, sizeof(eight));
		if ((eight & UINT64_C(0x8080808080808080)) != 0)
			break;
	}
	while (i < n && (unsigned char)p[i] < 0x80)
		i++;
	return i;
}

size_t text_valid(struct slice text)
{
	size_t at = 0;
	bool valid = true;

	while (at < text.n) {
		at += ascii_run(text.p + at, text.n - at);
		if (at == text.n)
			break;
		size_t n = utf8_step(text.p + at, text.n - at, &valid);
		if (!valid)
			break;
		at += n;
	}
	return at;
}

void text_replace(struct slice text, struct buf *to)
{
	while (text.n > 0) {
		size_t n = text_valid(text);
		bool valid;

		buf_append(to, text.p, n);
		if (n < text.n) {
			buf_text(to, "\xEF\xBF\xBD");
			n += utf8_step(text.p + n, text.n - n, &valid);
		}
		text = (struct slice){ text.p + n, text.n - n };
	}
}

const char *text_show(struct slice text, char to[static TEXT_SHOWN_BYTES])
{
	static const char dots[] = "...";
	const size_t room = TEXT_SHOWN_BYTES - sizeof(dots);
	size_t at = 0, n = 0;

	while (at < text.n) {
		bool valid;
		size_t step = utf8_step(text.p + at, text.n - at, &valid);
		unsigned char c = (unsigned char)text.p[at];
		bool plain = valid && c >= 0x20 && c != 0x7f &&
			     !(c == 0xC2 && step == 2 && (unsigned char)text.p[at + 1] < 0xA0);
		size_t takes = plain ? step : 1;

		if (n + takes > room)
			break;
		if (plain)
			memcpy(to + n, text.p + at, step);
		else
			to[n] = '?';
		n += takes;
		at += step;
	}
	memcpy(to + n, dots, sizeof(dots));
	if (at == text.n)
		to[n] = '\0';
	return to;
}

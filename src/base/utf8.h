/* utf8.h: where one character ends and the next begins, in bytes that strangers sent. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character at `p` (`n` >= 1 bytes are there), 1 to 4, and *ret_valid set; or, where
 * the bytes are no UTF-8 (overlong, surrogate, above U+10FFFF, cut off), the bytes that one U+FFFD
 * stands for: the longest beginning of a character, as Unicode and Python have it, 1 to 3. */
static inline size_t utf8_step(const char *p, size_t n, bool *ret_valid)
{
	const unsigned char *u = (const unsigned char *)p;
	unsigned char least = 0x80, most = 0xBF; /* bounds of the second byte */
	size_t length;

	*ret_valid = false;
	if (u[0] < 0x80) {
		*ret_valid = true;
		return 1;
	} else if (u[0] >= 0xC2 && u[0] <= 0xDF) {
		length = 2;
	} else if (u[0] >= 0xE0 && u[0] <= 0xEF) {
		length = 3;
		if (u[0] == 0xE0)
			least = 0xA0; /* below: overlong */
		if (u[0] == 0xED)
			most = 0x9F; /* above: surrogates */
	} else if (u[0] >= 0xF0 && u[0] <= 0xF4) {
		length = 4;
		if (u[0] == 0xF0)
			least = 0x90; /* below: overlong */
		if (u[0] == 0xF4)
			most = 0x8F; /* above: beyond U+10FFFF */
	} else {
		return 1;
	}
	if (n < 2 || u[1] < least || u[1] > most)
		return 1;
	for (size_t i = 2; i < length; i++)
		if (i >= n || u[i] < 0x80 || u[i] > 0xBF)
			return i;
	*ret_valid = true;
	return length;
}

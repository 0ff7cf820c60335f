/* conditions.c */
#include "api/conditions.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define GZIP_SUFFIX "-gzip" /* inside the quotes of the compressed form's etag */

/* ---- Range ---- */

/* Digits at `*p`, stepping behind them; too many count as the largest number. False for none. */
static bool take_digits(const char **p, uint64_t *ret)
{
	const char *start = *p;

	for (*ret = 0; **p >= '0' && **p <= '9'; (*p)++) {
		uint64_t digit = (uint64_t)(**p - '0');
		*ret = *ret > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *ret * 10 + digit;
	}
	return *p != start;
}

enum range_verdict range_read(const char *header, uint64_t size, uint64_t *ret_offset,
			      uint64_t *ret_length)
{
	uint64_t first, last;

	if (header == NULL || strncasecmp(header, "bytes=", 6) != 0)
		return RANGE_NONE;
	const char *p = header + 6;
	bool has_first = take_digits(&p, &first);
	if (*p++ != '-')
		return RANGE_NONE;
	bool has_last = take_digits(&p, &last);
	if (*p != '\0' || (!has_first && !has_last) || (has_first && has_last && last < first))
		return RANGE_NONE;
	if (!has_first) { /* the last so many bytes */
		first = last < size ? size - last : 0;
		if (last == 0 || size == 0)
			return RANGE_UNSATISFIABLE;
		last = size - 1;
	}
	if (first >= size)
		return RANGE_UNSATISFIABLE;
	if (!has_last || last >= size)
		last = size - 1;
	*ret_offset = first;
	*ret_length = last - first + 1;
	return RANGE_PART;
}

/* ---- lists of a header: a, b;q=0.5 ---- */

static struct slice trimmed(struct slice s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* The next item of `*list`, without white space around it; false at the end. */
static bool next_item(const char **list, struct slice *ret)
{
	if (**list == '\0')
		return false;
	size_t n = strcspn(*list, ",");
	*ret = trimmed((struct slice){ *list, n });
	*list += n + ((*list)[n] == ',');
	return true;
}

bool etag_listed(const char *header, const char *etag)
{
	struct slice one, want = slice_of(etag);

	if (header == NULL)
		return false;
	want = (struct slice){ want.p + 1, want.n - 2 };
	while (next_item(&header, &one)) {
		if (slice_is(one, "*"))
			return true;
		if (one.n >= 2 && memcmp(one.p, "W/", 2) == 0)
			one = (struct slice){ one.p + 2, one.n - 2 };
		if (one.n < 2 || one.p[0] != '"' || one.p[one.n - 1] != '"')
			continue;
		one = (struct slice){ one.p + 1, one.n - 2 };
		size_t suffix = strlen(GZIP_SUFFIX);
		if (one.n == want.n + suffix && memcmp(one.p + want.n, GZIP_SUFFIX, suffix) == 0)
			one.n = want.n;
		if (slice_eq(one, want))
			return true;
	}
	return false;
}

/* The weight of "gzip;q=0.5" in thousandths; 1000 where it says none, 0 for nonsense. */
static unsigned weight_of(struct slice item, struct slice *ret_coding)
{
	const char *semicolon = item.n > 0 ? memchr(item.p, ';', item.n) : NULL;

	if (semicolon == NULL) {
		*ret_coding = item;
		return 1000;
	}
	*ret_coding = trimmed((struct slice){ item.p, (size_t)(semicolon - item.p) });
	struct slice q = { semicolon + 1, item.n - (size_t)(semicolon + 1 - item.p) };
	char text[16];
	if (!slice_copy(trimmed(q), text, sizeof(text)) || strncasecmp(text, "q=", 2) != 0)
		return 0;
	double weight = strtod(text + 2, NULL);
	return weight > 0 && weight <= 1 ? (unsigned)(weight * 1000) : 0;
}

bool gzip_asked(const char *accept_encoding)
{
	unsigned gzip = 0, other = 0;
	struct slice item, coding;

	if (accept_encoding == NULL)
		return false;
	while (next_item(&accept_encoding, &item)) {
		unsigned weight = weight_of(item, &coding);
		if (coding.n == 4 && strncasecmp(coding.p, "gzip", 4) == 0)
			gzip = weight;
		else if (coding.n > 0 && weight > other)
			other = weight;
	}
	return gzip > other;
}

static bool is_taken(const char *list, const char *name)
{
	struct slice item, given;

	while (list != NULL && next_item(&list, &item))
		if (weight_of(item, &given) > 0 && given.n == strlen(name) &&
		    strncasecmp(given.p, name, given.n) == 0)
			return true;
	return false;
}

bool gzip_taken(const char *accept_encoding)
{
	return is_taken(accept_encoding, "gzip");
}

bool html_taken(const char *accept)
{
	return is_taken(accept, "text/html");
}

/* json.c: the scanner. Its speed comes from strings: they are most of a line's bytes, and sixteen
 * of those are looked at together. All else is a byte at a time, which costs less than it seems
 * to. */
#include "base/json.h"

#include "base/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* ---- what the grammar is made of: each takes a place and gives the place behind, NULL if bad
 * ---- */

static inline const char *space_end(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/* The first byte that is not plain text of a string: a quote, a backslash, a control character or
 * anything beyond ASCII; `end` if there is none. */
static inline const char *plain_end(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"');
	const __m128i backslash = _mm_set1_epi8('\\');
	const __m128i blank = _mm_set1_epi8(' ');

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const void *)p);
		/* as signed bytes, controls and all beyond ASCII are less than a blank */
		__m128i stop = _mm_or_si128(_mm_cmplt_epi8(v, blank),
					    _mm_or_si128(_mm_cmpeq_epi8(v, quote),
							 _mm_cmpeq_epi8(v, backslash)));
		unsigned mask = (unsigned)_mm_movemask_epi8(stop);

		if (mask != 0)
			return p + __builtin_ctz(mask);
	}
#endif
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= ' ' &&
	       (unsigned char)*p < 0x80)
		p++;
	return p;
}

/* A run of characters beyond ASCII. */
static const char *utf8_run_end(const char *p, const char *end)
{
	bool valid;

	while (p < end && (unsigned char)*p >= 0x80) {
		p += utf8_step(p, (size_t)(end - p), &valid);
		if (!valid)
			return NULL;
	}
	return p;
}

/* The four digits behind `\u`; -1 if they are not that, or not all there. Text beyond ASCII is
 * often written this way all through, so it goes by a table: the digit's value and one more, 0 for
 * none. */
static int hex4(const char *p, const char *end)
{
	static const signed char digits[256] = {
		['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
		['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
		['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
		['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
	};

	if (end - p < 4)
		return -1;
	int a = digits[(unsigned char)p[0]] - 1;
	int b = digits[(unsigned char)p[1]] - 1;
	int c = digits[(unsigned char)p[2]] - 1;
	int d = digits[(unsigned char)p[3]] - 1;

	return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

/* `p` is at a backslash. */
static const char *escape_end(const char *p, const char *end)
{
	if (end - p < 2)
		return NULL;
	switch (p[1]) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return p + 2;
	case 'u':
		return hex4(p + 2, end) < 0 ? NULL : p + 6;
	default:
		return NULL;
	}
}

static const char *escape_run_end(const char *p, const char *end)
{
	do
		p = escape_end(p, end);
	while (p != NULL && p < end && *p == '\\');
	return p;
}

/* `p` is behind the opening quote; the answer, behind the closing one. */
static inline const char *string_end(const char *p, const char *end)
{
	for (;;) {
		p = plain_end(p, end);
		if (p == end)
			return NULL;
		if (*p == '"')
			return p + 1;
		if (*p == '\\')
			p = escape_run_end(p, end);
		else if ((unsigned char)*p >= 0x80)
			p = utf8_run_end(p, end);
		else
			return NULL; /* a control character */
		if (p == NULL)
			return NULL;
	}
}

const char *json_string_end(const char *p, const char *end)
{
	return string_end(p, end);
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* At least one digit. */
static const char *digits_end(const char *p, const char *end)
{
	if (p == end || !is_digit(*p))
		return NULL;
	while (p < end && is_digit(*p))
		p++;
	return p;
}

static const char *number_end(const char *p, const char *end)
{
	if (p < end && *p == '-')
		p++;
	if (p < end && *p == '0')
		p++; /* and no digit may follow: it is no comma and no bracket */
	else if ((p = digits_end(p, end)) == NULL)
		return NULL;
	if (p < end && *p == '.' && (p = digits_end(p + 1, end)) == NULL)
		return NULL;
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		return digits_end(p, end);
	}
	return p;
}

static const char *word_end(const char *p, const char *end, const char *word, size_t n)
{
	return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 ? p + n : NULL;
}

/* ---- the scanner ---- */

static enum json_type bad(struct json *j)
{
	j->bad = true;
	return JSON_BAD;
}

static inline bool in_object(const struct json *j)
{
	unsigned top = j->depth - 1;

	return (j->objects[top / 64] >> (top % 64) & 1) != 0;
}

static inline enum json_type enter(struct json *j, enum json_type type)
{
	if (j->depth == JSON_DEPTH_MAX)
		return bad(j);
	uint64_t bit = UINT64_C(1) << (j->depth % 64);
	uint64_t *levels = &j->objects[j->depth / 64];

	if (j->depth % 64 == 0)
		*levels = 0; /* rather than all of them in json_init */
	*levels = type == JSON_OBJECT ? *levels | bit : *levels & ~bit;
	j->depth++;
	j->p++;
	j->first = true;
	return type;
}

/* Leaves the object or array at hand; false, so that json_member and json_element can return it. */
static inline bool leave(struct json *j)
{
	j->p++;
	j->depth--;
	j->first = false;
	return false;
}

static inline enum json_type scalar(struct json *j, enum json_type type, const char *behind)
{
	if (behind == NULL)
		return bad(j);
	j->value = (struct slice){ j->p, (size_t)(behind - j->p) };
	j->p = behind;
	j->first = false;
	return type;
}

void json_init(struct json *j, struct slice text)
{
	if (text.n == 0)
		text.p = ""; /* so that pointer arithmetic below is never done on NULL */
	j->start = j->p = text.p;
	j->end = text.p + text.n;
	j->depth = 0;
	j->bad = false;
	j->first = true; /* at depth 0: the one value has not been read */
	j->value = (struct slice){ NULL, 0 };
}

enum json_type json_peek(struct json *j)
{
	if (j->bad)
		return JSON_BAD;
	j->p = space_end(j->p, j->end);
	if (j->p == j->end)
		return bad(j);
	switch (*j->p) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
		return JSON_TRUE;
	case 'f':
		return JSON_FALSE;
	case 'n':
		return JSON_NULL;
	default:
		return JSON_NUMBER; /* or nothing at all, as will turn out */
	}
}

static inline enum json_type next(struct json *j)
{
	if (j->depth == 0 && !j->first)
		return bad(j); /* a second value */
	enum json_type type = json_peek(j);

	switch (type) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		return enter(j, type);
	case JSON_STRING:
		return scalar(j, type, string_end(j->p + 1, j->end));
	case JSON_NUMBER:
		return scalar(j, type, number_end(j->p, j->end));
	case JSON_TRUE:
		return scalar(j, type, word_end(j->p, j->end, "true", 4));
	case JSON_FALSE:
		return scalar(j, type, word_end(j->p, j->end, "false", 5));
	case JSON_NULL:
		return scalar(j, type, word_end(j->p, j->end, "null", 4));
	default:
		return JSON_BAD;
	}
}

enum json_type json_next(struct json *j)
{
	return next(j);
}

/* To the next member or element: over the comma that must part it from the one before. False if
 * there is none: `closing` was there and has been passed, or something was wrong. */
static inline bool another(struct json *j, bool object, char closing)
{
	if (j->bad)
		return false;
	if (j->depth == 0 || in_object(j) != object)
		return bad(j);
	j->p = space_end(j->p, j->end);
	if (j->p == j->end)
		return bad(j);
	if (*j->p == closing)
		return leave(j);
	if (!j->first) {
		if (*j->p != ',')
			return bad(j);
		j->p++;
	}
	j->first = false;
	return true;
}

static inline bool member_step(struct json *j, struct slice *ret_key)
{
	if (!another(j, true, '}'))
		return false;
	const char *key = space_end(j->p, j->end);
	if (key == j->end || *key != '"')
		return bad(j);
	const char *behind = string_end(key + 1, j->end);
	if (behind == NULL)
		return bad(j);
	*ret_key = (struct slice){ key + 1, (size_t)(behind - key) - 2 };

	j->p = space_end(behind, j->end);
	if (j->p == j->end || *j->p != ':')
		return bad(j);
	j->p++;
	return true;
}

bool json_member(struct json *j, struct slice *ret_key)
{
	return member_step(j, ret_key);
}

static inline bool element(struct json *j)
{
	return another(j, false, ']');
}

bool json_element(struct json *j)
{
	return element(j);
}

bool json_skip(struct json *j, struct slice *ret_text)
{
	unsigned outside = j->depth;
	struct slice key;

	json_peek(j); /* past white space: here the value begins */
	const char *from = j->p;

	next(j);
	while (j->depth > outside && !j->bad)
		if (in_object(j) ? member_step(j, &key) : element(j))
			next(j);
	if (j->bad)
		return false;
	*ret_text = (struct slice){ from, (size_t)(j->p - from) };
	return true;
}

bool json_end(struct json *j)
{
	return !j->bad && j->depth == 0 && !j->first && space_end(j->p, j->end) == j->end;
}

size_t json_offset(const struct json *j)
{
	return (size_t)(j->p - j->start);
}

/* ---- strings, decoded ---- */

/* Gives a raw string's decoded bytes one by one. It never trusts the text: an escape that is none
 * (bytes that changed since they were validated) stands for itself. */
struct decoder {
	const char *p, *end;
	unsigned char unit[4]; /* the character that an escape stands for, in UTF-8 */
	unsigned at, n;
};

static unsigned utf8_encode(unsigned c, unsigned char to[static 4])
{
	if (c < 0x80) {
		to[0] = (unsigned char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (unsigned char)(0xc0 | c >> 6);
		to[1] = (unsigned char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (unsigned char)(0xe0 | c >> 12);
		to[1] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (unsigned char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (unsigned char)(0xf0 | c >> 18);
	to[1] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (unsigned char)(0x80 | (c & 0x3f));
	return 4;
}

static struct decoder decoder_of(struct slice raw)
{
	const char *p = raw.n > 0 ? raw.p : "";

	return (struct decoder){ .p = p, .end = p + raw.n };
}

/* The character of the escape at d->p, and past it. */
static unsigned decode_escape(struct decoder *d)
{
	const char *p = d->p;
	const char *behind = escape_end(p, d->end);

	if (behind == NULL) {
		d->p++;
		return '\\';
	}
	d->p = behind;
	switch (p[1]) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'u':
		break;
	default:
		return (unsigned char)p[1];
	}
	int c = hex4(p + 2, d->end);

	if (c < 0xd800 || c > 0xdfff)
		return (unsigned)c;
	if (c <= 0xdbff && d->end - behind >= 6 && behind[0] == '\\' && behind[1] == 'u') {
		int low = hex4(behind + 2, d->end);

		if (low >= 0xdc00 && low <= 0xdfff) {
			d->p = behind + 6;
			return 0x10000U + ((unsigned)(c - 0xd800) << 10) + (unsigned)(low - 0xdc00);
		}
	}
	return 0xfffd; /* half of a pair */
}

/* The next byte, -1 at the end. */
static int decoder_next(struct decoder *d)
{
	if (d->at < d->n)
		return d->unit[d->at++];
	if (d->p == d->end)
		return -1;
	if (*d->p != '\\')
		return (unsigned char)*d->p++;
	d->n = utf8_encode(decode_escape(d), d->unit);
	d->at = 1;
	return d->unit[0];
}

static bool has_escape(struct slice raw)
{
	return raw.n > 0 && memchr(raw.p, '\\', raw.n) != NULL;
}

bool json_same_string(struct slice a, struct slice b)
{
	if (!has_escape(a) && !has_escape(b))
		return slice_eq(a, b);
	struct decoder da = decoder_of(a);
	struct decoder db = decoder_of(b);
	int byte;

	do {
		byte = decoder_next(&da);
		if (byte != decoder_next(&db))
			return false;
	} while (byte >= 0);
	return true;
}

bool json_key_is(struct slice raw, const char *text)
{
	struct slice want = slice_of(text);

	if (!has_escape(raw))
		return slice_eq(raw, want);
	struct decoder d = decoder_of(raw);

	for (size_t i = 0; i < want.n; i++)
		if (decoder_next(&d) != (unsigned char)want.p[i])
			return false;
	return decoder_next(&d) < 0;
}

size_t json_decode(struct slice raw, char *to, size_t size)
{
	if (!has_escape(raw)) {
		if (raw.n > 0 && size > 0)
			memcpy(to, raw.p, raw.n < size ? raw.n : size);
		return raw.n;
	}
	struct decoder d = decoder_of(raw);
	size_t n = 0;

	for (int byte; (byte = decoder_next(&d)) >= 0; n++)
		if (n < size)
			to[n] = (char)byte;
	return n;
}

/* ---- small helpers on validated text ---- */

bool json_u64(struct slice number, uint64_t *ret)
{
	uint64_t value = 0;

	if (number.n == 0 || (number.p[0] == '0' && number.n > 1))
		return false;
	for (size_t i = 0; i < number.n; i++) {
		if (!is_digit(number.p[i]) || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (unsigned)(number.p[i] - '0'), &value))
			return false;
	}
	*ret = value;
	return true;
}

/* The digits of "12.50e1" without the point are 1250, and the exponent that is left is -1. */
bool json_whole(struct slice number, uint64_t *ret)
{
	const char *p = number.p, *end = number.p + number.n;
	uint64_t n = 0;
	long exponent = 0, written = 0;
	bool fraction = false, digits = false;

	for (; p < end && (is_digit(*p) || (*p == '.' && !fraction)); p++) {
		if (*p == '.') {
			fraction = true;
			continue;
		}
		digits = true;
		exponent -= fraction;
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return false;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		bool negative = p + 1 < end && p[1] == '-';
		for (p += p + 1 < end && (p[1] == '-' || p[1] == '+') ? 2 : 1;
		     p < end && is_digit(*p) && written < 1000; p++)
			written = written * 10 + (*p - '0');
		exponent += negative ? -written : written;
	}
	for (; exponent < 0 && n % 10 == 0 && n > 0; exponent++)
		n /= 10;
	for (; exponent > 0 && n > 0; exponent--)
		if (__builtin_mul_overflow(n, 10, &n))
			return false;
	if (!digits || p != end || (exponent < 0 && n > 0))
		return false;
	*ret = n;
	return true;
}

size_t json_copy_one_line(struct slice text, char *to)
{
	const char *p = text.n > 0 ? text.p : "";
	const char *end = p + text.n;
	char *at = to;

	while (p < end) {
#ifdef __SSE2__
		/* No answer of an API is pretty-printed all through: blocks without a break are
		 * copied whole. The room suffices, since `at` never is further along than `p`. */
		if (end - p >= 16) {
			__m128i v = _mm_loadu_si128((const void *)p);
			__m128i breaks = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\n')),
						      _mm_cmpeq_epi8(v, _mm_set1_epi8('\r')));

			if (_mm_movemask_epi8(breaks) == 0) {
				_mm_storeu_si128((void *)at, v);
				p += 16;
				at += 16;
				continue;
			}
		}
#endif
		if (*p != '\n' && *p != '\r')
			*at++ = *p;
		p++;
	}
	return (size_t)(at - to);
}

size_t json_array_count(struct slice text)
{
	struct json j;
	struct slice value;
	size_t n = 0;

	json_init(&j, text);
	if (json_next(&j) != JSON_ARRAY)
		return 0;
	while (json_element(&j) && json_skip(&j, &value))
		n++;
	return n;
}

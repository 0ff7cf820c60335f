/* filename.c */
#include "api/filename.h"

#include <strings.h>

#include "base/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"

static const char *last_component(const char *path)
{
	const char *name = path;

	for (const char *p = path; *p != '\0'; p++)
		if (*p == '/' || *p == '\\')
			name = p + 1;
	return name;
}

bool filename_read(const char *param, const char *given, char *to, size_t size, struct error *err)
{
	struct slice left = slice_of(last_component(given));
	AUTO(buf_free) struct buf name = BUF(size - 1);

	if (left.n == 0)
		return fail_param(err, param, "missing_required_parameter",
				  "Missing required parameter: '%s' needs a filename.", param);
	while (left.n > 0) {
		bool valid;
		size_t step = utf8_step(left.p, left.n, &valid);
		if (valid)
			buf_append(&name, left.p, step);
		else
			buf_text(&name, REPLACEMENT);
		left.p += step;
		left.n -= step;
	}
	if (name.no_memory)
		return fail_memory(err);
	if (name.failed || !slice_copy(buf_slice(&name), to, size))
		return fail_param(err, param, "invalid_value",
				  "Invalid value for '%s': the filename is longer than %zu bytes.",
				  param, size - 1);
	return true;
}

bool filename_check(const char *name, struct error *err)
{
	const char *dot = strrchr(name, '.');

	if (dot == NULL || strcasecmp(dot, ".jsonl") == 0)
		return true;
	return fail(err, ERR_INVALID, "Invalid file format for Batch API. Must be .jsonl");
}

/* What may stand between the quotes as it is: no quote or backslash, of which clients make
 * different things, no percent sign, which some decode, no control characters, nothing beyond
 * ASCII. */
static bool is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\' && c != '%';
}

static bool is_attribute_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
	       (c != '\0' && strchr("!#$&+-.^_`|~", c) != NULL);
}

void filename_disposition(const char *name, struct buf *to)
{
	bool plain = true;

	buf_text(to, "attachment; filename=\"");
	for (const char *p = name; *p != '\0'; p++) {
		if (is_plain((unsigned char)*p)) {
			buf_char(to, *p);
			continue;
		}
		plain = false;
		/* one stand-in for each character, not for each of its bytes */
		if (((unsigned char)*p & 0xC0) != 0x80)
			buf_char(to, '_');
	}
	buf_char(to, '"');
	if (plain)
		return;
	buf_text(to, "; filename*=UTF-8''");
	for (const char *p = name; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;
		if (is_attribute_char(c))
			buf_char(to, *p);
		else
			buf_printf(to, "%%%02X", c);
	}
}

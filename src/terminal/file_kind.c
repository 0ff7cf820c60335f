/* file_kind.c: by the first bytes, then by the first lines. */
#include "terminal/file_kind.h"

#include <stdint.h>

#include "base/attr.h"
#include "base/json_fault.h"

/* ---- first bytes ---- */

#define UTF16_TEXT                                                                                \
	"The file is UTF-16: JSONL is UTF-8 (iconv -f UTF-16 -t UTF-8 FILE > NEW, or save it as " \
	"UTF-8)."

static const struct {
	struct slice bytes;
	const char *text;
} beginnings[] = {
	{ SLICE("\x1f\x8b"), "The file is compressed with gzip: unpack it first (gunzip)." },
	{ SLICE("\x28\xb5\x2f\xfd"),
	  "The file is compressed with zstd: unpack it first (unzstd)." },
	{ SLICE("BZh"), "The file is compressed with bzip2: unpack it first (bunzip2)." },
	{ SLICE("\xfd"
		"7zXZ"),
	  "The file is compressed with xz: unpack it first (unxz)." },
	{ SLICE("PK\x03\x04"), "The file is a ZIP archive or a spreadsheet, and not JSONL." },
	{ SLICE("PAR1"), "The file is Parquet, and not JSONL: a JSON object a line." },
	{ SLICE("\xff\xfe"), UTF16_TEXT },
	{ SLICE("\xfe\xff"), UTF16_TEXT },
	{ SLICE("{\0"), UTF16_TEXT }, /* without a byte order mark */
	{ SLICE("\0{"), UTF16_TEXT },
};

static bool begins_with(struct slice text, struct slice beginning)
{
	return text.n >= beginning.n && memcmp(text.p, beginning.p, beginning.n) == 0;
}

/* ---- first lines ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice rest_of(struct slice text, size_t n)
{
	return (struct slice){ text.p + n, text.n - n };
}

static struct slice skip_space(struct slice text)
{
	size_t n = 0;

	while (n < text.n && is_space(text.p[n]))
		n++;
	return rest_of(text, n);
}

/* The line that `text` begins with, and what follows it; false if its end is not there. */
static bool take_line(struct slice *text, struct slice *ret_line)
{
	const char *lf = text->n > 0 ? memchr(text->p, '\n', text->n) : NULL;

	if (lf == NULL)
		return false;
	*ret_line = (struct slice){ text->p, (size_t)(lf - text->p) };
	*text = rest_of(*text, ret_line->n + 1);
	return true;
}

/* Whether an object begins in the first line and goes on in the next. */
static bool is_spread(struct slice text)
{
	struct slice line;
	struct json_fault fault;

	if (!take_line(&text, &line) || !json_fault_find(line, &fault) ||
	    fault.kind != JSON_FAULT_CUT)
		return false;
	return text.n > 0 && (is_space(text.p[0]) || text.p[0] == '"' || text.p[0] == '}');
}

static size_t count_of(struct slice line, char separator)
{
	size_t n = 0;

	for (size_t i = 0; i < line.n; i++)
		n += line.p[i] == separator;
	return n;
}

/* Whether the first line, and the second if there is one, have columns. */
static bool is_table(struct slice text)
{
	static const char separators[] = { ',', ';', '\t' };
	struct slice first, second;

	if (!take_line(&text, &first))
		return false;
	bool alone = !take_line(&text, &second);
	if (!alone && second.n > 0 && second.p[0] == '{')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(separators); i++)
		if (count_of(first, separators[i]) > 0 &&
		    (alone || count_of(second, separators[i]) > 0))
			return true;
	return false;
}

const char *file_kind(struct slice beginning)
{
	for (size_t i = 0; i < ARRAY_LEN(beginnings); i++)
		if (begins_with(beginning, beginnings[i].bytes))
			return beginnings[i].text;
	if (begins_with(beginning, SLICE("\xef\xbb\xbf")))
		beginning = rest_of(beginning, 3);
	struct slice text = skip_space(beginning);
	if (text.n == 0)
		return NULL;
	switch (text.p[0]) {
	case '[':
		return "The file is one JSON array: JSONL has an object a line, with neither brackets "
		       "around nor commas between them (jq -c '.[]' FILE > NEW.jsonl).";
	case '{':
		return is_spread(text)
			       ? "Its objects are spread over several lines each (pretty-printed, or with "
				 "line breaks in a text): JSONL has each in one line (jq -c . FILE > "
				 "NEW.jsonl)."
			       : NULL;
	case '<':
		return "The file is HTML or XML, and not JSONL: a JSON object a line.";
	default:
		return is_table(text)
			       ? "The file looks like CSV, and not like JSONL: a JSON object a "
				 "line, each with custom_id and body."
			       : NULL;
	}
}

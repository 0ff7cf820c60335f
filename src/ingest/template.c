/* template.c: made of a line that was scanned, held against those that follow. */
#include "ingest/template.h"

#include <string.h>

#include "base/attr.h"
#include "base/json.h"

/* Where lines in turn are not alike, fewer and fewer are tried: two, then these are not. */
#define MISSES_FREE 4u
#define PAUSE_MOST 128u

#define LINE_FAULTS                                                                 \
	(LINE_NOT_JSON | LINE_NOT_OBJECT | LINE_TOO_LONG | LINE_CUSTOM_ID_MISSING | \
	 LINE_CUSTOM_ID_NOT_STRING | LINE_CUSTOM_ID_LENGTH)

static struct slice *part_of(struct line_facts *f, unsigned number)
{
	struct slice *const parts[TEMPLATE_PARTS] = {
		&f->custom_id,   &f->body,           &f->url,          &f->model,
		&f->method,      &f->texts.messages, &f->texts.prompt, &f->texts.input,
		&f->texts.tools, &f->texts.system,
	};

	return parts[number];
}

/* ---- making ---- */

/* A text of the line between its quotes. False: it has too many. */
static bool text_add(struct line_template *t, const char *line, struct slice text)
{
	if (t->texts == TEMPLATE_TEXTS)
		return false;
	uint32_t begin = (uint32_t)(text.p - line);

	t->alike[t->texts] = begin - (t->texts > 0 ? t->text_end[t->texts - 1] : 0);
	t->text_end[t->texts++] = begin + (uint32_t)text.n;
	return true;
}

/* The strings of a value of valid JSON but for the names of members. */
static bool value_add(struct line_template *t, struct slice line, struct slice value)
{
	const char *end = value.p + value.n, *p = value.p;

	while (p < end && (p = memchr(p, '"', (size_t)(end - p))) != NULL) {
		const char *text = p + 1, *behind = json_string_end(text, end);
		if (behind == NULL)
			return false;
		for (p = behind; p < end && strchr(" \t\r\n", *p) != NULL && *p != '\0';)
			p++;
		bool name = p < end && *p == ':';
		if (!name &&
		    !text_add(t, line.p, (struct slice){ text, (size_t)(behind - text) - 1 }))
			return false;
	}
	return true;
}

/* In the order in which they stand. */
static bool texts_find(struct line_template *t, struct slice line, const struct line_facts *f)
{
	struct slice left[] = { f->custom_id, f->texts.messages, f->texts.prompt, f->texts.input,
				f->texts.system };

	for (size_t n = ARRAY_LEN(left); n > 0; n--) {
		size_t first = 0;
		for (size_t i = 1; i < ARRAY_LEN(left); i++)
			if (left[i].p != NULL &&
			    (left[first].p == NULL || left[i].p < left[first].p))
				first = i;
		if (left[first].p == NULL)
			break;
		if (first == 0)
			t->custom_id = t->texts;
		if (!(first == 0 ? text_add(t, line.p, left[0]) : value_add(t, line, left[first])))
			return false;
		left[first].p = NULL;
	}
	return true;
}

static uint32_t texts_before(const struct line_template *t, uint32_t at)
{
	uint32_t n = 0;

	while (n < t->texts && t->text_end[n] <= at)
		n++;
	return n;
}

/* Copies what lies between the texts. False: it is too much. */
static bool bytes_copy(struct line_template *t, struct slice line)
{
	size_t n = 0, from = 0;

	for (uint32_t i = 0; i <= t->texts; i++) {
		if (t->alike[i] > sizeof(t->bytes) - n)
			return false;
		memcpy(t->bytes + n, line.p + from, t->alike[i]);
		n += t->alike[i];
		from = i < t->texts ? t->text_end[i] : line.n;
	}
	return true;
}

/* False: one of the slices is empty, and may lie anywhere. */
static bool parts_note(struct line_template *t, struct slice line)
{
	for (unsigned i = 0; i < TEMPLATE_PARTS; i++) {
		const struct slice *part = part_of(&t->facts, i);
		if (part->p == NULL)
			continue;
		if (part->n == 0)
			return false;
		uint32_t begin = (uint32_t)(part->p - line.p);
		uint32_t end = begin + (uint32_t)part->n;
		t->parts[i] = (struct template_part){ begin, end, texts_before(t, begin),
						      texts_before(t, end) };
	}
	return true;
}

static void template_make(struct line_template *t, struct slice line,
			  const struct line_facts *facts)
{
	t->made = false;
	t->texts = 0;
	if ((facts->flags & LINE_FAULTS) != 0 || !texts_find(t, line, facts) ||
	    line.n - t->text_end[t->texts - 1] > sizeof(t->bytes))
		return;
	t->alike[t->texts] = (uint32_t)line.n - t->text_end[t->texts - 1];
	if (!bytes_copy(t, line))
		return;
	t->facts = *facts;
	t->made = parts_note(t, line);
}

/* ---- comparing ---- */

/* Whether the line has the template's bytes between its texts. moved[n]: how much further on than in
 * the template's line the bytes behind the n-th text stand. */
static bool is_alike(const struct line_template *t, struct slice line,
		     int64_t moved[static TEMPLATE_TEXTS + 1])
{
	const char *p = line.p, *end = line.p + line.n, *alike = t->bytes;

	moved[0] = 0;
	for (uint32_t i = 0;; i++) {
		if ((size_t)(end - p) < t->alike[i] || memcmp(p, alike, t->alike[i]) != 0)
			return false;
		p += t->alike[i];
		alike += t->alike[i];
		if (i == t->texts)
			return p == end;
		const char *behind = json_string_end(p, end);
		if (behind == NULL)
			return false;
		size_t n = (size_t)(behind - p) - 1;
		if (i == t->custom_id && (n == 0 || n > CUSTOM_ID_MAX_BYTES))
			return false; /* its length is the scanner's to judge */
		p += n;
		moved[i + 1] = (int64_t)(p - line.p) - t->text_end[i];
	}
}

static bool facts_by_template(const struct line_template *t, struct slice line,
			      struct line_facts *ret)
{
	int64_t moved[TEMPLATE_TEXTS + 1];

	if (!t->made || !is_alike(t, line, moved))
		return false;
	*ret = t->facts;
	for (unsigned i = 0; i < TEMPLATE_PARTS; i++) {
		const struct template_part *part = &t->parts[i];
		struct slice *s = part_of(ret, i);
		int64_t begin = part->begin + moved[part->begin_texts];
		if (s->p != NULL)
			*s = (struct slice){ line.p + begin,
					     (size_t)(part->end + moved[part->end_texts] - begin) };
	}
	ret->prefix = (struct prefix){ 0 };
	line_prefix(&ret->texts, &ret->prefix);
	return true;
}

void line_scan_like(struct line_template *t, struct slice line, struct line_facts *ret)
{
	if (t->pause > 0) {
		t->pause--;
		line_scan(line, ret);
		return;
	}
	if (facts_by_template(t, line, ret)) {
		t->misses = 0;
		return;
	}
	line_scan(line, ret);
	template_make(t, line, ret);
	t->misses++;
	if (t->misses >= MISSES_FREE && t->misses % 2 == 0) /* the next one may be like this one */
		t->pause = t->misses < PAUSE_MOST ? t->misses : PAUSE_MOST;
}

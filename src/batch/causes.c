/* causes.c: a short array, searched from its start; the most frequent are picked where they are
 * shown. */
#include "batch/causes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define STATUS_LEAST 100u /* codes below it are faults */
#define FINDING_LEAST 50u /* and from this on findings */

/* Of bad lines (contract 7.2). Their numbers stand in journals and databases: a new one comes at
 * the end. */
static const char *const finding_codes[] = {
	"invalid_request",     "invalid_json_line",     "missing_required_parameter",
	"invalid_type",        "invalid_value",         "invalid_method",
	"invalid_url",         "streaming_unsupported", "background_unsupported",
	"duplicate_custom_id", "model_not_found",       "mismatched_model",
	"too_many_models",
};
_Static_assert(FINDING_LEAST + ARRAY_LEN(finding_codes) <= STATUS_LEAST,
	       "a finding's number is not an HTTP status");

uint16_t cause_code(enum outcome_fault fault, int http_status)
{
	return (uint16_t)(fault == OUTCOME_ANSWERED ? http_status : (int)fault);
}

uint16_t cause_of_finding(const struct finding *f)
{
	unsigned i = ARRAY_LEN(finding_codes) - 1;

	while (i > 0 && strcmp(finding_codes[i], f->code) != 0)
		i--;
	return (uint16_t)(FINDING_LEAST + i);
}

bool cause_is_of_finding(uint16_t code)
{
	return code >= FINDING_LEAST && code < STATUS_LEAST;
}

void cause_name(uint16_t code, char to[static CAUSE_NAME_BYTES])
{
	unsigned finding = code - FINDING_LEAST;

	if (code >= STATUS_LEAST)
		snprintf(to, CAUSE_NAME_BYTES, "%u", code);
	else if (code >= FINDING_LEAST && finding < ARRAY_LEN(finding_codes))
		snprintf(to, CAUSE_NAME_BYTES, "%s", finding_codes[finding]);
	else
		snprintf(to, CAUSE_NAME_BYTES, "%s", outcome_fault_code((enum outcome_fault)code));
}

static struct cause *cause_find(struct causes *c, uint16_t code)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->of[i].code == code)
			return &c->of[i];
	return NULL;
}

bool causes_add(struct causes *c, uint16_t code, uint64_t record)
{
	struct cause *cause = cause_find(c, code);

	if (cause == NULL && c->n < CAUSES_MAX) {
		c->of[c->n++] = (struct cause){ .code = code, .count = 1, .record = record };
		return true;
	}
	if (cause != NULL)
		cause->count++;
	return false;
}

void causes_merge(struct causes *c, const struct causes *other)
{
	for (unsigned i = 0; i < other->n; i++) {
		const struct cause *more = &other->of[i];
		struct cause *mine = cause_find(c, more->code);
		if (mine == NULL && c->n < CAUSES_MAX)
			c->of[c->n++] = *more;
		if (mine == NULL)
			continue;
		mine->count += more->count;
		if (more->line != 0 && (mine->line == 0 || more->line < mine->line)) {
			mine->line = more->line;
			mine->record = more->record;
		}
	}
}

unsigned causes_top(const struct causes *c, struct cause to[static CAUSES_TOP])
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n; i++) {
		unsigned at = n < CAUSES_TOP ? n++ : n;
		for (; at > 0 && to[at - 1].count < c->of[i].count; at--)
			if (at < CAUSES_TOP)
				to[at] = to[at - 1];
		if (at < CAUSES_TOP)
			to[at] = c->of[i];
	}
	return n;
}

void causes_format(const struct causes *c, struct buf *to)
{
	for (unsigned i = 0; i < c->n; i++)
		buf_printf(to, "%s%u:%" PRIu64 ":%" PRIu32, i > 0 ? " " : "", c->of[i].code,
			   c->of[i].count, c->of[i].line);
}

/* A number at *at that is at most `most`, and `behind` behind it; steps over both. */
static bool number_read(const char **at, char behind, uint64_t most, uint64_t *ret)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	*ret = strtoull(*at, &end, 10);
	bool ok = *ret <= most && (behind == '\0' || *end == behind);
	*at = end + (ok && behind != '\0');
	return ok;
}

void causes_parse(const char *text, struct causes *ret)
{
	uint64_t code, line;

	*ret = (struct causes){ 0 };
	while (text != NULL && *text != '\0' && ret->n < CAUSES_MAX) {
		struct cause *c = &ret->of[ret->n];
		text += *text == ' ';
		if (!number_read(&text, ':', UINT16_MAX, &code) ||
		    !number_read(&text, ':', UINT64_MAX, &c->count) ||
		    !number_read(&text, '\0', UINT32_MAX, &line))
			return;
		c->code = (uint16_t)code;
		c->line = (uint32_t)line;
		ret->n++;
	}
}

void causes_describe(const struct causes *c, struct buf *to)
{
	struct cause top[CAUSES_TOP];
	unsigned n = causes_top(c, top);

	for (unsigned i = 0; i < n; i++) {
		char name[CAUSE_NAME_BYTES];
		cause_name(top[i].code, name);
		buf_printf(to, "%s%s%s x %" PRIu64, i > 0 ? ", " : "",
			   top[i].code >= STATUS_LEAST ? "HTTP " : "", name, top[i].count);
		if (top[i].line > 0)
			buf_printf(to, " (line %" PRIu32 ")", top[i].line);
	}
}

/* causes.c: see causes.h. */
#include "batch/causes.h"

#include <inttypes.h>
#include <stdio.h>

#define STATUS_LEAST 100u /* codes below it are faults */

uint16_t cause_code(enum outcome_fault fault, int http_status)
{
	return (uint16_t)(fault == OUTCOME_ANSWERED ? http_status : (int)fault);
}

void cause_name(uint16_t code, char to[static CAUSE_NAME_BYTES])
{
	if (code >= STATUS_LEAST)
		snprintf(to, CAUSE_NAME_BYTES, "%u", code);
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

void causes_parse(const char *text, struct causes *ret)
{
	unsigned code;
	int n;
	*ret = (struct causes){ 0 };
	for (; text != NULL && *text != '\0' && ret->n < CAUSES_MAX; text += n) {
		struct cause *c = &ret->of[ret->n];
		if (sscanf(text, "%5u:%" SCNu64 ":%" SCNu32 "%n", &code, &c->count, &c->line, &n) !=
			    3 ||
		    code > UINT16_MAX)
			return;
		c->code = (uint16_t)code;
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

/* findings.c: findings on the terminal. */
#include "cli/findings.h"

#include <inttypes.h>
#include <string.h>

#include "terminal/text.h"

#define SHOWN_OF_EACH 10

static void finding_print(const struct findings *f, const struct finding *finding)
{
	fprintf(f->to, "%s:%" PRIu64 ": %s: ", f->path, finding->line, finding->code);
	print_plain(finding->message, f->to);
	if (finding->fault != NULL) {
		fprintf(f->to, " Column %zu: ", finding->fault->column);
		print_plain(finding->fault->reason, f->to);
		fputc('.', f->to);
	}
	fputc('\n', f->to);
}

/* Its number in the table. Were there more codes than places, the last would count for the rest. */
static unsigned code_number(struct findings *f, const char *code)
{
	unsigned i = 0;

	while (i < f->code_count && strcmp(f->codes[i].code, code) != 0)
		i++;
	if (i == f->code_count && i < FINDING_CODES_MAX)
		f->codes[f->code_count++].code = code;
	return i < FINDING_CODES_MAX ? i : FINDING_CODES_MAX - 1;
}

void findings_add(void *ctx, const struct finding *finding)
{
	struct findings *f = ctx;
	unsigned i = code_number(f, finding->code);

	f->count++;
	if (f->codes[i].count++ == 0)
		f->codes[i].first_line = finding->line;
	if (finding->fault != NULL)
		f->faults[finding->fault->kind]++;
	bool whole = finding->line == 0;
	if (f->all || whole || (f->kind == NULL && f->codes[i].count <= SHOWN_OF_EACH))
		finding_print(f, finding);
	else
		f->left_out++;
}

/* What most findings come from. */
static const char *common_cause(const struct findings *f)
{
	if (f->kind != NULL)
		return f->kind;
	if (f->faults[JSON_FAULT_END_COMMA] * 2 > f->count)
		return "Lines end with a comma: JSONL has none between its objects (sed 's/,[[:space:]]*$//' "
		       "FILE > NEW).";
	if (f->faults[JSON_FAULT_NAN] * 2 > f->count)
		return "Numbers are written NaN or Infinity, as Python's json.dumps does: JSON has neither; "
		       "write null, or leave them out.";
	return NULL;
}

static void table_print(const struct findings *f)
{
	for (unsigned i = 0; i < f->code_count; i++) {
		fprintf(f->to, "%12" PRIu64 "  %-28s", f->codes[i].count, f->codes[i].code);
		if (f->codes[i].first_line > 0)
			fprintf(f->to, "  the first in line %" PRIu64, f->codes[i].first_line);
		fputc('\n', f->to);
	}
}

void findings_end(const struct findings *f)
{
	const char *cause = f->count > 0 ? common_cause(f) : NULL;

	if (cause != NULL)
		fprintf(f->to, "%s:0: not_jsonl: %s\n", f->path, cause);
	if (f->left_out == 0 || f->kind != NULL)
		return;
	table_print(f);
	fprintf(f->to, "%12" PRIu64 "  not shown; lowtide check --all shows every one\n",
		f->left_out);
}

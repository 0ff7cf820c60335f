/* finding.c: see finding.h. The members stand in the order of the contract's example. */
#include "batch/finding.h"

static void text_or_null(struct buf *to, const char *text)
{
	if (text == NULL)
		buf_text(to, "null");
	else
		buf_json_string(to, slice_of(text));
}

void finding_json_object(struct buf *to, const struct finding *finding)
{
	buf_text(to, "{\"code\":");
	text_or_null(to, finding->code);
	buf_text(to, ",\"line\":");
	if (finding->line == 0)
		buf_text(to, "null");
	else
		buf_u64(to, finding->line);
	buf_text(to, ",\"message\":");
	text_or_null(to, finding->message);
	buf_text(to, ",\"param\":");
	text_or_null(to, finding->param);
	buf_char(to, '}');
}

void finding_json_add(struct buf *to, const struct finding *finding)
{
	buf_char(to, to->n == 0 ? '[' : ',');
	finding_json_object(to, finding);
}

void finding_json_end(struct buf *to)
{
	buf_char(to, ']');
}

void finding_json_one(struct buf *to, const struct finding *finding)
{
	finding_json_add(to, finding);
	finding_json_end(to);
}

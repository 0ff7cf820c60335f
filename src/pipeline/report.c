#include "pipeline/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/record.h"
#include "dispatch/view_text.h"

#define TAG "batch"
#define B(member) RECORD(struct report_batch, member)

static const struct record_field fields[] = {
	B(id),    B(queue_position), B(running), B(retried), B(rate_per_s),
	B(stall), B(certificate),    B(at_risk), B(message),
};

/* ---- one batch ---- */

void report_batch_init(struct report_batch *b, const char *id)
{
	*b = (struct report_batch){ .queue_position = -1 };
	snprintf(b->id, sizeof(b->id), "%s", id);
}

/* One that does not wait outweighs all; else the condition further down the list, and of one the text that
 * is later in the alphabet, so that all tell the same. */
static bool stall_outweighs(const struct report_batch *a, const struct report_batch *b)
{
	if (a->stall == STALL_NONE || b->stall == STALL_NONE)
		return a->stall == STALL_NONE;
	return a->stall != b->stall ? a->stall > b->stall : strcmp(a->message, b->message) > 0;
}

void report_batch_add(struct report_batch *to, const struct report_batch *more)
{
	bool first = to->queue_position < 0;

	if (more->queue_position < 0)
		return;
	if (first || more->queue_position < to->queue_position)
		to->queue_position = more->queue_position;
	if (first || stall_outweighs(more, to)) {
		to->stall = more->stall;
		memcpy(to->message, more->message, sizeof(to->message));
	}
	to->running += more->running;
	to->retried += more->retried;
	to->rate_per_s += more->rate_per_s;
	to->certificate = to->certificate || more->certificate;
	to->at_risk = to->at_risk || more->at_risk;
}

/* ---- all of them ---- */

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct report_batch *)a)->id, ((const struct report_batch *)b)->id);
}

void report_batches_write(struct buf *to, struct report_batch *batches, size_t n)
{
	if (n > 0)
		qsort(batches, n, sizeof(*batches), by_id);
	for (size_t i = 0; i < n; i++)
		record_write(to, TAG, fields, ARRAY_LEN(fields), &batches[i]);
}

static bool batch_read(char *line, struct report_batch *ret)
{
	return record_read(line, fields, ARRAY_LEN(fields), ret) && ret->stall <= STALL_HELD &&
	       ret->queue_position >= 0 && ret->queue_position <= UINT32_MAX &&
	       ret->rate_per_s >= 0 && ret->id[0] != '\0';
}

static bool batches_read(char *text, struct report *ret, struct error *err)
{
	size_t lines = 0;
	char *tag, *line;

	for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	ret->batches = calloc(lines + 1, sizeof(*ret->batches));
	if (ret->batches == NULL)
		return fail_memory(err);
	while ((tag = record_next(&text, &line)) != NULL) {
		if (strcmp(tag, TAG) != 0)
			continue;
		if (ret->batch_n == lines || !batch_read(line, &ret->batches[ret->batch_n]))
			return fail(err, ERR_INVALID, "a report's line makes no sense");
		ret->batch_n++;
	}
	if (ret->batch_n > 0)
		qsort(ret->batches, ret->batch_n, sizeof(*ret->batches), by_id);
	return true;
}

/* ---- a report ---- */

static void text_done(struct report_text *text)
{
	free(TAKE(text->scheduling));
	free(TAKE(text->batches));
}

void report_done(struct report *r)
{
	scheduling_view_done(&r->view);
	free(TAKE(r->batches));
	text_done(&r->text);
	r->batch_n = 0;
}

static bool texts_read(struct report *r, struct error *err)
{
	if (r->text.format != REPORT_FORMAT)
		return fail(err, ERR_INVALID, "a report of another format");
	if (!batches_read(r->text.batches, r, err))
		return false;
	if (view_read(r->text.scheduling, &r->view, err))
		return true;
	r->view = (struct scheduling_view){ 0 };
	return false;
}

bool report_read(struct report_text *text, struct report *ret, struct error *err)
{
	*ret = (struct report){ .node = text->node, .since = text->since, .text = *text };
	text->scheduling = text->batches = NULL;
	if (texts_read(ret, err))
		return true;
	report_done(ret);
	return false;
}

const struct report_batch *report_find(const struct report *r, const char *id)
{
	struct report_batch key;

	if (r->batch_n == 0)
		return NULL;
	report_batch_init(&key, id);
	return bsearch(&key, r->batches, r->batch_n, sizeof(*r->batches), by_id);
}

/* outcome.c: see outcome.h. The bytes of an answer are copied once, into the result line. */
#include "batch/outcome.h"

#include <stdlib.h>

#include "base/json.h"

#define ERROR_BODY_MAX \
	(256u << 10) /* a longer error answer is cut: some carry the request back, twice */
#define UPSTREAM_TEXT_MAX 4096 /* of an answer that is not JSON (contract 8.2) */

static const char *const fault_codes[] = {
#define X(name, code) [OUTCOME_##name] = code,
	OUTCOME_FAULTS(X)
#undef X
};

static const char *const fault_messages[] = {
	[OUTCOME_TIMEOUT] = "The upstream did not answer this request in time.",
	[OUTCOME_UPSTREAM] = "The connection to the upstream failed while it handled this request.",
	[OUTCOME_INVALID] = "The upstream's answer is not valid JSON.",
	[OUTCOME_EXPIRED] =
		"This request could not be executed before the completion window expired.",
	[OUTCOME_CANCELLED] = "This request was not executed because the batch was cancelled.",
	[OUTCOME_BATCH_FAILED] =
		"This request could not be completed because of a fault of the batch server.",
	[OUTCOME_SPENT] =
		"This request was not executed because the batch's token budget is used up.",
};

const char *outcome_fault_code(enum outcome_fault fault)
{
	bool known = fault > OUTCOME_ANSWERED && (size_t)fault < ARRAY_LEN(fault_codes);

	return fault_codes[known ? fault : OUTCOME_UPSTREAM];
}

struct outcome *outcome_new(void *owner, uint64_t record, struct slice custom_id)
{
	struct outcome *o = malloc(sizeof(*o) + custom_id.n);

	if (o == NULL)
		return NULL;
	*o = (struct outcome){ .owner = owner, .record = record, .custom_id_n = custom_id.n };
	if (custom_id.n > 0)
		memcpy(o->custom_id, custom_id.p, custom_id.n);
	return o;
}

void outcome_free(struct outcome *o)
{
	if (o == NULL)
		return;
	buf_free(&o->body);
	free(o);
}

void usage_add(struct usage *sum, const struct usage *u)
{
	sum->input += u->input;
	sum->cached += u->cached;
	sum->output += u->output;
	sum->reasoning += u->reasoning;
	sum->total += u->total;
}

static void line_open(struct slice custom_id, struct buf *to)
{
	char id[ID_SIZE];

	id_batch_request(id);
	buf_add(to, SLICE("{\"id\":\""));
	buf_text(to, id);
	buf_add(to, SLICE("\",\"custom_id\":"));
	if (custom_id.p == NULL) {
		buf_add(to, SLICE("null"));
		return;
	}
	buf_char(to, '"');
	buf_add(to, custom_id);
	buf_char(to, '"');
}

static void line_fault(enum outcome_fault fault, struct slice message, struct buf *to)
{
	buf_add(to, SLICE(",\"response\":null,\"error\":{\"code\":\""));
	buf_text(to, fault_codes[fault]);
	buf_add(to, SLICE("\",\"message\":"));
	buf_json_string(to, message);
	buf_add(to, SLICE("}}\n"));
}

void outcome_missing_line(struct slice custom_id, enum outcome_fault fault, struct buf *to)
{
	line_open(custom_id, to);
	line_fault(fault, slice_of(fault_messages[fault]), to);
}

void outcome_bad_line(struct slice custom_id, const struct finding *finding, struct buf *to)
{
	line_open(custom_id, to);
	buf_add(to, SLICE(",\"response\":null,\"error\":"));
	finding_json_object(to, finding);
	buf_add(to, SLICE("}\n"));
}

static void line_answer(struct outcome *o, struct buf *to)
{
	struct slice body = answer_text(buf_slice(&o->body));

	buf_add(to, SLICE(",\"response\":{\"status_code\":"));
	buf_u64(to, (uint64_t)o->http_status);
	buf_add(to, SLICE(",\"request_id\":"));
	if (o->request_id[0] != '\0') {
		buf_json_string(to, slice_of(o->request_id));
	} else {
		char id[ID_SIZE];
		id_request(id);
		buf_json_string(to, slice_of(id));
	}
	buf_add(to, SLICE(",\"body\":"));
	bool cut = body.n > ERROR_BODY_MAX && o->http_status >= 300;
	if (o->facts.json && !cut) {
		if (buf_reserve(to, body.n))
			to->n += json_copy_one_line(body, to->p + to->n);
	} else {
		buf_add(to, SLICE("{\"error\":{\"message\":"));
		buf_json_string(to, answer_head(body, UPSTREAM_TEXT_MAX));
		buf_add(to, SLICE(",\"type\":\"upstream_error\",\"param\":null,"
				  "\"code\":\"upstream_non_json\"}}"));
	}
	buf_add(to, SLICE("},\"error\":null}\n"));
}

/* What was wrong with an answer, and the beginning of it (contract 8.3). */
static void line_invalid(const char *what, struct slice body, struct buf *to)
{
	AUTO(buf_free) struct buf message = BUF(2 * UPSTREAM_TEXT_MAX);

	buf_text(&message, what);
	if (body.n > 0) {
		buf_text(&message, ": ");
		buf_add(&message, answer_head(body, UPSTREAM_TEXT_MAX));
	} else {
		buf_char(&message, '.');
	}
	to->failed = to->failed || message.failed;
	line_fault(OUTCOME_INVALID, buf_slice(&message), to);
}

void outcome_line(struct outcome *o, struct buf *to)
{
	struct slice custom_id = { o->custom_id, o->custom_id_n };

	o->success = false;
	o->usage = (struct usage){ 0 };
	line_open(custom_id, to);
	if (o->fault == OUTCOME_ANSWERED && !o->scanned)
		answer_scan(buf_slice(&o->body), &o->facts);
	o->scanned = true;
	bool ok = o->http_status >= 200 && o->http_status <= 299;
	if (o->fault == OUTCOME_ANSWERED && ok && o->facts.fault != ANSWER_GOOD) {
		o->fault = OUTCOME_INVALID;
		o->message = answer_fault_words(o->facts.fault);
	}
	if (o->fault == OUTCOME_INVALID && o->message != NULL) {
		line_invalid(o->message, answer_text(buf_slice(&o->body)), to);
		return;
	}
	if (o->fault != OUTCOME_ANSWERED) {
		const char *message = o->message != NULL ? o->message : fault_messages[o->fault];
		line_fault(o->fault, slice_of(message), to);
		return;
	}
	o->success = ok;
	if (ok)
		o->usage = o->facts.usage;
	line_answer(o, to);
}

/* estimate.c: see estimate.h. */
#include "api/estimate.h"

#include <stdio.h>

#include "api/batches.h"
#include "api/create.h"
#include "api/layout.h"
#include "base/sys.h"
#include "batch/canary.h"
#include "batch/finding.h"
#include "batch/opening.h"
#include "pipeline/estimate.h"

#define TOKENS_MOST 1e18

/* The answer, as its table draws it. */
struct answer {
	const struct estimate *e;
	uint64_t lines, input_tokens, output_tokens;
	struct cost cost;
	int64_t starts_at, eta_at; /* Unix s; 0: cannot be told */
	bool at_risk;
};

#define A(member) COLUMN(struct answer, member)

static void put_models(struct buf *to, const void *row)
{
	const struct answer *a = row;

	buf_char(to, '[');
	for (unsigned i = 0; i < a->e->model_count; i++) {
		if (i > 0)
			buf_char(to, ',');
		buf_json_string(to, slice_of(a->e->models[i].name));
	}
	buf_char(to, ']');
}

static const struct json_member cost_members[] = {
	{ "amount", A(cost.amount), .decimals = 6 },
	{ "currency", A(cost.currency) },
};

static void put_cost(struct buf *to, const void *row)
{
	const struct answer *a = row;

	if (a->cost.currency[0] == '\0')
		buf_text(to, "null");
	else
		object_write(to, cost_members, ARRAY_LEN(cost_members), a);
}

static void put_errors(struct buf *to, const void *row)
{
	const struct answer *a = row;

	if (a->e->errors.n == 0)
		buf_text(to, "[]");
	else
		buf_add(to, buf_slice(&a->e->errors));
}

static const struct json_member members[] = {
	{ "object", .literal = "\"batch.estimate\"" },
	{ "lines", A(lines) },
	{ "models", .write = put_models },
	{ "input_tokens", A(input_tokens) },
	{ "output_tokens", A(output_tokens) },
	{ "cost", .write = put_cost },
	{ "starts_at", A(starts_at), FORM_NULL_IF_ZERO },
	{ "eta_at", A(eta_at), FORM_NULL_IF_ZERO },
	{ "at_risk", A(at_risk) },
	{ "errors", .write = put_errors },
};

/* Of all lines together. */
static uint64_t tokens_whole(double tokens)
{
	return tokens < TOKENS_MOST ? (uint64_t)(tokens + 0.5) : (uint64_t)TOKENS_MOST;
}

/* Of all models together; not known where one has no price, or two are in different currencies. */
static void cost_add(struct api *api, const struct estimate_model *m, bool *known, struct cost *sum)
{
	const struct usage usage = { .input = tokens_whole(m->input_tokens),
				     .output = tokens_whole(m->output_tokens) };

	*known = *known && prices_add(&api->prices, m->name, &usage, sum);
}

/* What the forecast says is time in which it may send: it begins when it is open, and ends when it has
 * been open for as long. After its canary it waits for a person: nobody knows how long. */
static void times_fill(const struct batch *b, const struct opening *o, const struct estimate *e,
		       struct answer *a)
{
	int64_t turn_at = b->created_at + (int64_t)e->start_s;
	int64_t work_s = b->created_at + (int64_t)(e->end_s + 0.999) - turn_at;

	if (!e->told)
		return;
	a->starts_at = opening_next(o, turn_at);
	if (canary_holds(b->options.canary, e->lines))
		return;
	a->eta_at = opening_after(o, turn_at, work_s);
	if (a->eta_at == OPENING_NEVER)
		a->eta_at = 0;
	a->at_risk = a->eta_at == 0 || a->eta_at > b->expires_at;
}

static void answer_fill(struct api *api, const struct batch *b, const struct opening *o,
			const struct estimate *e, struct answer *a)
{
	bool known = e->model_count > 0;
	double input = 0, output = 0;

	*a = (struct answer){ .e = e, .lines = e->lines };
	for (unsigned i = 0; i < e->model_count; i++) {
		input += e->models[i].input_tokens;
		output += e->models[i].output_tokens;
		cost_add(api, &e->models[i], &known, &a->cost);
	}
	if (!known)
		a->cost = (struct cost){ 0 };
	a->input_tokens = tokens_whole(input);
	a->output_tokens = tokens_whole(output);
	times_fill(b, o, e, a);
}

/* As the batch would fail (contract 7.2). */
static bool input_is_missing(struct request *rq, const struct batch *b, struct http_response *r,
			     struct error *err)
{
	AUTO(estimate_done) struct estimate e = { .errors = BUF(4096) };
	char message[256];
	struct answer a;

	snprintf(message, sizeof(message),
		 "Cannot find file %s, or organization %s does not have access to it.",
		 b->input_file_id, rq->key.org);
	finding_json_one(&e.errors, &(struct finding){ .code = "invalid_request",
						       .param = "file_id",
						       .message = message });
	answer_fill(rq->api, b, &(struct opening){ 0 }, &e, &a);
	object_write(&r->body, members, ARRAY_LEN(members), &a);
	return !e.errors.failed || fail_memory(err);
}

static bool estimate_answer(struct request *rq, const struct batch *b, struct http_response *r,
			    struct error *err)
{
	AUTO(estimate_done) struct estimate e = { 0 };
	struct opening opening;
	unsigned weight;
	struct answer a;
	bool known; /* the zone, as it was when the options were read */

	if (!opening_read(&b->options, &opening, &known, err) ||
	    !store_org_weight(rq->api->store, rq->key.org, &weight, err) ||
	    !pipeline_estimate(rq->api->pipeline, b, weight, &e, err))
		return false;
	answer_fill(rq->api, b, &opening, &e, &a);
	object_write(&r->body, members, ARRAY_LEN(members), &a);
	return true;
}

bool estimate_get(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(batch_done) struct batch b = { 0 };
	uint64_t window_s;
	bool missing;

	if (!create_read(buf_slice(&rq->body), &rq->api->config, &b, &window_s, err))
		return false;
	memcpy(b.org, rq->key.org, sizeof(b.org));
	b.created_at = sys.now_s();
	b.expires_at = b.created_at + (int64_t)window_s;
	if (!batch_input_check(rq, &b, &missing, err))
		return false;
	return missing ? input_is_missing(rq, &b, r, err) : estimate_answer(rq, &b, r, err);
}

/* explain.c: the texts of findings. Only lines that a text quotes are read from the blob. */
#include "ingest/explain.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "batch/endpoint.h"

#define QUOTE_BYTES (EXPLAIN_QUOTE_MAX + 4) /* with "..." and a NUL */

bool explain_line_read(struct explainer *e, const struct index_record *r, struct line_facts *ret,
		       struct error *err)
{
	buf_clear(&e->line);
	if (!buf_reserve(&e->line, r->length))
		return fail_memory(err);
	if (!blob_read_at(e->blob, r->offset, e->line.p, r->length, err))
		return false;
	e->line.n = r->length;
	line_scan(buf_slice(&e->line), ret);
	return true;
}

/* What a character that is `step` bytes of text takes in a JSON string. */
static size_t json_bytes(const char *p, size_t step, bool valid)
{
	unsigned char first = (unsigned char)*p;

	if (!valid)
		return 3; /* U+FFFD */
	if (first < 0x20)
		return 6;
	return first == '"' || first == '\\' ? 2 : step;
}

/* `text`, fit for a message: whole characters, no NUL, and no more of them than
 * EXPLAIN_QUOTE_MAX bytes of JSON hold: a thousand findings that quote what a client made up
 * must not be megabytes (E8). */
static void quote(struct slice text, char to[static QUOTE_BYTES])
{
	size_t end = 0, cost = 0;

	while (end < text.n) {
		bool valid;
		size_t step = utf8_step(text.p + end, text.n - end, &valid);
		cost += json_bytes(text.p + end, step, valid);
		if (cost > EXPLAIN_QUOTE_MAX)
			break;
		memcpy(to + end, text.p[end] != '\0' ? text.p + end : "?", step);
		end += step;
	}
	snprintf(to + end, QUOTE_BYTES - end, "%s", end < text.n ? "..." : "");
}

/* The same of a string as it stands in the file. */
static void quote_raw(struct slice raw, char to[static QUOTE_BYTES])
{
	char text[EXPLAIN_QUOTE_MAX + 4]; /* with a whole character more than can be quoted */
	size_t n = json_decode(raw, text, sizeof(text));

	quote((struct slice){ text, n < sizeof(text) ? n : sizeof(text) }, to);
}

/* Each explain function fills e->message (and ->param) for one kind of finding. */

static bool explain_too_long(struct explainer *e, const struct index_record *r, struct error *err)
{
	uint64_t most = e->rules->line_bytes != 0 ? e->rules->line_bytes : LINE_BYTES_MOST;

	(void)r;
	(void)err;
	snprintf(e->message, sizeof(e->message),
		 "This line is longer than the limit of %llu bytes (limits.line_bytes).",
		 (unsigned long long)most);
	return true;
}

static bool explain_method(struct explainer *e, const struct index_record *r, struct error *err)
{
	struct line_facts facts;
	char method[QUOTE_BYTES];

	if (!explain_line_read(e, r, &facts, err))
		return false;
	quote_raw(facts.method, method);
	snprintf(e->message, sizeof(e->message),
		 "Invalid value: '%s'. Supported values are: 'POST'.", method);
	return true;
}

/* Contract 7.1: a whole URL is refused with the form that is wanted. */
static bool explain_url(struct explainer *e, const struct index_record *r, struct error *err)
{
	struct line_facts facts;
	struct slice url;

	if (r->url < e->summary->url_count) {
		url = slice_of(e->summary->urls[r->url]);
	} else {
		if (!explain_line_read(e, r, &facts, err))
			return false;
		url = facts.url; /* its scheme has nothing to escape */
	}
	char hint[128] = "";
	if (endpoint_is_url(url, NULL))
		snprintf(hint, sizeof(hint), " Write the path alone: '%.64s'.", e->endpoint);
	snprintf(e->message, sizeof(e->message),
		 "The URL provided for this request does not match the batch endpoint.%s", hint);
	return true;
}

static bool explain_stream(struct explainer *e, const struct index_record *r, struct error *err)
{
	(void)r;
	(void)err;
	snprintf(e->message, sizeof(e->message), "%sStreaming is not supported in the Batch API.",
		 strcmp(e->endpoint, CHAT) == 0 ? "Chat Completions: " : "");
	return true;
}

static bool explain_sampling(struct explainer *e, const struct index_record *r, struct error *err)
{
	struct line_facts facts;

	if (!explain_line_read(e, r, &facts, err))
		return false;
	const char *name = facts.sampling != NULL ? facts.sampling : "";
	snprintf(e->param, sizeof(e->param), "body.%s", name);
	snprintf(e->message, sizeof(e->message),
		 "The parameter '%s' cannot be set in a batch: leave it out.", name);
	return true;
}

static bool explain_duplicate(struct explainer *e, const struct index_record *r, struct error *err)
{
	char raw[UINT16_MAX], custom_id[QUOTE_BYTES];

	if (!blob_read_at(e->blob, r->offset + r->custom_id_offset, raw, r->custom_id_length, err))
		return false;
	quote_raw((struct slice){ raw, r->custom_id_length }, custom_id);
	snprintf(e->message, sizeof(e->message),
		 "The custom_id '%s' for this request is a duplicate of another request. "
		 "The custom_id parameter must be unique for each request in a batch.",
		 custom_id);
	return true;
}

const char *explain_model_listed(const struct explainer *e, uint16_t number)
{
	bool listed = number < INDEX_NAMES_MAX && number < e->summary->model_count;

	return listed ? e->summary->models[number] : NULL;
}

bool explain_model_read(struct explainer *e, const struct index_record *r,
			char to[static MODEL_BYTES], struct error *err)
{
	const char *listed = explain_model_listed(e, r->model);
	struct line_facts facts;

	if (listed != NULL) {
		snprintf(to, MODEL_BYTES, "%s", listed);
		return true;
	}
	if (!explain_line_read(e, r, &facts, err))
		return false;
	size_t n = json_decode(facts.model, to, MODEL_BYTES - 1);
	n = n < MODEL_BYTES ? n : MODEL_BYTES - 1;
	to[n] = '\0';
	for (char *nul = to; (nul = memchr(nul, '\0', n - (size_t)(nul - to))) != NULL;)
		*nul = '?';
	return true;
}

static bool model_quote(struct explainer *e, const struct index_record *r,
			char to[static QUOTE_BYTES], struct error *err)
{
	char model[MODEL_BYTES];

	if (!explain_model_read(e, r, model, err))
		return false;
	quote(slice_of(model), to);
	return true;
}

static bool explain_unserved(struct explainer *e, const struct index_record *r, struct error *err)
{
	char model[QUOTE_BYTES];

	if (!model_quote(e, r, model, err))
		return false;
	snprintf(e->message, sizeof(e->message),
		 "The provided model '%s' is not supported by the Batch API.", model);
	return true;
}

static bool explain_mixed(struct explainer *e, const struct index_record *r, struct error *err)
{
	char model[QUOTE_BYTES];

	if (!model_quote(e, r, model, err))
		return false;
	snprintf(e->message, sizeof(e->message),
		 "The model '%s' for this request does not match the rest of the batch. "
		 "Each batch must contain requests for a single model.",
		 model);
	return true;
}

static bool explain_too_many(struct explainer *e, const struct index_record *r, struct error *err)
{
	char model[QUOTE_BYTES];
	unsigned most = e->rules->models_max != 0 ? e->rules->models_max : INDEX_NAMES_MAX;

	if (!model_quote(e, r, model, err))
		return false;
	snprintf(
		e->message, sizeof(e->message),
		"The model '%s' for this request is one too many: the requests of a batch may name "
		"%u models, each of at most %d bytes.",
		model, most, INDEX_NAME_BYTES);
	return true;
}

/* Contract 7.2, in its order: of several faults of a line the first is told. */
static const struct {
	uint32_t fault;
	const char *code, *param, *message;
	/* where the text depends on the line; then `message` and maybe `param` are NULL */
	bool (*explain)(struct explainer *e, const struct index_record *r, struct error *err);
} line_faults[] = {
	{ LINE_NOT_JSON, "invalid_json_line", NULL, "This line is not parseable as valid JSON." },
	{ LINE_NOT_OBJECT, "invalid_request", NULL, "Each line must be a JSON dictionary object" },
	{ LINE_TOO_LONG, "invalid_request", NULL, NULL, explain_too_long },
	{ LINE_CUSTOM_ID_MISSING, "missing_required_parameter", "custom_id",
	  "Missing required parameter: 'custom_id'." },
	{ LINE_METHOD_MISSING, "missing_required_parameter", "method",
	  "Missing required parameter: 'method'." },
	{ LINE_URL_MISSING, "missing_required_parameter", "url",
	  "Missing required parameter: 'url'." },
	{ LINE_BODY_MISSING, "missing_required_parameter", "body",
	  "Missing required parameter: 'body'." },
	{ LINE_CUSTOM_ID_NOT_STRING, "invalid_type", "custom_id",
	  "Invalid type for 'custom_id': expected a string." },
	{ LINE_BODY_NOT_OBJECT, "invalid_type", "body",
	  "Invalid type for 'body': expected an object." },
	{ LINE_CUSTOM_ID_LENGTH, "invalid_value", "custom_id",
	  "Invalid 'custom_id': it must have 1 to 512 bytes." },
	{ LINE_METHOD_NOT_POST, "invalid_method", "method", NULL, explain_method },
	{ FAULT_URL_WRONG, "invalid_url", "url", NULL, explain_url },
	{ LINE_MODEL_MISSING, "invalid_request", "body.model", "Model parameter is required." },
	{ LINE_MESSAGES_MISSING, "invalid_request", "body.messages",
	  "Messages parameter is required." },
	{ LINE_STREAM, "streaming_unsupported", "body.stream", NULL, explain_stream },
	{ LINE_BACKGROUND, "background_unsupported", "body.background",
	  "Responses: Background mode is not supported in the Batch API." },
	{ LINE_SAMPLING, "invalid_value", NULL, NULL, explain_sampling },
	{ LINE_DUPLICATE_ID, "duplicate_custom_id", "custom_id", NULL, explain_duplicate },
	{ FAULT_MODEL_UNSERVED, "model_not_found", "body.model", NULL, explain_unserved },
	{ FAULT_MODEL_MIXED, "mismatched_model", "body.model", NULL, explain_mixed },
	{ FAULT_MODEL_TOO_MANY, "too_many_models", "body.model", NULL, explain_too_many },
};

/* The place in the file of what is no JSON. */
static bool fault_find(struct explainer *e, const struct index_record *r, struct finding *ret,
		       struct error *err)
{
	struct line_facts facts;

	if (!explain_line_read(e, r, &facts, err))
		return false;
	if (json_fault_find(buf_slice(&e->line), &e->fault))
		ret->fault = &e->fault;
	return true;
}

bool explain(struct explainer *e, const struct index_record *r, uint32_t faults,
	     struct finding *ret, struct error *err)
{
	size_t i = 0;

	while ((line_faults[i].fault & faults) == 0)
		i++;
	*ret = (struct finding){
		.code = line_faults[i].code,
		.line = r->line,
		.param = line_faults[i].param,
		.message = line_faults[i].message,
	};
	if (line_faults[i].explain != NULL && e->quotes) {
		e->param[0] = '\0';
		if (!line_faults[i].explain(e, r, err))
			return false;
		ret->message = e->message;
		if (e->param[0] != '\0')
			ret->param = e->param;
	}
	return line_faults[i].fault != LINE_NOT_JSON || !e->reasons || fault_find(e, r, ret, err);
}

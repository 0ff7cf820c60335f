/* verdict.c: contract 7.2 as a table, applied to what the index says.
 *
 * Most files are good, and the summary alone shows it: then no record is read. Otherwise the
 * records are gone through once, and only lines whose finding quotes them are read from the
 * blob. */
#include "ingest/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/json.h"
#include "base/utf8.h"
#include "batch/endpoint.h"

#define CHAT "/v1/chat/completions"
#define EMBEDDINGS "/v1/embeddings"
#define RESPONSES "/v1/responses"

#define FINDINGS_MAX 1000 /* that verdict_errors lists */
#define RECORDS_AT_ONCE 512

/* A custom_id, a model, a method inside a message: so many bytes of JSON, then it is cut off. */
#define QUOTE_MAX 128
#define QUOTE_BYTES (QUOTE_MAX + 4) /* with "..." and a NUL */

/* A model's name that an upstream is asked about; a longer one is cut off. */
#define MODEL_BYTES 513

/* Faults that a line has only in a batch, beside the flags that it brings along. */
enum {
	FAULT_URL_WRONG = 1 << LINE_FLAG_BITS,
	FAULT_MODEL_UNSERVED = FAULT_URL_WRONG << 1,
	FAULT_MODEL_MIXED = FAULT_URL_WRONG << 2,
};

struct judge {
	const struct blob_reader *blob;
	const struct verdict_rules *rules;
	const struct index_summary *summary;
	const char *endpoint;           /* its path, if there is such an endpoint */
	bool url_fits[INDEX_NAMES_MAX]; /* which of the summary's urls mean the endpoint */
	uint32_t fatal;                 /* flags and FAULT_* that make a line bad in this batch */
	bool unserved[INDEX_NAMES_MAX];
	bool some_unserved;

	/* the model that the lines must name: of the first line that has no other fault */
	bool reference_known;
	uint16_t reference;
	struct buf reference_text; /* raw, where it is INDEX_OTHER */

	uint64_t count; /* findings so far */
	uint64_t texts; /* so many of them are given to `each`; the others only counted */
	finding_fn each;
	void *ctx;
	bool reasons; /* with what is wrong with lines that are no JSON */

	struct buf line; /* the line last read */
	char message[QUOTE_MAX + 640];
	char param[64];
	struct json_fault fault;
};

/* ---- what a finding says ---- */

/* Reads the line from the blob and scans it again. *ret points into judge->line. */
static bool line_read(struct judge *j, const struct index_record *r, struct line_facts *ret,
		      struct error *err)
{
	buf_clear(&j->line);
	if (!buf_reserve(&j->line, r->length))
		return fail_memory(err);
	if (!blob_read_at(j->blob, r->offset, j->line.p, r->length, err))
		return false;
	j->line.n = r->length;
	line_scan(buf_slice(&j->line), ret);
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

/* `text`, fit for a message: whole characters, no NUL, and no more of them than QUOTE_MAX bytes of
 * JSON hold: a thousand findings that quote what a client made up must not be megabytes (E8). */
static void quote(struct slice text, char to[static QUOTE_BYTES])
{
	size_t end = 0, cost = 0;

	while (end < text.n) {
		bool valid;
		size_t step = utf8_step(text.p + end, text.n - end, &valid);
		cost += json_bytes(text.p + end, step, valid);
		if (cost > QUOTE_MAX)
			break;
		memcpy(to + end, text.p[end] != '\0' ? text.p + end : "?", step);
		end += step;
	}
	snprintf(to + end, QUOTE_BYTES - end, "%s", end < text.n ? "..." : "");
}

/* The same of a string as it stands in the file. */
static void quote_raw(struct slice raw, char to[static QUOTE_BYTES])
{
	char text[QUOTE_MAX + 4]; /* with a whole character more than can be quoted */
	size_t n = json_decode(raw, text, sizeof(text));

	quote((struct slice){ text, n < sizeof(text) ? n : sizeof(text) }, to);
}

/* Each explain function fills judge->message (and ->param) for one kind of finding. */

static bool explain_too_long(struct judge *j, const struct index_record *r, struct error *err)
{
	uint64_t most = j->rules->line_bytes != 0 ? j->rules->line_bytes : LINE_BYTES_MOST;

	(void)r;
	(void)err;
	snprintf(j->message, sizeof(j->message),
		 "This line is longer than the limit of %llu bytes (limits.line_bytes).",
		 (unsigned long long)most);
	return true;
}

static bool explain_method(struct judge *j, const struct index_record *r, struct error *err)
{
	struct line_facts facts;
	char method[QUOTE_BYTES];

	if (!line_read(j, r, &facts, err))
		return false;
	quote_raw(facts.method, method);
	snprintf(j->message, sizeof(j->message),
		 "Invalid value: '%s'. Supported values are: 'POST'.", method);
	return true;
}

/* Contract 7.1: a whole URL is refused with the form that is wanted. */
static bool explain_url(struct judge *j, const struct index_record *r, struct error *err)
{
	struct line_facts facts;
	struct slice url;

	if (r->url < j->summary->url_count) {
		url = slice_of(j->summary->urls[r->url]);
	} else {
		if (!line_read(j, r, &facts, err))
			return false;
		url = facts.url; /* its scheme has nothing to escape */
	}
	char hint[128] = "";
	if (endpoint_is_url(url, NULL))
		snprintf(hint, sizeof(hint), " Write the path alone: '%.64s'.", j->endpoint);
	snprintf(j->message, sizeof(j->message),
		 "The URL provided for this request does not match the batch endpoint.%s", hint);
	return true;
}

static bool explain_stream(struct judge *j, const struct index_record *r, struct error *err)
{
	(void)r;
	(void)err;
	snprintf(j->message, sizeof(j->message), "%sStreaming is not supported in the Batch API.",
		 strcmp(j->endpoint, CHAT) == 0 ? "Chat Completions: " : "");
	return true;
}

static bool explain_sampling(struct judge *j, const struct index_record *r, struct error *err)
{
	struct line_facts facts;

	if (!line_read(j, r, &facts, err))
		return false;
	const char *name = facts.sampling != NULL ? facts.sampling : "";
	snprintf(j->param, sizeof(j->param), "body.%s", name);
	snprintf(j->message, sizeof(j->message),
		 "The parameter '%s' cannot be set in a batch: leave it out.", name);
	return true;
}

static bool explain_duplicate(struct judge *j, const struct index_record *r, struct error *err)
{
	char raw[UINT16_MAX], custom_id[QUOTE_BYTES];

	if (!blob_read_at(j->blob, r->offset + r->custom_id_offset, raw, r->custom_id_length, err))
		return false;
	quote_raw((struct slice){ raw, r->custom_id_length }, custom_id);
	snprintf(j->message, sizeof(j->message),
		 "The custom_id '%s' for this request is a duplicate of another request. "
		 "The custom_id parameter must be unique for each request in a batch.",
		 custom_id);
	return true;
}

/* NULL: not listed in the summary. */
static const char *model_listed(const struct judge *j, uint16_t number)
{
	bool listed = number < INDEX_NAMES_MAX && number < j->summary->model_count;

	return listed ? j->summary->models[number] : NULL;
}

/* The line's model: from the summary, or from the line. */
static bool model_read(struct judge *j, const struct index_record *r, char to[static MODEL_BYTES],
		       struct error *err)
{
	const char *listed = model_listed(j, r->model);
	struct line_facts facts;

	if (listed != NULL) {
		snprintf(to, MODEL_BYTES, "%s", listed);
		return true;
	}
	if (!line_read(j, r, &facts, err))
		return false;
	size_t n = json_decode(facts.model, to, MODEL_BYTES - 1);
	n = n < MODEL_BYTES ? n : MODEL_BYTES - 1;
	to[n] = '\0';
	for (char *nul = to; (nul = memchr(nul, '\0', n - (size_t)(nul - to))) != NULL;)
		*nul = '?';
	return true;
}

static bool model_quote(struct judge *j, const struct index_record *r, char to[static QUOTE_BYTES],
			struct error *err)
{
	char model[MODEL_BYTES];

	if (!model_read(j, r, model, err))
		return false;
	quote(slice_of(model), to);
	return true;
}

static bool explain_unserved(struct judge *j, const struct index_record *r, struct error *err)
{
	char model[QUOTE_BYTES];

	if (!model_quote(j, r, model, err))
		return false;
	snprintf(j->message, sizeof(j->message),
		 "The provided model '%s' is not supported by the Batch API.", model);
	return true;
}

static bool explain_mixed(struct judge *j, const struct index_record *r, struct error *err)
{
	char model[QUOTE_BYTES];

	if (!model_quote(j, r, model, err))
		return false;
	snprintf(j->message, sizeof(j->message),
		 "The model '%s' for this request does not match the rest of the batch. "
		 "Each batch must contain requests for a single model.",
		 model);
	return true;
}

/* Contract 7.2, in its order: of several faults of a line the first is told. */
static const struct {
	uint32_t fault;
	const char *code, *param, *message;
	/* where the text depends on the line; then `message` and maybe `param` are NULL */
	bool (*explain)(struct judge *j, const struct index_record *r, struct error *err);
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
};

/* ---- what is wrong ---- */

static void tell(struct judge *j, const struct finding *finding)
{
	j->count++;
	if (j->each != NULL && j->count <= j->texts)
		j->each(j->ctx, finding);
}

/* A caller that gives no function only asks whether there is a finding. */
static bool satisfied(const struct judge *j)
{
	return j->each == NULL && j->count > 0;
}

static bool fault_tell(struct judge *j, const struct index_record *r, uint32_t faults,
		       struct error *err)
{
	size_t i = 0;

	while ((line_faults[i].fault & faults) == 0)
		i++;
	struct finding finding = {
		.code = line_faults[i].code,
		.line = r->line,
		.param = line_faults[i].param,
		.message = line_faults[i].message,
	};
	if (line_faults[i].explain != NULL && j->each != NULL && j->count < j->texts) {
		j->param[0] = '\0';
		if (!line_faults[i].explain(j, r, err))
			return false;
		finding.message = j->message;
		if (j->param[0] != '\0')
			finding.param = j->param;
	}
	if (line_faults[i].fault == LINE_NOT_JSON && j->reasons) {
		struct line_facts facts;
		if (!line_read(j, r, &facts, err))
			return false;
		if (json_fault_find(buf_slice(&j->line), &j->fault))
			finding.fault = &j->fault;
	}
	tell(j, &finding);
	return true;
}

/* Whether a line's url means the batch's endpoint, whichever way both are written (contract
 * 7.1). */
static bool url_fits(const struct judge *j, struct slice url)
{
	const char *path = endpoint_path(url);

	return path != NULL ? strcmp(path, j->endpoint) == 0 : slice_is(url, j->endpoint);
}

/* A line without a url is at home in every batch that does not insist on one. */
static bool url_is_wrong(struct judge *j, const struct index_record *r, bool *ret,
			 struct error *err)
{
	struct line_facts facts;

	*ret = false;
	if ((r->flags & (LINE_NOT_JSON | LINE_NOT_OBJECT | LINE_TOO_LONG | LINE_URL_MISSING)) != 0)
		return true;
	if (r->url < j->summary->url_count) {
		*ret = !j->url_fits[r->url];
		return true;
	}
	/* The url is among those that the summary has no room for. */
	if (!line_read(j, r, &facts, err))
		return false;
	char url[INDEX_NAME_BYTES];
	size_t n = json_decode(facts.url, url, sizeof(url));
	*ret = n > sizeof(url) || !url_fits(j, (struct slice){ url, n });
	return true;
}

static bool model_is_unserved(struct judge *j, const struct index_record *r, bool *ret,
			      struct error *err)
{
	char model[MODEL_BYTES];

	*ret = false;
	if (j->rules->model_served == NULL)
		return true;
	if (model_listed(j, r->model) != NULL) {
		*ret = j->unserved[r->model];
		return true;
	}
	if (!model_read(j, r, model, err))
		return false;
	*ret = !j->rules->model_served(j->rules->ctx, model);
	return true;
}

static bool model_is_mixed(struct judge *j, const struct index_record *r, bool *ret,
			   struct error *err)
{
	struct line_facts facts;

	*ret = j->reference_known && r->model != j->reference;
	if (r->model == INDEX_OTHER && (!j->reference_known || !*ret)) {
		if (!line_read(j, r, &facts, err))
			return false;
		if (!j->reference_known)
			buf_add(&j->reference_text, facts.model);
		else
			*ret = !json_same_string(facts.model, buf_slice(&j->reference_text));
	}
	if (!j->reference_known) {
		j->reference_known = true;
		j->reference = r->model;
	}
	return !j->reference_text.failed || fail_memory(err);
}

/* All that is wrong with a line in this batch. The models are looked at last and only in lines that
 * are good otherwise: the table names these faults last, too. */
static bool line_judge(struct judge *j, const struct index_record *r, uint32_t *ret_faults,
		       struct error *err)
{
	bool url_wrong, unserved, mixed;

	*ret_faults = record_flags(r) & j->fatal;
	if (!url_is_wrong(j, r, &url_wrong, err))
		return false;
	if (url_wrong)
		*ret_faults |= FAULT_URL_WRONG;
	if (*ret_faults != 0)
		return true;
	if (!model_is_unserved(j, r, &unserved, err))
		return false;
	if (unserved) {
		*ret_faults = FAULT_MODEL_UNSERVED;
		return true;
	}
	if (!model_is_mixed(j, r, &mixed, err))
		return false;
	if (mixed)
		*ret_faults = FAULT_MODEL_MIXED;
	return true;
}

static bool lines_judge(struct judge *j, const struct index *ix, struct error *err)
{
	struct index_record records[RECORDS_AT_ONCE];
	uint64_t lines = j->summary->lines;

	for (uint64_t first = 0; first < lines; first += RECORDS_AT_ONCE) {
		uint64_t left = lines - first;
		size_t n = left < RECORDS_AT_ONCE ? (size_t)left : RECORDS_AT_ONCE;

		if (!index_read(ix, first, records, n, err))
			return false;
		for (size_t i = 0; i < n; i++) {
			uint32_t faults;

			if (!line_judge(j, &records[i], &faults, err) ||
			    (faults != 0 && !fault_tell(j, &records[i], faults, err)))
				return false;
			if (satisfied(j))
				return true;
		}
	}
	return true;
}

/* ---- the file as a whole ---- */

/* Whether the summary already shows that no line can be bad. */
static bool summary_is_clean(const struct judge *j)
{
	const struct index_summary *s = j->summary;

	if ((s->flags_any & j->fatal) != 0 || s->url_overflow || s->model_overflow)
		return false;
	for (unsigned i = 0; i < s->url_count; i++)
		if (!j->url_fits[i])
			return false;
	return s->model_count <= 1 && !j->some_unserved;
}

static void too_many(struct judge *j, const char *things, uint64_t held, uint64_t most,
		     const char *setting)
{
	if (most == 0 || held <= most)
		return;
	snprintf(j->message, sizeof(j->message),
		 "The input file has %llu %s, more than the limit of %llu (%s).",
		 (unsigned long long)held, things, (unsigned long long)most, setting);
	tell(j, &(struct finding){ .code = "too_many_tasks", .message = j->message });
}

/* What a create would refuse, where there is none: in `lowtide check`. */
static void endpoint_judge(struct judge *j)
{
	AUTO(buf_free) struct buf refusal = BUF(sizeof(j->message) - 1);

	if (!j->rules->judges_endpoint || endpoint_in_profile(j->endpoint, j->rules->profile))
		return;
	endpoint_refusal(slice_of(j->endpoint), j->rules->profile, &refusal);
	(void)!slice_copy(buf_slice(&refusal), j->message, sizeof(j->message));
	tell(j, &(struct finding){
			.code = "invalid_value", .param = "endpoint", .message = j->message });
}

static bool file_judge(struct judge *j, const struct index *ix, struct error *err)
{
	const struct index_summary *s = j->summary;

	if (s->lines == 0) {
		tell(j, &(struct finding){ .code = "empty_file",
					   .message = "The input file is empty. Please ensure that "
						      "the batch contains at least one request." });
		return true;
	}
	endpoint_judge(j);
	too_many(j, "lines", s->lines, j->rules->lines_max, "limits.lines_per_file");
	if (strcmp(j->endpoint, EMBEDDINGS) == 0)
		too_many(j, "inputs over all its lines", s->inputs, j->rules->inputs_max,
			 "limits.inputs_per_file");
	if (satisfied(j) || summary_is_clean(j))
		return true;
	return lines_judge(j, ix, err);
}

/* ---- the rules of the batch ---- */

/* The path behind a url or an endpoint, if it is one; else its text. */
static const char *path_of(const char *text)
{
	const char *path = endpoint_path(slice_of(text));

	if (path == NULL)
		(void)endpoint_is_url(slice_of(text), &path);
	return path != NULL ? path : text;
}

/* `lowtide check` knows no batch: the file's first url speaks for all. */
static const char *endpoint_of(const struct verdict_rules *rules, const struct index_summary *s)
{
	if (rules->endpoint != NULL)
		return path_of(rules->endpoint);
	for (unsigned i = 0; i < s->url_count; i++)
		if (s->urls[i][0] != '\0')
			return path_of(s->urls[i]);
	return CHAT;
}

static uint32_t fatal_flags(const struct verdict_rules *rules, const char *endpoint)
{
	uint32_t fatal = LINE_NOT_JSON | LINE_NOT_OBJECT | LINE_TOO_LONG | LINE_CUSTOM_ID_MISSING |
			 LINE_CUSTOM_ID_NOT_STRING | LINE_CUSTOM_ID_LENGTH | LINE_METHOD_NOT_POST |
			 LINE_BODY_MISSING | LINE_BODY_NOT_OBJECT | LINE_MODEL_MISSING |
			 LINE_STREAM | LINE_DUPLICATE_ID;

	if (rules->strict_lines || rules->profile == PROFILE_OPENAI)
		fatal |= LINE_METHOD_MISSING | LINE_URL_MISSING;
	if (rules->refuse_sampling)
		fatal |= LINE_SAMPLING;
	if (strcmp(endpoint, CHAT) == 0)
		fatal |= LINE_MESSAGES_MISSING;
	if (strcmp(endpoint, RESPONSES) == 0)
		fatal |= LINE_BACKGROUND;
	return fatal;
}

static void judge_init(struct judge *j, const struct index *ix, const struct blob_reader *blob,
		       const struct verdict_rules *rules)
{
	const struct index_summary *s = index_summary(ix);

	*j = (struct judge){
		.blob = blob,
		.rules = rules,
		.summary = s,
		.endpoint = endpoint_of(rules, s),
		.reference_text = BUF(UINT32_MAX),
		.line = BUF(UINT32_MAX),
	};
	j->fatal = fatal_flags(rules, j->endpoint);
	for (unsigned i = 0; i < s->url_count; i++)
		j->url_fits[i] = url_fits(j, slice_of(s->urls[i]));
	for (unsigned i = 0; i < s->model_count && rules->model_served != NULL; i++) {
		j->unserved[i] = !rules->model_served(rules->ctx, s->models[i]);
		j->some_unserved |= j->unserved[i];
	}
}

/* As verdict_judge, but only the first `texts` findings are given to `each`, and the reasons only
 * if they are wanted. */
static bool judge(const struct index *ix, const struct blob_reader *blob,
		  const struct verdict_rules *rules, uint64_t texts, bool reasons, finding_fn each,
		  void *ctx, uint64_t *ret_count, struct error *err)
{
	struct judge j;

	judge_init(&j, ix, blob, rules);
	j.texts = texts;
	j.reasons = reasons;
	j.each = each;
	j.ctx = ctx;
	bool ok = file_judge(&j, ix, err);
	*ret_count = j.count;
	buf_free(&j.line);
	buf_free(&j.reference_text);
	return ok;
}

bool verdict_judge(const struct index *ix, const struct blob_reader *blob,
		   const struct verdict_rules *rules, finding_fn each, void *ctx,
		   uint64_t *ret_count, struct error *err)
{
	return judge(ix, blob, rules, UINT64_MAX, each != NULL, each, ctx, ret_count, err);
}

/* ---- as JSON ---- */

static void finding_format(void *ctx, const struct finding *finding)
{
	finding_json_add(ctx, finding);
}

bool verdict_errors(const struct index *ix, const struct blob_reader *blob,
		    const struct verdict_rules *rules, struct buf *to, uint64_t *ret_count,
		    struct error *err)
{
	buf_clear(to);
	if (!judge(ix, blob, rules, FINDINGS_MAX, false, finding_format, to, ret_count, err))
		return false;
	if (*ret_count > FINDINGS_MAX) {
		char message[128];

		snprintf(message, sizeof(message),
			 "The input file has %llu errors; the first %d of them are listed.",
			 (unsigned long long)*ret_count, FINDINGS_MAX);
		finding_json_add(to, &(struct finding){ .code = "too_many_errors",
							.message = message });
	}
	if (*ret_count > 0)
		finding_json_end(to);
	return !to->failed || fail_memory(err);
}

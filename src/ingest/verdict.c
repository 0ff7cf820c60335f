/* verdict.c: contract 7.2, applied to what the index says; the texts are explain.c.
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
#include "batch/endpoint.h"
#include "batch/override.h"
#include "ingest/explain.h"

#define EMBEDDINGS "/v1/embeddings"
#define RESPONSES "/v1/responses"

#define FINDINGS_MAX 1000 /* that verdict_errors lists */
#define RECORDS_AT_ONCE 512

struct judge {
	struct explainer explainer;     /* with the file, its summary and the rules */
	bool url_fits[INDEX_NAMES_MAX]; /* which of the summary's urls mean the endpoint */
	uint32_t fatal;                 /* flags and FAULT_* that make a line bad in this batch */
	bool unserved[INDEX_NAMES_MAX];
	bool some_unserved;
	bool model_set; /* the override names the model of all lines */

	/* the model that the lines must name: of the first line that has no other fault */
	bool reference_known;
	uint16_t reference;
	struct buf reference_text; /* raw, where it is INDEX_OTHER */
	/* where they may name several: which good lines have named, and how many these are */
	bool named[INDEX_NAMES_MAX];
	unsigned named_count;

	uint64_t count; /* findings so far */
	uint64_t texts; /* so many of them are given to `each`; the others only counted */
	finding_fn each;
	bad_line_fn bad; /* if not NULL, it is told in the place of `each` */
	void *ctx;
};

/* ---- lines ---- */

static void tell(struct judge *j, const struct finding *finding)
{
	j->count++;
	if (j->each != NULL && j->count <= j->texts)
		j->each(j->ctx, finding);
}

/* A caller that gives no function only asks whether there is a finding. */
static bool satisfied(const struct judge *j)
{
	return j->each == NULL && j->bad == NULL && j->count > 0;
}

static bool fault_tell(struct judge *j, uint64_t number, const struct index_record *r,
		       uint32_t faults, struct error *err)
{
	struct finding finding;

	j->explainer.quotes = j->bad != NULL || (j->each != NULL && j->count < j->texts);
	if (!explain(&j->explainer, r, faults, &finding, err))
		return false;
	tell(j, &finding);
	return j->bad == NULL || j->bad(j->ctx, number, r, &finding, err);
}

/* Whether a line's url means the batch's endpoint, whichever way both are written (contract
 * 7.1). */
static bool url_fits(const struct judge *j, struct slice url)
{
	const char *path = endpoint_path(url);

	return path != NULL ? strcmp(path, j->explainer.endpoint) == 0
			    : slice_is(url, j->explainer.endpoint);
}

/* A line without a url is at home in every batch that does not insist on one. */
static bool url_is_wrong(struct judge *j, const struct index_record *r, bool *ret,
			 struct error *err)
{
	struct line_facts facts;

	*ret = false;
	if ((r->flags & (LINE_NOT_JSON | LINE_NOT_OBJECT | LINE_TOO_LONG | LINE_URL_MISSING)) != 0)
		return true;
	if (r->url < j->explainer.summary->url_count) {
		*ret = !j->url_fits[r->url];
		return true;
	}
	/* The url is among those that the summary has no room for. */
	if (!explain_line_read(&j->explainer, r, &facts, err))
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
	if (j->explainer.rules->model_served == NULL)
		return true;
	if (explain_model_listed(&j->explainer, r->model) != NULL) {
		*ret = j->unserved[r->model];
		return true;
	}
	if (!explain_model_read(&j->explainer, r, model, err))
		return false;
	*ret = !j->explainer.rules->model_served(j->explainer.rules->ctx, model);
	return true;
}

static bool model_is_mixed(struct judge *j, const struct index_record *r, bool *ret,
			   struct error *err)
{
	struct line_facts facts;

	*ret = j->reference_known && r->model != j->reference;
	if (r->model == INDEX_OTHER && (!j->reference_known || !*ret)) {
		if (!explain_line_read(&j->explainer, r, &facts, err))
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

/* Of several models each one that a good line names takes its place, in the order of the file. */
static bool model_is_too_many(struct judge *j, uint16_t model)
{
	unsigned most = j->explainer.rules->models_max;

	if (model >= j->explainer.summary->model_count)
		return true; /* it cannot be told from others */
	if (j->named[model])
		return false;
	if (most != 0 && j->named_count == most)
		return true;
	j->named[model] = true;
	j->named_count++;
	return false;
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
	if (*ret_faults != 0 || j->model_set)
		return true;
	if (!model_is_unserved(j, r, &unserved, err))
		return false;
	if (unserved) {
		*ret_faults = FAULT_MODEL_UNSERVED;
		return true;
	}
	if (j->explainer.rules->mixed_models) {
		*ret_faults = model_is_too_many(j, r->model) ? FAULT_MODEL_TOO_MANY : 0;
		return true;
	}
	if (!model_is_mixed(j, r, &mixed, err))
		return false;
	if (mixed)
		*ret_faults = FAULT_MODEL_MIXED;
	return true;
}

static bool lines_judge(struct judge *j, const struct index *ix, uint64_t first, uint64_t end,
			struct error *err)
{
	struct index_record records[RECORDS_AT_ONCE];

	for (; first < end; first += RECORDS_AT_ONCE) {
		uint64_t left = end - first;
		size_t n = left < RECORDS_AT_ONCE ? (size_t)left : RECORDS_AT_ONCE;

		if (!index_read(ix, first, records, n, err))
			return false;
		for (size_t i = 0; i < n; i++) {
			uint32_t faults;

			if (!line_judge(j, &records[i], &faults, err) ||
			    (faults != 0 && !fault_tell(j, first + i, &records[i], faults, err)))
				return false;
			if (satisfied(j))
				return true;
		}
	}
	return true;
}

/* ---- the file as a whole ---- */

/* That the lines may name together. */
static unsigned models_most(const struct judge *j)
{
	const struct verdict_rules *rules = j->explainer.rules;

	if (!rules->mixed_models)
		return 1;
	return rules->models_max != 0 ? rules->models_max : INDEX_NAMES_MAX;
}

/* Whether the summary already shows that no line can be bad. */
static bool summary_is_clean(const struct judge *j)
{
	const struct index_summary *s = j->explainer.summary;

	if ((s->flags_any & j->fatal) != 0 || s->url_overflow ||
	    (s->model_overflow && !j->model_set))
		return false;
	for (unsigned i = 0; i < s->url_count; i++)
		if (!j->url_fits[i])
			return false;
	return j->model_set || (s->model_count <= models_most(j) && !j->some_unserved);
}

static void too_many(struct judge *j, const char *things, uint64_t held, uint64_t most,
		     const char *setting)
{
	if (most == 0 || held <= most)
		return;
	snprintf(j->explainer.message, sizeof(j->explainer.message),
		 "The input file has %llu %s, more than the limit of %llu (%s).",
		 (unsigned long long)held, things, (unsigned long long)most, setting);
	tell(j, &(struct finding){ .code = "too_many_tasks", .message = j->explainer.message });
}

/* What a create would refuse, where there is none: in `lowtide check`. */
static void endpoint_judge(struct judge *j)
{
	AUTO(buf_free) struct buf refusal = BUF(sizeof(j->explainer.message) - 1);

	if (!j->explainer.rules->judges_endpoint ||
	    endpoint_in_profile(j->explainer.endpoint, j->explainer.rules->profile))
		return;
	endpoint_refusal(slice_of(j->explainer.endpoint), j->explainer.rules->profile, &refusal);
	(void)!slice_copy(buf_slice(&refusal), j->explainer.message, sizeof(j->explainer.message));
	tell(j, &(struct finding){ .code = "invalid_value",
				   .param = "endpoint",
				   .message = j->explainer.message });
}

/* Kimi's rule, of what the override sets. */
static void sampling_judge(struct judge *j)
{
	static const char *const names[] = { "temperature", "top_p", "n", "presence_penalty",
					     "frequency_penalty" };
	const struct override *o = j->explainer.rules->override;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct slice value;
		enum json_type type = override_member(o, names[i], &value);
		if (type == JSON_BAD || type == JSON_NULL)
			continue;
		snprintf(j->explainer.message, sizeof(j->explainer.message),
			 "The parameter '%s' cannot be set in a batch: leave it out.", names[i]);
		tell(j, &(struct finding){ .code = "invalid_value",
					   .param = "lowtide.override",
					   .message = j->explainer.message });
		return;
	}
}

/* What would be wrong with each line is told once (contract 11.1). */
static bool override_judge(struct judge *j, struct error *err)
{
	const struct verdict_rules *rules = j->explainer.rules;
	AUTO(auto_free) char *model = override_text(rules->override, "model");

	if (j->model_set && model == NULL)
		return fail_memory(err);
	if (model != NULL && rules->model_served != NULL &&
	    !rules->model_served(rules->ctx, model)) {
		snprintf(j->explainer.message, sizeof(j->explainer.message),
			 "The provided model '%.128s' is not supported by the Batch API.", model);
		tell(j, &(struct finding){ .code = "model_not_found",
					   .param = "body.model",
					   .message = j->explainer.message });
	}
	if (rules->refuse_sampling && !satisfied(j))
		sampling_judge(j);
	return true;
}

static bool file_judge(struct judge *j, const struct index *ix, struct error *err)
{
	const struct index_summary *s = j->explainer.summary;

	if (s->lines == 0) {
		tell(j, &(struct finding){ .code = "empty_file",
					   .message = "The input file is empty. Please ensure that "
						      "the batch contains at least one request." });
		return true;
	}
	endpoint_judge(j);
	if (!override_judge(j, err))
		return false;
	too_many(j, "lines", s->lines, j->explainer.rules->lines_max, "limits.lines_per_file");
	if (strcmp(j->explainer.endpoint, EMBEDDINGS) == 0)
		too_many(j, "inputs over all its lines", s->inputs, j->explainer.rules->inputs_max,
			 "limits.inputs_per_file");
	if (satisfied(j) || summary_is_clean(j))
		return true;
	return lines_judge(j, ix, 0, s->lines, err);
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

static bool sets(const struct verdict_rules *rules, const char *name)
{
	struct slice value;

	return override_member(rules->override, name, &value) != JSON_BAD;
}

/* What the override sets is not missed, nor is the line's own looked at (contract 11.1). */
static uint32_t overridden_flags(const struct verdict_rules *rules)
{
	return (sets(rules, "model") ? LINE_MODEL_MISSING : 0) |
	       (sets(rules, "messages") ? LINE_MESSAGES_MISSING : 0) |
	       (sets(rules, "stream") ? LINE_STREAM : 0) |
	       (sets(rules, "background") ? LINE_BACKGROUND : 0);
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
	return fatal & ~overridden_flags(rules);
}

static void judge_init(struct judge *j, const struct index *ix, const struct blob_reader *blob,
		       const struct verdict_rules *rules)
{
	const struct index_summary *s = index_summary(ix);

	*j = (struct judge){
		.explainer = {
			.blob = blob,
			.rules = rules,
			.summary = s,
			.endpoint = endpoint_of(rules, s),
			.line = BUF(UINT32_MAX),
		},
		.reference_text = BUF(UINT32_MAX),
	};
	j->fatal = fatal_flags(rules, j->explainer.endpoint);
	j->model_set = sets(rules, "model");
	for (unsigned i = 0; i < s->url_count; i++)
		j->url_fits[i] = url_fits(j, slice_of(s->urls[i]));
	for (unsigned i = 0; i < s->model_count && rules->model_served != NULL && !j->model_set;
	     i++) {
		j->unserved[i] = !rules->model_served(rules->ctx, s->models[i]);
		j->some_unserved |= j->unserved[i];
	}
	for (unsigned i = 0; i < s->model_count && rules->model != NULL; i++) {
		if (strcmp(s->models[i], rules->model) != 0)
			continue;
		j->reference_known = true;
		j->reference = (uint16_t)i;
	}
}

static void judge_done(struct judge *j)
{
	buf_free(&j->explainer.line);
	buf_free(&j->reference_text);
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
	j.explainer.reasons = reasons;
	j.each = each;
	j.ctx = ctx;
	bool ok = file_judge(&j, ix, err);
	*ret_count = j.count;
	judge_done(&j);
	return ok;
}

/* That the good lines have named, if it is one; NULL: several, or one that is not listed. */
static const char *model_of_all(const struct judge *j)
{
	const struct index_summary *s = j->explainer.summary;
	unsigned i = 0;

	if (!j->explainer.rules->mixed_models)
		return j->reference_known && j->reference < s->model_count ? s->models[j->reference]
									   : NULL;
	while (i < s->model_count && !j->named[i])
		i++;
	return j->named_count == 1 ? s->models[i] : NULL;
}

bool verdict_bad_lines(const struct index *ix, const struct blob_reader *blob,
		       const struct verdict_rules *rules, uint64_t first, uint64_t end,
		       bad_line_fn each, void *ctx, struct verdict_lines *ret, struct error *err)
{
	const struct index_summary *s = index_summary(ix);
	struct judge j;

	judge_init(&j, ix, blob, rules);
	j.bad = each;
	j.ctx = ctx;
	bool clean = summary_is_clean(&j);
	bool ok = clean || lines_judge(&j, ix, first, end, err);
	*ret = (struct verdict_lines){
		.bad = j.count,
		.model = clean ? (s->model_count == 1 ? s->models[0] : NULL) : model_of_all(&j),
	};
	judge_done(&j);
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

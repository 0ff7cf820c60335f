/* estimate.c: see estimate.h. */
#include "pipeline/estimate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "batch/override.h"
#include "dispatch/foresee.h"
#include "ingest/verdict.h"
#include "pipeline/input.h"

#define PIECE 512u              /* records that are read at once */
#define SAMPLES 32u             /* lines that are read for their max_tokens */
#define SAMPLE_BYTES 65536u     /* of a longer line that is not looked for */
#define BYTES_A_TOKEN 4.0       /* until lines of the model have said */
#define OUTPUT_TOKENS 512.0     /* of a line that does not bound them */
#define BOUND_MOST (1ull << 32) /* of a line: more is not believed */
#define LEARNT_LEAST 8u         /* lines before what they took is believed */

struct estimating {
	struct input input;
	const struct batch *b;
	struct dispatch *dispatch;
	struct override *override;
	char *override_model;
	unsigned org_weight;
	uint64_t bad;
	struct estimate *e;
};

/* ---- how many lines of which model ---- */

static bool models_begin(struct estimating *g, struct error *err)
{
	const struct index_summary *s = index_summary(g->input.index);
	unsigned n = g->override_model != NULL ? 1 : s->model_count;

	g->e->models = calloc(n > 0 ? n : 1, sizeof(*g->e->models));
	if (g->e->models == NULL)
		return fail_memory(err);
	for (unsigned i = 0; i < n; i++)
		snprintf(g->e->models[i].name, sizeof(g->e->models[i].name), "%s",
			 g->override_model != NULL ? g->override_model : s->models[i]);
	g->e->model_count = n;
	return true;
}

static void model_add(struct estimating *g, unsigned model, uint64_t lines, uint64_t bytes)
{
	if (g->override_model != NULL)
		model = 0;
	if (model >= g->e->model_count)
		return;
	g->e->models[model].lines += lines;
	g->e->models[model].body_bytes += bytes;
}

/* A file of one model says it in its summary. */
static bool models_count(struct estimating *g, struct error *err)
{
	const struct index_summary *s = index_summary(g->input.index);
	struct index_record records[PIECE];

	if (g->e->model_count == 1 && !s->model_overflow) {
		model_add(g, 0, s->lines, s->body_bytes);
		return true;
	}
	for (uint64_t at = 0; at < s->lines; at += PIECE) {
		size_t n = s->lines - at < PIECE ? (size_t)(s->lines - at) : PIECE;
		if (!index_read(g->input.index, at, records, n, err))
			return false;
		for (size_t i = 0; i < n; i++)
			model_add(g, records[i].model, 1, records[i].body_length);
	}
	return true;
}

/* ---- max_tokens ---- */

static bool bound_find(struct slice body, double *ret)
{
	struct json j;
	struct slice key, value;
	uint64_t bound;
	bool found = false;

	json_init(&j, body);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &key)) {
		bool is_bound = json_key_is(key, "max_tokens") ||
				json_key_is(key, "max_completion_tokens") ||
				json_key_is(key, "max_output_tokens");
		bool is_number = json_peek(&j) == JSON_NUMBER;
		if (!json_skip(&j, &value))
			return found;
		if (!is_bound || !is_number || !json_u64(value, &bound))
			continue;
		*ret = (double)(bound < BOUND_MOST ? bound : BOUND_MOST);
		found = true;
	}
	return found;
}

static bool override_bound(const struct estimating *g, double *ret)
{
	static const char *const names[] = { "max_tokens", "max_completion_tokens",
					     "max_output_tokens" };
	struct slice value;
	uint64_t bound;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (override_member(g->override, names[i], &value) == JSON_NUMBER &&
		    json_u64(value, &bound)) {
			*ret = (double)(bound < BOUND_MOST ? bound : BOUND_MOST);
			return true;
		}
	return false;
}

/* The bodies of a few lines, spread over the file. */
static bool bound_sample(struct estimating *g, double *ret, struct error *err)
{
	const uint64_t lines = index_summary(g->input.index)->lines;
	uint64_t step = lines / SAMPLES > 0 ? lines / SAMPLES : 1;
	AUTO(auto_free) char *bytes = malloc(SAMPLE_BYTES);
	double sum = 0, one;
	unsigned n = 0;

	if (bytes == NULL)
		return fail_memory(err);
	for (uint64_t at = 0; at < lines && n < SAMPLES; at += step) {
		struct index_record r;
		if (!index_read(g->input.index, at, &r, 1, err))
			return false;
		if (r.body_length == 0 || r.body_length > SAMPLE_BYTES)
			continue;
		if (!blob_read_at(g->input.blob, r.offset + r.body_offset, bytes, r.body_length,
				  err))
			return false;
		one = OUTPUT_TOKENS;
		(void)bound_find((struct slice){ bytes, r.body_length }, &one);
		sum += one;
		n++;
	}
	*ret = n > 0 ? sum / n : OUTPUT_TOKENS;
	return true;
}

/* Answers of these hold no text. */
static bool is_without_output(const char *endpoint)
{
	static const char *const words[] = { "embeddings", "moderations", "rerank", "score" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strstr(endpoint, words[i]) != NULL)
			return true;
	return false;
}

static bool output_unlearnt(struct estimating *g, double *ret, struct error *err)
{
	*ret = 0;
	return is_without_output(g->b->endpoint) || override_bound(g, ret) ||
	       bound_sample(g, ret, err);
}

/* ---- tokens and times ---- */

/* Those that are bad, and left out, are of all models alike. */
static void bad_leave_out(struct estimating *g, uint64_t all)
{
	for (unsigned i = 0; all > 0 && i < g->e->model_count; i++) {
		struct estimate_model *m = &g->e->models[i];
		double good = (double)(all - g->bad) / (double)all;
		m->lines = (uint64_t)((double)m->lines * good + 0.5);
		m->body_bytes = (uint64_t)((double)m->body_bytes * good + 0.5);
	}
}

static bool model_foresee(struct estimating *g, struct estimate_model *m, double unlearnt,
			  struct error *err)
{
	const struct schedule_asked asked = {
		.org = g->b->org,
		.org_weight = g->org_weight,
		.expires_at = g->b->expires_at,
		.lines = m->lines,
		.bytes = m->body_bytes,
	};
	struct foreseen f;

	if (!dispatch_foresee(g->dispatch, m->name, &asked, &f, err))
		return false;
	bool learnt = f.learnt >= LEARNT_LEAST && f.bytes_per_token > 0;
	m->input_tokens = (double)m->body_bytes / (learnt ? f.bytes_per_token : BYTES_A_TOKEN);
	m->output_tokens = (double)m->lines * (learnt ? f.output_tokens : unlearnt);
	m->told = f.told;
	m->start_s = f.start_s;
	m->end_s = f.end_s;
	return true;
}

/* Each model's lines follow their own schedule: the batch begins with the first, and ends with the
 * last. */
static bool models_foresee(struct estimating *g, struct error *err)
{
	struct estimate *e = g->e;
	double unlearnt;

	if (!output_unlearnt(g, &unlearnt, err))
		return false;
	e->told = e->model_count > 0;
	for (unsigned i = 0; i < e->model_count; i++) {
		struct estimate_model *m = &e->models[i];
		if (!model_foresee(g, m, unlearnt, err))
			return false;
		e->told = e->told && m->told;
		e->start_s = i == 0 ? m->start_s : fmin(e->start_s, m->start_s);
		e->end_s = fmax(e->end_s, m->end_s);
	}
	return true;
}

/* ---- the whole ---- */

static bool model_served(void *ctx, const char *model)
{
	return dispatch_serves(ctx, model);
}

static bool judge(struct estimating *g, const struct verdict_rules *of_all, struct error *err)
{
	struct verdict_rules rules = *of_all;

	rules.endpoint = g->b->endpoint;
	rules.model_served = model_served;
	rules.ctx = g->dispatch;
	rules.mixed_models = g->b->options.mixed_models;
	rules.models_max = BATCH_MODELS_MAX;
	rules.override = g->override;
	return verdict_errors(g->input.index, g->input.blob, &rules, &g->e->errors, &g->bad, err);
}

static bool estimate_make(struct estimating *g, const struct verdict_rules *rules,
			  struct error *err)
{
	if (!input_open(&g->input, rules->line_bytes, err) || !judge(g, rules, err))
		return false;
	uint64_t all = index_summary(g->input.index)->lines;
	g->bad = g->bad < all ? g->bad : all;
	g->e->lines = g->b->options.skip_invalid ? all - g->bad : all;
	if (!models_begin(g, err) || !models_count(g, err))
		return false;
	if (g->b->options.skip_invalid)
		bad_leave_out(g, all);
	return models_foresee(g, err);
}

bool estimate_run(const struct estimate_call *call, const struct batch *b, unsigned org_weight,
		  struct estimate *ret, struct error *err)
{
	struct estimating g = {
		.input = { .blobs = call->blobs, .file_id = b->input_file_id, .batch_id = "" },
		.b = b,
		.dispatch = call->dispatch,
		.org_weight = org_weight,
		.e = ret,
	};
	struct slice model;
	bool ok = true;
	unsigned n;

	*ret = (struct estimate){ .errors = BUF(16u << 20) };
	if (b->options.override != NULL) {
		g.override = override_new(b->options.override, &n);
		if (g.override == NULL)
			return fail_memory(err);
		g.override_model = override_text(g.override, "model");
		ok = g.override_model != NULL ||
		     override_member(g.override, "model", &model) == JSON_BAD || fail_memory(err);
	}
	ok = ok && estimate_make(&g, call->rules, err);
	input_close(&g.input);
	override_free(g.override);
	free(g.override_model);
	return ok && (!ret->errors.failed || fail_memory(err));
}

void estimate_done(struct estimate *e)
{
	free(e->models);
	e->models = NULL;
	buf_free(&e->errors);
}

/* validate.c: the input of a new batch is judged, once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"
#include "batch/finding.h"
#include "ingest/verdict.h"
#include "pipeline/cluster.h"
#include "pipeline/coordinator_impl.h"
#include "pipeline/span_cut.h"

#define JUDGE_TRIES 3 /* while the models that are served change */

static bool model_served(void *ctx, const char *model)
{
	return dispatch_serves(ctx, model);
}

static void too_many_tell(const struct coordinator *c, const char *model, const char *what,
			  uint64_t limit, struct buf *errors)
{
	char message[512], code[32];

	if (model == NULL)
		model = "batches of several models";
	snprintf(code, sizeof(code), "%s_limit_exceeded", what);
	snprintf(message, sizeof(message),
		 "Enqueued %s limit reached for %s in organization %s. Limit: %llu enqueued %ss. "
		 "Please try again once some in_progress batches have been completed "
		 "(limits.enqueued_%ss).",
		 what, model, c->batch.org, (unsigned long long)limit, what, what);
	finding_json_one(errors, &(struct finding){ .code = code, .message = message });
}

/* Contract 7.2, token_limit_exceeded and request_limit_exceeded: only if configured. `model` NULL:
 * what waits in other batches without one, that is of several models. */
static bool enqueued_judge(struct coordinator *c, const char *model, uint64_t tokens,
			   struct buf *errors, struct error *err)
{
	const uint64_t requests_max = c->env->config->enqueued_requests_max;
	const uint64_t tokens_max = c->env->config->enqueued_tokens_max;
	uint64_t requests, waiting_tokens;

	if (requests_max == 0 && tokens_max == 0)
		return true;
	if (!store_batches_enqueued(c->env->store, c->batch.org, model, c->id, &requests,
				    &waiting_tokens, err))
		return false;
	if (tokens_max > 0 && waiting_tokens + tokens > tokens_max)
		too_many_tell(c, model, "token", tokens_max, errors);
	else if (requests_max > 0 && requests + c->lines > requests_max)
		too_many_tell(c, model, "request", requests_max, errors);
	return true;
}

/* The bad lines get their records. Which these are is judged once more: where the models that are
 * served changed in between, *count and `errors` follow. Still another count then than *count: the
 * file as a whole is bad. */
static bool bad_lines_record(struct coordinator *c, const struct verdict_rules *rules,
			     uint64_t *count, struct buf *errors, struct verdict_lines *ret,
			     struct error *err)
{
	for (unsigned n = 0; n < JUDGE_TRIES; n++) {
		uint64_t before = *count;
		if (!skip_first(c, rules, ret, err))
			return false;
		if (ret->bad == before)
			break;
		if (!verdict_errors(c->files.input.index, c->files.input.blob, rules, errors, count,
				    err))
			return false;
		if (*count == before || *count == 0)
			break;
	}
	return true;
}

/* A batch that leaves out bad lines (contract 11.1) goes on with the good ones, unless there is
 * none, or the file as a whole is bad. `count`: what was found, lines and file. */
static bool bad_lines_skip(struct coordinator *c, const struct verdict_rules *rules, uint64_t count,
			   struct buf *errors, const char **ret_model, struct error *err)
{
	struct verdict_lines lines;

	if (!bad_lines_record(c, rules, &count, errors, &lines, err))
		return false;
	bool good = count > 0 && lines.bad == count && lines.bad < c->lines;
	if (!good) {
		skip_forget(c);
		return true;
	}
	log_info("batch.lines_skipped", kv_str("batch", c->id), kv_u64("lines", lines.bad));
	buf_clear(errors);
	if (c->override_model == NULL)
		*ret_model = lines.model;
	return true;
}

/* Judges the input; `errors` stays empty when it is good. *ret_model: of all lines that will run,
 * in the index or the override; NULL: they name several, or one that is not listed there. */
static bool input_judge(struct coordinator *c, struct buf *errors, const char **ret_model,
			struct error *err)
{
	char message[256];

	if (c->batch.input_missing) {
		snprintf(message, sizeof(message),
			 "Cannot find file %s, or organization %s does not have access to it.",
			 c->batch.input_file_id, c->batch.org);
		finding_json_one(errors, &(struct finding){ .code = "invalid_request",
							    .param = "file_id",
							    .message = message });
		return true;
	}
	if (!coordinator_open_input(c, err))
		return false;
	struct verdict_rules rules = c->env->config->rules;
	rules.endpoint = c->batch.endpoint;
	rules.model_served = model_served;
	rules.ctx = c->env->dispatch;
	rules.mixed_models = c->batch.options.mixed_models;
	rules.models_max = BATCH_MODELS_MAX;
	rules.override = c->override;
	uint64_t count;
	if (!verdict_errors(c->files.input.index, c->files.input.blob, &rules, errors, &count, err))
		return false;
	const struct index_summary *s = index_summary(c->files.input.index);
	*ret_model = c->override_model != NULL ? c->override_model
		     : s->model_count == 1     ? s->models[0]
					       : NULL;
	if (count > 0 && c->batch.options.skip_invalid &&
	    !bad_lines_skip(c, &rules, count, errors, ret_model, err))
		return false;
	if (errors->n > 0 || (*ret_model == NULL && !rules.mixed_models))
		return true;
	return enqueued_judge(c, *ret_model, s->body_bytes / BYTES_PER_TOKEN, errors, err);
}

/* in_progress: in the store, and as the coordinator knows it. */
static bool batch_start(struct coordinator *c, const char *model, int64_t now, bool *ret_started,
			struct error *err)
{
	const struct index_summary *s = index_summary(c->files.input.index);
	const struct span_input input = { c->lines, s->body_bytes, s->prefixes };

	id_file(c->batch.output_file_id);
	id_file(c->batch.error_file_id);
	if (c->env->cluster != NULL && !cluster_cut(c->env->cluster, &c->batch, &input, err))
		return false;
	if (!store_batch_start(c->env->store, c->id, c->lines, s->body_bytes / BYTES_PER_TOKEN,
			       model, c->batch.output_file_id, c->batch.error_file_id, now,
			       ret_started, err))
		return false;
	if (!*ret_started)
		skip_forget(c);
	c->batch.status = BATCH_IN_PROGRESS;
	c->batch.counts.total = c->lines;
	free(TAKE(c->batch.model));
	if (model != NULL)
		c->batch.model = strdup(model);
	return model == NULL || c->batch.model != NULL || fail_memory(err);
}

bool batch_validate(struct coordinator *c, bool *ret_started, struct error *err)
{
	AUTO(buf_free) struct buf errors = BUF(16u << 20);
	const char *model = NULL;
	int64_t now = sys.now_s();
	bool moved;

	*ret_started = false;
	if (now >= c->batch.expires_at && c->env->time_is_good(c->env->ctx))
		return store_batch_move(c->env->store, c->id, 1u << BATCH_VALIDATING, BATCH_EXPIRED,
					now, &moved, err);
	if (!input_judge(c, &errors, &model, err))
		return false;
	buf_char(&errors, '\0');
	if (errors.failed)
		return fail_memory(err);
	if (errors.n > 1) {
		skip_forget(c);
		log_info("batch.failed", kv_str("batch", c->id), kv_str("why", "validation"));
		return store_batch_fail(c->env->store, c->id, errors.p, now, &moved, err);
	}
	return batch_start(c, model, now, ret_started, err);
}

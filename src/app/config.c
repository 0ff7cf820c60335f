/* config.c: puts the configuration together, layer over layer.
 *
 * Every setting is first kept as the text it was given, with its origin: each text is checked where
 * it is met, so that a mistake in the file is reported even if a flag wins over it. The texts
 * become values at the end, when the profile, and with it the defaults, is known. */
#include "app/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_impl.h"
#include "app/nodes.h"
#include "app/version.h"
#include "base/duration.h"
#include "store/store.h"

/* ---- what fits together ---- */

static bool check_windows(const struct config *c, struct error *err)
{
	const struct given *least = given_by_key(c, "limits.window_min");
	const struct given *most = given_by_key(c, "limits.window_max");
	char least_text[24], most_text[24];

	if (c->window_min_s <= c->window_max_s)
		return true;
	duration_format(c->window_min_s, least_text);
	duration_format(c->window_max_s, most_text);
	/* Of the two, the setting of the higher layer is at fault: it was chosen. */
	if (most->origin.layer >= least->origin.layer)
		return fail_at(err, &most->origin, "limits.window_max",
			       "%s is less than limits.window_min, which is %s", most_text,
			       least_text);
	return fail_at(err, &least->origin, "limits.window_min",
		       "%s is more than limits.window_max, which is %s", least_text, most_text);
}

static bool check_store(const struct config *c, struct error *err)
{
	struct error why;

	return c->store == NULL || store_url_check(c->store, &why) ||
	       fail_at(err, &given_by_key(c, "store")->origin, "store", "%s", why.message);
}

/* ---- texts become values ---- */

/* Whether the setting has the vendor's figure, because it is not set anywhere (contract 3.3). */
static bool is_vendors(const struct config *c, const struct setting *s)
{
	return c->vendor_limits && s->vendor[c->profile] != NULL && given_of(c, s)->text == NULL;
}

static const char *effective_text(const struct config *c, const struct setting *s)
{
	const struct given *g = given_of(c, s);

	if (is_vendors(c, s))
		return s->vendor[c->profile];
	return g->text != NULL ? g->text : s->initial[c->profile];
}

static bool finish(struct config *c, struct error *err)
{
	const struct setting *profile = setting_find(settings, setting_count, "profile");
	const struct setting *vendor = setting_find(settings, setting_count, "limits.vendor");

	/* They decide the others' defaults; their own are the same in both profiles. */
	if (!setting_read(profile, effective_text(c, profile), &c->profile) ||
	    !setting_read(vendor, effective_text(c, vendor), &c->vendor_limits))
		return fail_memory(err);
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		const char *text = effective_text(c, s);
		/* Its text was checked when it was given, so only memory can be short. */
		if (s->type != SETTING_UPSTREAMS && s->type != SETTING_PRICES &&
		    s->type != SETTING_WEBHOOKS && text != NULL &&
		    !setting_read(s, text, setting_member(s, c)))
			return fail_memory(err);
	}
	return check_windows(c, err) && check_store(c, err) && upstreams_finish(c, err) &&
	       webhooks_finish(c, err) && prices_finish(c, err);
}

static bool load(struct config *c, const char *file, const struct config_flag *flags,
		 size_t flag_count, struct error *err)
{
	c->given = calloc(setting_count, sizeof(*c->given));
	if (c->given == NULL || (file != NULL && (c->file = strdup(file)) == NULL))
		return fail_memory(err);
	return (file == NULL || config_read_file(c, err)) && config_read_environment(c, err) &&
	       config_read_flags(c, flags, flag_count, err) && finish(c, err);
}

bool config_read_keys(struct config *c, struct error *err)
{
	return upstreams_read_keys(c, err) && webhooks_read_keys(c, err);
}

bool config_load(const char *file, const struct config_flag *flags, size_t flag_count,
		 struct config *ret, struct error *err)
{
	*ret = (struct config){ 0 };
	if (load(ret, file, flags, flag_count, err))
		return true;
	config_done(ret);
	return false;
}

void config_done(struct config *c)
{
	upstreams_clear(c);
	webhooks_clear(c);
	prices_clear(c);
	for (size_t i = 0; c->given != NULL && i < setting_count; i++)
		free(c->given[i].text);
	free(c->given);
	free(c->data);
	free(c->store);
	free(c->tracing_endpoint);
	free(c->blobs_url);
	free(c->blobs_endpoint);
	free(c->blobs_region);
	free(c->blobs_credentials_file);
	free(c->blobs_encryption);
	free(c->blobs_ca_file);
	free(c->ca_file);
	free(c->cert_file);
	free(c->key_file);
	free(c->webhook_ca_file);
	free(c->file);
	*c = (struct config){ 0 };
}

/* ---- showing it ---- */

static void print_origin(const struct config *c, const struct setting *s, FILE *to)
{
	const struct origin *o = &given_of(c, s)->origin;
	char place[WHERE_SIZE];

	if (o->layer == LAYER_DEFAULT)
		snprintf(place, sizeof(place), is_vendors(c, s) ? "limits.vendor" : "default");
	else if (o->layer == LAYER_FILE)
		snprintf(place, sizeof(place), "%.200s:%" PRIu64, o->name, o->line);
	else
		where(o, s->key, place);
	fprintf(to, "  # %s\n", place);
}

static void print_limits(const struct config *c, const struct upstream_setting *u, FILE *to)
{
	uint64_t fixed = upstream_fixed(c, u);

	if (fixed > 0)
		fprintf(to, ", concurrency: %" PRIu64, fixed);
	else
		fprintf(to, ", concurrency: auto, at most %" PRIu64, upstream_max(c, u));
	if (u->weight != 1)
		fprintf(to, ", weight: %" PRIu64, u->weight);
	if (u->requests_per_minute > 0)
		fprintf(to, ", requests_per_minute: %" PRIu64, u->requests_per_minute);
	if (u->tokens_per_minute > 0)
		fprintf(to, ", tokens_per_minute: %" PRIu64, u->tokens_per_minute);
}

static void print_upstream(const struct config *c, const struct upstream_setting *u, FILE *to)
{
	const char *key_at = u->api_key_env != NULL    ? u->api_key_env
			     : u->api_key_file != NULL ? u->api_key_file
						       : "none";

	fprintf(to, "  %s: %s, key: %s, models:", u->name, u->url, key_at);
	for (char **m = u->models; m != NULL && *m != NULL; m++)
		fprintf(to, " %s", *m);
	fputs(u->models == NULL ? " any" : "", to);
	if (u->ca_file != NULL)
		fprintf(to, ", ca_file: %s", u->ca_file);
	if (u->cert_file != NULL)
		fprintf(to, ", cert_file: %s", u->cert_file);
	print_limits(c, u, to);
	if (u->metrics != GAUGES_AUTO)
		fprintf(to, ", metrics: %s", gauges_kind_words[u->metrics]);
	if (u->has_priority)
		fprintf(to, ", priority: %" PRId64, u->priority);
	fprintf(to, "%s\n", u->drain ? ", drain: true" : "");
}

static void print_upstreams(const struct config *c, FILE *to)
{
	for (size_t i = 0; i < c->upstream_count; i++)
		print_upstream(c, &c->upstreams[i], to);
}

void config_print(const struct config *c, FILE *to)
{
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		bool upstreams = s->type == SETTING_UPSTREAMS;
		const char *text = upstreams ? NULL : effective_text(c, s);
		fprintf(to, "%s:%s%s", s->key, text != NULL ? " " : "", text != NULL ? text : "");
		print_origin(c, s, to);
		if (upstreams)
			print_upstreams(c, to);
		if (s->type == SETTING_PRICES)
			prices_print(c, to);
		if (s->type == SETTING_WEBHOOKS)
			webhooks_print(c, to);
	}
}

/* ---- the parts ---- */

struct ingest_limits config_limits(const struct config *c)
{
	return (struct ingest_limits){
		.profile = (enum profile)c->profile,
		.file_bytes = c->file_bytes,
		.line_bytes = c->line_bytes,
	};
}

struct verdict_rules config_rules(const struct config *c)
{
	return (struct verdict_rules){
		.profile = (enum profile)c->profile,
		.strict_lines = c->strict_lines,
		.refuse_sampling = c->refuse_sampling,
		.lines_max = c->lines_per_file,
		.inputs_max = c->inputs_per_file,
		.line_bytes = c->line_bytes,
	};
}

struct pipeline_config config_pipeline(const struct config *c)
{
	return (struct pipeline_config){
		.upstreams = c->ready_upstreams,
		.upstream_count = c->upstream_count,
		.max_attempts = (unsigned)c->max_attempts,
		.patience_ms = c->patience_s * 1000,
		.line_timeout_ms = c->line_timeout_s * 1000,
		.response_bytes_max = c->response_bytes,
		.libcurl = c->client == CLIENT_LIBCURL,
		.drain_ms = c->drain_s * 1000,
		.memory_bytes = c->memory,
		.online_waiting_max = (unsigned)c->max_waiting,
		.rules = config_rules(c),
		.enqueued_requests_max = c->enqueued_requests,
		.enqueued_tokens_max = c->enqueued_tokens,
		.org_queue = { .requests = c->org_enqueued_requests,
			       .tokens = c->org_enqueued_tokens },
		.org_tokens_per_day = c->org_tokens_per_day,
		.result_expires_after_s = c->result_files_s,
		.lost_after_s = c->lost_s,
		.sweep_ms = c->sweep_s * 1000,
	};
}

/* Kimi's shortest window, below which windows need smaller units than its API knows. */
#define WINDOW_HOURS_FROM_S (UINT64_C(12) * 3600)

struct window_rule config_windows(const struct config *c)
{
	return (struct window_rule){
		.min_s = c->window_min_s,
		.max_s = c->window_max_s,
		.seconds_and_minutes = c->window_min_s < WINDOW_HOURS_FROM_S,
		.only_24h = c->profile == PROFILE_OPENAI &&
			    config_is_default(c, "limits.window_min") &&
			    config_is_default(c, "limits.window_max"),
	};
}

struct webhooks_config config_webhooks(const struct config *c)
{
	return (struct webhooks_config){
		.allow_private = c->webhooks_private,
		.timeout_ms = c->webhook_timeout_s * 1000,
		.user_agent = "lowtide",
		.tls.ca = c->ready_webhook_ca,
		.endpoints = c->ready_webhooks,
		.endpoint_count = c->webhook_count,
	};
}

struct api_config config_api(const struct config *c)
{
	return (struct api_config){
		.profile = (enum profile)c->profile,
		.windows = config_windows(c),
		.limits = config_limits(c),
		.upload_bytes = c->upload_bytes,
		.org_limits = { [LIMIT_FILES] = c->org_files,
				[LIMIT_BYTES] = c->org_bytes,
				[LIMIT_UPLOADS] = c->org_uploads,
				[LIMIT_OPEN_BATCHES] = c->org_open_batches,
				[LIMIT_ONLINE] = c->org_online,
				[LIMIT_LISTENERS] = c->org_listeners,
				[LIMIT_ENQUEUED_REQUESTS] = c->org_enqueued_requests,
				[LIMIT_ENQUEUED_TOKENS] = c->org_enqueued_tokens,
				[LIMIT_CALLS_PER_MINUTE] = c->org_calls_per_minute,
				[LIMIT_TOKENS_PER_DAY] = c->org_tokens_per_day },
		.missing_input_refused = c->missing_file == MISSING_FILE_REFUSE,
		.kimi_calls = c->kimi_calls,
		.prices = c->ready_prices,
		.price_count = c->price_count,
		.version = lowtide_version,
		.is_worker = config_is_node(c) && c->role == ROLE_WORKER,
		.webhook_endpoints_max = c->webhook_endpoints,
		.first_line_checked = c->first_line,
		.input_expires_after_s = c->input_files_s,
		.result_expires_after_s = c->result_files_s,
	};
}

/* config.h: what the program is told to do, put together from four places:
 *
 *	flags  over  environment  over  the YAML file  over  defaults (by profile)
 *
 * The settings themselves are one table (settings.h). A mistake is reported with where it stands,
 * what is wrong and what is allowed: "lowtide.yaml:12: limits.window_min: '11' is not a duration
 * from 1s to 3650d, such as 30s, 10m, 12h or 7d".
 *
 * Here, unlike elsewhere, messages of `struct error` are for the terminal and name files. */
#pragma once

#include <stdio.h>

#include "api/api.h"
#include "app/address.h"
#include "base/error.h"
#include "base/log.h"
#include "pipeline/pipeline.h"
#include "upstream/config.h"
#include "webhook/webhook.h"

/* Where a value comes from; a later one wins over an earlier one. */
enum layer { LAYER_DEFAULT, LAYER_FILE, LAYER_ENVIRONMENT, LAYER_FLAG };

struct origin {
	enum layer layer;
	const char *name; /* file, variable or flag; borrowed */
	uint64_t line;    /* of the file, from 1 */
};

/* An entry of `upstreams`, as written; what was not given has its default. */
struct upstream_setting {
	char *name, *url;
	char *api_key_env, *api_key_file; /* where the key is; at most one of them */
	char *ca_file, *cert_file, *key_file;
	char **models; /* NULL-ended; NULL: any */
	uint64_t weight;
	uint64_t concurrency;     /* 0: execution.concurrency; AMOUNT_AUTO: automatic */
	uint64_t max_concurrency; /* 0: execution.max_concurrency */
	uint64_t requests_per_minute, tokens_per_minute; /* 0: no limit */
	int metrics;                                     /* enum gauges_kind */
	int64_t priority;                                /* where has_priority */
	bool has_priority, drain;
	uint64_t given; /* a bit for each member that was given, in the table's order */
	struct origin origin;
};

/* An entry of `webhooks.endpoints`, as written. */
struct webhook_setting {
	char *name, *url;
	char *org;                               /* its name; NULL: all */
	char **event_types;                      /* NULL-ended; NULL: all */
	char *secret, *secret_env, *secret_file; /* one of them */
	uint64_t given;
	struct origin origin;
};

/* An entry of `prices`, as written. */
struct price_setting {
	char *model, *currency;
	uint64_t input, cached_input, output; /* millionths of the currency, a million tokens */
	uint64_t given; /* a bit for each member that was given, in the table's order */
	struct origin origin;
};

/* What a node does that shares a database and a bucket with others. */
enum node_role { ROLE_ALL, ROLE_API, ROLE_WORKER };

struct config {
	/* one member a setting, see the table in settings.c */
	struct address listen;
	char *data;
	char *store;          /* NULL: in the data directory */
	int role;             /* enum node_role */
	int profile;          /* enum profile */
	uint64_t concurrency; /* AMOUNT_AUTO: automatic */
	uint64_t max_concurrency, max_attempts, patience_s, line_timeout_s, drain_s, response_bytes;
	uint64_t reserve; /* for online requests; AMOUNT_AUTO: automatic */
	uint64_t max_waiting, client_timeout_s;
	bool kimi_calls;
	bool vendor_limits;
	uint64_t file_bytes, upload_bytes, lines_per_file, inputs_per_file;
	uint64_t line_bytes, window_min_s, window_max_s;
	uint64_t enqueued_requests, enqueued_tokens, connections, memory;
	uint64_t head_timeout_s, body_rate_bytes;
	uint64_t org_uploads, org_open_batches, org_online, org_listeners;
	uint64_t org_files, org_bytes;
	uint64_t org_enqueued_requests, org_enqueued_tokens, org_calls_per_minute;
	uint64_t org_tokens_per_day;
	bool strict_lines, refuse_sampling, first_line;
	int missing_file; /* enum missing_file */
	int client;       /* enum upstream_client */
	uint64_t input_files_s, result_files_s, lost_s, sweep_s;
	char *ca_file, *cert_file, *key_file; /* of upstreams that name none of their own */
	char *blobs_url;                      /* NULL: blobs are in the data directory */
	char *blobs_endpoint, *blobs_region, *blobs_credentials_file, *blobs_encryption;
	char *blobs_ca_file;
	bool blobs_path_style;
	bool webhooks_private;
	uint64_t webhook_timeout_s, webhook_endpoints;
	char *webhook_ca_file;
	struct webhook_setting *webhooks;
	size_t webhook_count;
	char *tracing_endpoint;  /* NULL: nothing is traced */
	uint64_t tracing_sample; /* one line in so many; 0: none */
	int log_level;           /* enum log_level */
	int log_format;          /* enum log_format */
	struct price_setting *prices;
	size_t price_count;
	struct price *ready_prices; /* as the API takes them; the texts are those of `prices` */
	struct upstream_setting *upstreams;
	size_t upstream_count;

	/* the upstreams as the pipeline takes them, once config_read_keys() has been called;
	 * copies */
	struct upstream_config *ready_upstreams;
	/* likewise; `org` is the organization's name, not its id */
	struct webhook_endpoint *ready_webhooks;
	char *ready_webhook_ca; /* NULL: the machine's */

	struct given *given; /* what each setting was given, in the table's order */
	char *file;          /* path of the YAML file, or NULL */
};

enum missing_file { MISSING_FILE_REFUSE, MISSING_FILE_FAIL };
enum upstream_client { CLIENT_AUTO, CLIENT_LIBCURL };

/* A key set on the command line. All borrowed; they must outlive the config. */
struct config_flag {
	const char *flag; /* "--listen", "--set": for messages */
	const char *key, *value;
};

/* What a configuration is read from, besides the environment: to read it anew. All borrowed. */
struct config_source {
	const char *file; /* NULL: none */
	const struct config_flag *flags;
	size_t flag_count;
};

/* `file` NULL: none. On failure *ret is empty. config_done(ret) is the caller's. */
MUST_USE bool config_load(const char *file, const struct config_flag *flags, size_t flag_count,
			  struct config *ret, struct error *err);
void config_done(struct config *c);

/* Reads the keys and certificates of upstreams, and secrets of webhooks, from where the settings say
 * they are. A failure names that place and never shows what was in it. */
MUST_USE bool config_read_keys(struct config *c, struct error *err);

/* Whether both have the same webhooks.endpoints, once their secrets were read. */
bool config_webhooks_same(const struct config *a, const struct config *b);

/* Logs a warning for each variable LOWTIDE_… that names no setting: a typing error, most likely. */
void config_warn_environment(const struct config *c);

/* Whether `key` is not set anywhere: a command may then have a default of its own. */
bool config_is_default(const struct config *c, const char *key);

/* Every setting, one a line, as `key: value` with where it comes from. */
void config_print(const struct config *c, FILE *to);

/* ---- the parts that the program's parts want; borrowed from `c` ---- */

struct pipeline_config config_pipeline(const struct config *c);
struct api_config config_api(const struct config *c);
struct window_rule config_windows(const struct config *c);
/* The rules by which the server, `run` and `check` judge a file and its lines. */
/* Its endpoints' `org` is a name: serve.c puts the id in its place. */
struct webhooks_config config_webhooks(const struct config *c);
struct ingest_limits config_limits(const struct config *c);
struct verdict_rules config_rules(const struct config *c);

/* The name that the first upstream has when it was given no other. */
#define UPSTREAM_NAME "default"
/* The environment variable with the first API key of a new data directory. */
#define FIRST_KEY_VARIABLE "LOWTIDE_BOOTSTRAP_KEY"
/* The environment variable with the key of the upstreams that were given as mere URLs. */
#define UPSTREAM_KEY_VARIABLE "LOWTIDE_UPSTREAM_API_KEY"

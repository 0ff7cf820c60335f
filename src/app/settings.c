/* settings.c: the table, and how texts become values. */
#include "app/settings.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "batch/price.h"

#define KB (UINT64_C(1) << 10)
#define MB (UINT64_C(1) << 20)
#define GB (UINT64_C(1) << 30)
#define DAY UINT64_C(86400)
#define ANY_COUNT (UINT64_C(1) << 50)

static const char *const profile_words[] = { "kimi", "openai", NULL };
static const char *const missing_file_words[] = { "refuse", "fail", NULL };
static const char *const client_words[] = { "auto", "libcurl", NULL };
static const char *const role_words[] = { "all", "api", "worker", NULL };
static const char *const log_level_words[] = { "debug", "info", "warn", "error", "off", NULL };
static const char *const log_format_words[] = { "text", "json", NULL };

#define AT(member) .at = offsetof(struct config, member)
#define BOTH(text) .initial = { text, text }
#define KIMI_OPENAI(kimi, openai) .initial = { [PROFILE_KIMI] = kimi, [PROFILE_OPENAI] = openai }
#define VENDOR(kimi, openai) .vendor = { [PROFILE_KIMI] = kimi, [PROFILE_OPENAI] = openai }
#define FROM_TO(from, to) .least = from, .most = to
#define OR_AUTO .automatic = "auto"
#define AT_RELOAD .at_reload = true

const struct setting settings[] = {
	{ "listen", SETTING_ADDRESS, AT(listen), BOTH("127.0.0.1:8000"),
	  .about = "address and port to listen on; port 0 takes any free port" },
	{ "data", SETTING_TEXT, AT(data), BOTH("./lowtide-data"),
	  .about = "directory of files, results and the database; made if necessary" },
	{ "store", SETTING_TEXT, AT(store), BOTH(NULL),
	  .about = "PostgreSQL database to keep keys, files' and batches' rows in: a URL without a "
		   "password; unset: data/meta.db" },
	{ "role", SETTING_CHOICE, AT(role), BOTH("all"), .words = role_words,
	  .about = "what a node does that shares store and blobs with others: api sends no lines, "
		   "worker is not ready for clients (/readyz)" },
	{ "profile", SETTING_CHOICE, AT(profile), BOTH("kimi"), .words = profile_words,
	  .about = "the vendor whose rules hold: Kimi or OpenAI" },
	{ "upstreams", SETTING_UPSTREAMS, AT(upstreams), BOTH(NULL), AT_RELOAD,
	  .about = "the OpenAI-compatible servers that answer lines" },

	{ "prices", SETTING_PRICES, AT(prices), BOTH(NULL), AT_RELOAD,
	  .about = "what tokens cost, by model; lowtide.cost is null for other models" },

	{ "execution.concurrency", SETTING_COUNT, AT(concurrency), BOTH("auto"), FROM_TO(1, 10000),
	  OR_AUTO, AT_RELOAD,
	  .about = "lines in flight to an upstream without a number of its own; auto: lowtide "
		   "finds the right number and follows it" },
	{ "execution.max_concurrency", SETTING_COUNT, AT(max_concurrency), BOTH("1024"),
	  FROM_TO(1, 10000), AT_RELOAD, .about = "never more requests in flight to one upstream" },
	{ "execution.max_attempts", SETTING_COUNT, AT(max_attempts), BOTH("6"), FROM_TO(1, 1000),
	  .about = "attempts at a line, while the upstream answers others well, before its failure "
		   "is final" },
	{ "execution.patience", SETTING_DURATION, AT(patience_s), BOTH("15m"), FROM_TO(1, 7 * DAY),
	  .about = "how long lowtide tries the few lines that a healthy upstream refuses" },
	{ "execution.line_timeout", SETTING_DURATION, AT(line_timeout_s), BOTH("10m"),
	  FROM_TO(1, 7 * DAY), .about = "how long one attempt at a line may take" },
	{ "execution.drain", SETTING_DURATION, AT(drain_s), BOTH("30s"), FROM_TO(0, DAY),
	  .about = "time for lines in flight to finish after SIGTERM" },
	{ "execution.client", SETTING_CHOICE, AT(client), BOTH("auto"), .words = client_words,
	  .about = "who speaks HTTP to upstreams; auto: lowtide itself where no proxy is on the way, "
		   "libcurl elsewhere; libcurl: that to all" },
	{ "execution.response_bytes", SETTING_SIZE, AT(response_bytes), BOTH("64MB"),
	  FROM_TO(KB, GB),
	  .about = "the largest answer of an upstream; a line with a larger one fails" },

	{ "online.reserve", SETTING_COUNT, AT(reserve), BOTH("auto"), FROM_TO(0, 10000), OR_AUTO,
	  AT_RELOAD,
	  .about = "slots that batches leave free for online requests; auto: a part of the "
		   "concurrency limit for ten minutes after an online request, else none" },
	{ "online.max_waiting", SETTING_COUNT, AT(max_waiting), BOTH("1024"), FROM_TO(1, 100000),
	  .zero = "no limit",
	  .about = "online requests that may wait for room on an upstream; further ones get 503" },
	{ "online.client_timeout", SETTING_DURATION, AT(client_timeout_s), BOTH("60s"),
	  FROM_TO(1, DAY), .zero = "for ever",
	  .about = "how long a client may read nothing of its online answer" },
	{ "online.kimi_calls", SETTING_SWITCH, AT(kimi_calls), BOTH("false"),
	  .about = "also serve Kimi's online calls, not only its batches" },

	{ "limits.vendor", SETTING_SWITCH, AT(vendor_limits), BOTH("false"),
	  .about = "the figures of the profile's vendor for limits without a value" },
	{ "limits.file_bytes", SETTING_SIZE, AT(file_bytes), BOTH("8GB"), VENDOR("100MB", "200MB"),
	  FROM_TO(1, ANY_COUNT), .zero = "no limit", .about = "one uploaded file" },
	{ "limits.upload_bytes", SETTING_SIZE, AT(upload_bytes), BOTH("8GB"), FROM_TO(1, ANY_COUNT),
	  .zero = "no limit", .about = "one file uploaded in parts" },
	{ "limits.lines_per_file", SETTING_COUNT, AT(lines_per_file), BOTH("0"),
	  VENDOR("0", "50000"), FROM_TO(1, ANY_COUNT), .zero = "no limit",
	  .about = "lines of a batch" },
	{ "limits.inputs_per_file", SETTING_COUNT, AT(inputs_per_file), BOTH("0"),
	  VENDOR("0", "50000"), FROM_TO(1, ANY_COUNT), .zero = "no limit",
	  .about = "inputs over all lines of a batch for /v1/embeddings" },
	{ "limits.line_bytes", SETTING_SIZE, AT(line_bytes), BOTH("16MB"), FROM_TO(1, GB),
	  .zero = "no limit", .about = "one line of an input file" },
	{ "limits.window_min", SETTING_DURATION, AT(window_min_s), KIMI_OPENAI("12h", "24h"),
	  FROM_TO(1, 3650 * DAY),
	  .about = "shortest completion_window; below 12h it may be written in s and m, too" },
	{ "limits.window_max", SETTING_DURATION, AT(window_max_s), KIMI_OPENAI("7d", "24h"),
	  FROM_TO(1, 3650 * DAY), .about = "longest completion_window" },
	{ "limits.enqueued_requests", SETTING_COUNT, AT(enqueued_requests), BOTH("0"),
	  FROM_TO(1, ANY_COUNT), .zero = "batches queue without end",
	  .about = "unfinished lines in an organization's batches of one model" },
	{ "limits.enqueued_tokens", SETTING_COUNT, AT(enqueued_tokens), BOTH("0"),
	  FROM_TO(1, ANY_COUNT), .zero = "batches queue without end",
	  .about = "estimated tokens of these lines" },
	{ "limits.memory", SETTING_SIZE, AT(memory), BOTH("256MB"), FROM_TO(MB, ANY_COUNT),
	  .zero = "no limit",
	  .about = "memory for bodies and answers under way; when it is full senders wait" },
	{ "limits.org.uploads", SETTING_COUNT, AT(org_uploads), BOTH("256"), FROM_TO(1, ANY_COUNT),
	  .zero = "no limit", .about = "concurrent uploads of an organization" },
	{ "limits.org.open_batches", SETTING_COUNT, AT(org_open_batches), BOTH("10000"),
	  FROM_TO(1, ANY_COUNT), .zero = "no limit", .about = "open batches of an organization" },
	{ "limits.org.online", SETTING_COUNT, AT(org_online), BOTH("4096"), FROM_TO(1, ANY_COUNT),
	  .zero = "no limit", .about = "concurrent online requests of an organization" },
	{ "limits.org.listeners", SETTING_COUNT, AT(org_listeners), BOTH("4096"),
	  FROM_TO(1, ANY_COUNT), .zero = "no limit",
	  .about = "concurrent event streams and long polls of an organization" },
	{ "limits.org.files", SETTING_COUNT, AT(org_files), BOTH("0"), VENDOR("1000", "0"),
	  FROM_TO(1, ANY_COUNT), .zero = "no limit", .about = "input files of an organization" },
	{ "limits.org.bytes", SETTING_SIZE, AT(org_bytes), BOTH("0"), VENDOR("10GB", "0"),
	  FROM_TO(1, ANY_COUNT), .zero = "no limit",
	  .about = "all input files of an organization together" },
	{ "limits.org.enqueued_requests", SETTING_COUNT, AT(org_enqueued_requests), BOTH("0"),
	  FROM_TO(1, ANY_COUNT), .zero = "no limit",
	  .about = "unfinished lines of an organization; batches beyond wait" },
	{ "limits.org.enqueued_tokens", SETTING_COUNT, AT(org_enqueued_tokens), BOTH("0"),
	  FROM_TO(1, ANY_COUNT), .zero = "no limit",
	  .about = "estimated tokens of these lines; batches beyond wait" },
	{ "limits.org.calls_per_minute", SETTING_COUNT, AT(org_calls_per_minute), BOTH("0"),
	  FROM_TO(1, ANY_COUNT), .zero = "no limit", .about = "API calls of an organization" },
	{ "limits.org.tokens_per_day", SETTING_COUNT, AT(org_tokens_per_day), BOTH("0"),
	  FROM_TO(1, ANY_COUNT), .zero = "no limit",
	  .about = "tokens of an organization's answers in a UTC day; lines beyond wait" },
	{ "limits.connections", SETTING_COUNT, AT(connections), BOTH("16384"), FROM_TO(1, 100000),
	  .about = "concurrent client connections" },
	{ "limits.head_timeout", SETTING_DURATION, AT(head_timeout_s), BOTH("30s"),
	  FROM_TO(1, 3600), .zero = "no limit",
	  .about = "time for the head of a client's request, from its first byte" },
	{ "limits.body_rate", SETTING_SIZE, AT(body_rate_bytes), BOTH("1KB"), FROM_TO(1, GB),
	  .zero = "no limit",
	  .about = "least rate of a client's body per second, as a mean over a minute" },

	{ "validation.strict_lines", SETTING_SWITCH, AT(strict_lines), KIMI_OPENAI("false", "true"),
	  .about = "require method and url in every line" },
	{ "validation.refuse_sampling", SETTING_SWITCH, AT(refuse_sampling), BOTH("false"),
	  .about = "refuse temperature, top_p, n and the penalties, as Kimi's guide says" },
	{ "validation.missing_file", SETTING_CHOICE, AT(missing_file),
	  KIMI_OPENAI("refuse", "fail"), .words = missing_file_words,
	  .about = "a batch on a missing file: refuse it with 400, or create it and fail it" },
	{ "validation.first_line", SETTING_SWITCH, AT(first_line), BOTH("false"),
	  .about = "refuse an upload whose first line is not JSON" },

	{ "retention.input_files", SETTING_DURATION, AT(input_files_s), KIMI_OPENAI("0", "30d"),
	  FROM_TO(1, 36500 * DAY), .zero = "for ever",
	  .about = "how long lowtide keeps uploaded files, if the upload does not say" },
	{ "retention.result_files", SETTING_DURATION, AT(result_files_s), KIMI_OPENAI("0", "30d"),
	  FROM_TO(1, 36500 * DAY), .zero = "for ever",
	  .about = "how long lowtide keeps result files, if the batch does not say" },
	{ "retention.lost", SETTING_DURATION, AT(lost_s), BOTH("30d"), FROM_TO(1, 36500 * DAY),
	  .zero = "for ever",
	  .about = "how long lowtide keeps files unknown to the database (lost/)" },
	{ "retention.sweep", SETTING_DURATION, AT(sweep_s), BOTH("10s"), FROM_TO(1, DAY),
	  .about = "time between looks for files to remove" },

	{ "blobs.url", SETTING_TEXT, AT(blobs_url), BOTH(NULL),
	  .about = "bucket of an S3-compatible store for files and results: s3://BUCKET/PREFIX; if "
		   "not set, the data directory" },
	{ "blobs.endpoint", SETTING_URL, AT(blobs_endpoint), BOTH(NULL),
	  .about = "where the store is: https://HOST[:PORT]" },
	{ "blobs.region", SETTING_TEXT, AT(blobs_region), BOTH("us-east-1"),
	  .about = "the store's region, which is signed" },
	{ "blobs.path_style", SETTING_SWITCH, AT(blobs_path_style), BOTH("true"),
	  .about = "the bucket stands in the path of URLs, not before the host" },
	{ "blobs.credentials_file", SETTING_TEXT, AT(blobs_credentials_file), BOTH(NULL),
	  .about = "file with aws_access_key_id and aws_secret_access_key; if not set, the "
		   "variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" },
	{ "blobs.encryption", SETTING_TEXT, AT(blobs_encryption), BOTH(NULL),
	  .about = "how the store encrypts what it keeps: AES256, aws:kms; if not set, as the bucket "
		   "says" },
	{ "blobs.ca_file", SETTING_TEXT, AT(blobs_ca_file), BOTH(NULL),
	  .about = "CA certificates (PEM) to verify the store against; if not set, the machine's" },

	{ "tls.ca_file", SETTING_TEXT, AT(ca_file), BOTH(NULL), AT_RELOAD,
	  .about = "CA certificates (PEM) to verify https upstreams against; if not set, the "
		   "machine's" },
	{ "tls.cert_file", SETTING_TEXT, AT(cert_file), BOTH(NULL), AT_RELOAD,
	  .about = "client certificate (PEM) for https upstreams; if not set, none" },
	{ "tls.key_file", SETTING_TEXT, AT(key_file), BOTH(NULL), AT_RELOAD,
	  .about = "its private key; if not set, cert_file holds the key as well" },

	{ "webhooks.endpoints", SETTING_WEBHOOKS, AT(webhooks), BOTH(NULL), AT_RELOAD,
	  .about = "where events go, beside the endpoints that organizations have made" },
	{ "webhooks.allow_private", SETTING_SWITCH, AT(webhooks_private), BOTH("false"),
	  .about = "also send events to http URLs and to private addresses" },
	{ "webhooks.ca_file", SETTING_TEXT, AT(webhook_ca_file), BOTH(NULL),
	  .about = "CA certificates (PEM) to verify receivers of events against; if not set, the "
		   "machine's" },
	{ "webhooks.timeout", SETTING_DURATION, AT(webhook_timeout_s), BOTH("15s"), FROM_TO(1, 300),
	  .about = "how long one attempt to send an event may take" },
	{ "webhooks.max_endpoints", SETTING_COUNT, AT(webhook_endpoints), BOTH("20"),
	  FROM_TO(1, 10000), .zero = "no limit", .about = "webhook endpoints of an organization" },

	{ "tracing.endpoint", SETTING_URL, AT(tracing_endpoint), BOTH(NULL),
	  .about = "OpenTelemetry collector that takes traces by OTLP over HTTP; if not set, "
		   "nothing is traced" },
	{ "tracing.sample", SETTING_COUNT, AT(tracing_sample), BOTH("100"), FROM_TO(1, 1000000000),
	  .zero = "no lines", .about = "one line of a batch in so many is traced" },

	{ "log.level", SETTING_CHOICE, AT(log_level), BOTH("info"), .words = log_level_words,
	  AT_RELOAD, .about = "least level that is logged (to standard error)" },
	{ "log.format", SETTING_CHOICE, AT(log_format), BOTH("text"), .words = log_format_words,
	  AT_RELOAD, .about = "lines of text, or a JSON object a line" },
};
const size_t setting_count = ARRAY_LEN(settings);

#undef AT
#define AT(member) .at = offsetof(struct upstream_setting, member)

const struct setting upstream_settings[] = {
	{ "name", SETTING_TEXT, AT(name),
	  .about = "its name in log and metrics; if not set, " UPSTREAM_NAME
		   ", then upstream-2, ..." },
	{ "url", SETTING_URL, AT(url), .about = "its base URL, as its clients use it" },
	{ "api_key_env", SETTING_TEXT, AT(api_key_env),
	  .about = "environment variable that holds its API key" },
	{ "api_key_file", SETTING_TEXT, AT(api_key_file), .about = "file that holds its API key" },
	{ "tls.ca_file", SETTING_TEXT, AT(ca_file),
	  .about =
		  "CA certificates (PEM) to verify it against; if not set, the common tls.ca_file" },
	{ "tls.cert_file", SETTING_TEXT, AT(cert_file),
	  .about = "client certificate (PEM) for it; if not set, the common tls.cert_file" },
	{ "tls.key_file", SETTING_TEXT, AT(key_file),
	  .about = "its private key; if not set, cert_file holds the key as well" },
	{ "models", SETTING_NAMES, AT(models),
	  .about = "the models that it serves; if not set, as it reports at /v1/models" },
	{ "weight", SETTING_COUNT, AT(weight), BOTH("1"), FROM_TO(1, 1000),
	  .about = "its share of the requests while several upstreams have room" },
	{ "concurrency", SETTING_COUNT, AT(concurrency), FROM_TO(1, 10000), OR_AUTO,
	  .about = "lines in flight; if not set, execution.concurrency" },
	{ "max_concurrency", SETTING_COUNT, AT(max_concurrency), FROM_TO(1, 10000),
	  .about = "never more requests in flight; if not set, execution.max_concurrency" },
	{ "requests_per_minute", SETTING_COUNT, AT(requests_per_minute), BOTH("0"),
	  FROM_TO(1, ANY_COUNT), .zero = "no limit", .about = "requests in any 60 seconds" },
	{ "tokens_per_minute", SETTING_COUNT, AT(tokens_per_minute), BOTH("0"),
	  FROM_TO(1, ANY_COUNT), .zero = "no limit", .about = "tokens in any 60 seconds" },
	{ "metrics", SETTING_CHOICE, AT(metrics), BOTH("auto"), .words = gauges_kind_words,
	  .about = "the kind of metrics that tell the load of its engine" },
	{ "priority", SETTING_SIGNED, AT(priority), .most = 1000000,
	  .about = "a member `priority` to add to batch lines; if not set, none" },
	{ "drain", SETTING_SWITCH, AT(drain), BOTH("false"),
	  .about = "send nothing new to it and let its requests in flight end" },
};
const size_t upstream_setting_count = ARRAY_LEN(upstream_settings);

#undef AT
#define AT(member) .at = offsetof(struct price_setting, member)

const struct setting price_settings[] = {
	{ "model", SETTING_TEXT, AT(model), .about = "the model's name, as lines have it" },
	{ "input", SETTING_PRICE, AT(input), .about = "a million tokens of prompts" },
	{ "cached_input", SETTING_PRICE, AT(cached_input),
	  .about = "a million of these that were cached; if not set, as input" },
	{ "output", SETTING_PRICE, AT(output), .about = "a million tokens of answers" },
	{ "currency", SETTING_TEXT, AT(currency), .about = "three capital letters, such as USD" },
};
const size_t price_setting_count = ARRAY_LEN(price_settings);

#undef AT
#define AT(member) .at = offsetof(struct webhook_setting, member)

const struct setting webhook_settings[] = {
	{ "name", SETTING_TEXT, AT(name), .about = "its name, unique, in the log" },
	{ "url", SETTING_TEXT, AT(url), .about = "where events are sent" },
	{ "org", SETTING_TEXT, AT(org),
	  .about = "the organization whose events are sent; if not set, those of all" },
	{ "event_types", SETTING_NAMES, AT(event_types),
	  .about = "the types of events that are sent; if not set, all" },
	{ "secret", SETTING_TEXT, AT(secret), .about = "what events are signed with" },
	{ "secret_env", SETTING_TEXT, AT(secret_env),
	  .about = "environment variable that holds it" },
	{ "secret_file", SETTING_TEXT, AT(secret_file), .about = "file that holds it" },
};
const size_t webhook_setting_count = ARRAY_LEN(webhook_settings);

/* ---- finding keys ---- */

const struct setting *setting_find(const struct setting *table, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(table[i].key, key) == 0)
			return &table[i];
	return NULL;
}

bool setting_is_group(const struct setting *table, size_t count, const char *group)
{
	size_t n = strlen(group);

	for (size_t i = 0; i < count; i++)
		if (strncmp(table[i].key, group, n) == 0 && table[i].key[n] == '.')
			return true;
	return false;
}

void setting_variable(const char *key, char *to, size_t size)
{
	snprintf(to, size, "LOWTIDE_%s", key);
	for (char *p = to; *p != '\0'; p++)
		*p = (char)(*p == '.' ? '_' : toupper((unsigned char)*p));
}

/* ---- what is allowed ---- */

static void amount_format(const struct setting *s, uint64_t amount, char to[static 24])
{
	if (s->type == SETTING_SIZE)
		size_format(amount, to);
	else if (s->type == SETTING_DURATION)
		duration_format(amount, to);
	else
		snprintf(to, 24, "%" PRIu64, amount);
}

/* Bounds beyond any real value are not worth reading. */
static void describe_amount(const struct setting *s, const char *what, const char *such_as,
			    char *to, size_t size)
{
	char least[24], most[24], bounds[64] = "";

	amount_format(s, s->least, least);
	amount_format(s, s->most, most);
	if (s->most != ANY_COUNT)
		snprintf(bounds, sizeof(bounds), " from %s to %s", least, most);
	snprintf(to, size, "%s%s%s%s%s%s%s", what, bounds, such_as,
		 s->zero != NULL ? ", or 0: " : "", s->zero != NULL ? s->zero : "",
		 s->automatic != NULL ? ", or " : "", s->automatic != NULL ? s->automatic : "");
}

static void describe_choice(const struct setting *s, char *to, size_t size)
{
	size_t n = (size_t)snprintf(to, size, "one of:");

	for (size_t i = 0; s->words[i] != NULL && n < size; i++)
		n += (size_t)snprintf(to + n, size - n, "%s %s", i > 0 ? "," : "", s->words[i]);
}

void setting_describe(const struct setting *s, char *to, size_t size)
{
	switch (s->type) {
	case SETTING_TEXT:
		snprintf(to, size, "a text that is not empty");
		break;
	case SETTING_NAMES:
		snprintf(to, size, "a list of names");
		break;
	case SETTING_URL:
		snprintf(to, size,
			 "a URL with http or https, a host, and no user, query or "
			 "fragment, such as http://127.0.0.1:8080/v1");
		break;
	case SETTING_ADDRESS:
		snprintf(to, size,
			 "a numeric address and a port, such as 127.0.0.1:8000, "
			 "0.0.0.0:8000 or [::1]:8000");
		break;
	case SETTING_CHOICE:
		describe_choice(s, to, size);
		break;
	case SETTING_SWITCH:
		snprintf(to, size, "true or false");
		break;
	case SETTING_COUNT:
		describe_amount(s, "a whole number", "", to, size);
		break;
	case SETTING_SIGNED:
		snprintf(to, size, "a whole number from -%" PRIu64 " to %" PRIu64, s->most,
			 s->most);
		break;
	case SETTING_SIZE:
		describe_amount(s, "a size", ", such as 512KB, 16MB or 1GB", to, size);
		break;
	case SETTING_DURATION:
		describe_amount(s, "a duration", ", such as 30s, 10m, 12h or 7d", to, size);
		break;
	case SETTING_UPSTREAMS:
		snprintf(to, size, "a list of upstreams, each with at least a url");
		break;
	case SETTING_PRICE:
		snprintf(to, size,
			 "a number from 0 to 1000000 with at most six digits behind the point, "
			 "such as 0.15");
		break;
	case SETTING_PRICES:
		snprintf(to, size,
			 "a list of prices in the configuration file, each with a model, input, "
			 "output and a currency");
		break;
	case SETTING_WEBHOOKS:
		snprintf(to, size,
			 "a list of endpoints in the configuration file, each with at least a "
			 "name, a url and a secret");
		break;
	}
}

/* ---- reading values ---- */

/* Digits and nothing else: no sign, no unit, no 1e6. */
static bool count_parse(struct slice text, uint64_t *ret)
{
	if (text.n == 0 || !isdigit((unsigned char)text.p[text.n - 1]))
		return false;
	return size_parse(text, ret); /* digits without a unit are a size, too */
}

/* A duration wants its unit, but nothing needs none. */
static bool span_parse(struct slice text, uint64_t *ret_s)
{
	*ret_s = 0;
	return slice_is(text, "0") || duration_parse(text, ret_s);
}

static bool amount_parse(const struct setting *s, const char *text, uint64_t *ret)
{
	bool (*parse)(struct slice text, uint64_t * ret) = s->type == SETTING_SIZE ? size_parse
							   : s->type == SETTING_DURATION
								   ? span_parse
								   : count_parse;
	uint64_t amount;

	if (s->automatic != NULL && strcmp(text, s->automatic) == 0) {
		*ret = AMOUNT_AUTO;
		return true;
	}
	if (!parse(slice_of(text), &amount))
		return false;
	if (!(amount == 0 && s->zero != NULL) && (amount < s->least || amount > s->most))
		return false;
	*ret = amount;
	return true;
}

static bool signed_parse(const struct setting *s, const char *text, int64_t *ret)
{
	bool negative = text[0] == '-';
	uint64_t distance;

	if (!count_parse(slice_of(text + negative), &distance) || distance > s->most)
		return false;
	*ret = negative ? -(int64_t)distance : (int64_t)distance;
	return true;
}

static bool choice_parse(const struct setting *s, const char *text, int *ret)
{
	for (int i = 0; s->words[i] != NULL; i++)
		if (strcmp(s->words[i], text) == 0) {
			*ret = i;
			return true;
		}
	return false;
}

static bool switch_parse(const char *text, bool *ret)
{
	*ret = strcmp(text, "true") == 0;
	return *ret || strcmp(text, "false") == 0;
}

static bool text_keep(const char *text, char **ret)
{
	char *copy = text[0] != '\0' ? strdup(text) : NULL;

	if (copy == NULL)
		return false;
	free(*ret);
	*ret = copy;
	return true;
}

static bool url_keep(const char *text, char **ret)
{
	char *url;

	if (!url_parse(text, &url))
		return false;
	free(*ret);
	*ret = url;
	return true;
}

void *setting_member(const struct setting *s, void *base)
{
	return (char *)base + s->at;
}

bool setting_read(const struct setting *s, const char *text, void *member)
{
	switch (s->type) {
	case SETTING_TEXT:
		return text_keep(text, member);
	case SETTING_URL:
		return url_keep(text, member);
	case SETTING_ADDRESS:
		return address_parse(text, member);
	case SETTING_CHOICE:
		return choice_parse(s, text, member);
	case SETTING_SWITCH:
		return switch_parse(text, member);
	case SETTING_COUNT:
	case SETTING_SIZE:
	case SETTING_DURATION:
		return amount_parse(s, text, member);
	case SETTING_SIGNED:
		return signed_parse(s, text, member);
	case SETTING_PRICE:
		return price_parse(text, member);
	case SETTING_NAMES:
	case SETTING_PRICES:
	case SETTING_UPSTREAMS: /* lists: config.c reads their parts */
	case SETTING_WEBHOOKS:
		break;
	}
	return false;
}

bool setting_allows(const struct setting *s, const char *text)
{
	union {
		char *text;
		struct address address;
		int choice;
		bool on;
		uint64_t amount;
		int64_t number;
	} scratch = { NULL };
	bool allowed = setting_read(s, text, &scratch);

	if (s->type == SETTING_TEXT || s->type == SETTING_URL)
		free(scratch.text);
	return allowed;
}

static bool texts_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool setting_same(const struct setting *s, const void *a, const void *b)
{
	const struct address *one = a, *other = b;

	switch (s->type) {
	case SETTING_TEXT:
	case SETTING_URL:
		return texts_same(*(char *const *)a, *(char *const *)b);
	case SETTING_ADDRESS:
		return texts_same(one->host, other->host) && one->port == other->port;
	case SETTING_CHOICE:
		return *(const int *)a == *(const int *)b;
	case SETTING_SWITCH:
		return *(const bool *)a == *(const bool *)b;
	case SETTING_COUNT:
	case SETTING_SIZE:
	case SETTING_DURATION:
	case SETTING_PRICE:
		return *(const uint64_t *)a == *(const uint64_t *)b;
	case SETTING_SIGNED:
		return *(const int64_t *)a == *(const int64_t *)b;
	case SETTING_NAMES:
	case SETTING_PRICES:
	case SETTING_UPSTREAMS:
	case SETTING_WEBHOOKS:
		break;
	}
	return true;
}

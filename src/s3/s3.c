/* s3.c: what is set, checked before anything is asked; and the pool of handles. */
#include "s3/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "client/proxy.h"
#include "s3/s3_impl.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* ---- what is set ---- */

static bool all_of(const char *text, const char *allowed)
{
	return text[strspn(text, allowed)] == '\0';
}

static bool has(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static bool endpoint_check(const char *url, struct error *err)
{
	const char *host = !has(url)                              ? NULL
			   : strncasecmp(url, "https://", 8) == 0 ? url + 8
			   : strncasecmp(url, "http://", 7) == 0  ? url + 7
								  : NULL;

	if (host == NULL || !has(host) || strlen(host) > 300 ||
	    !all_of(host, UPPER LOWER DIGITS ".-:[]/") || strcspn(host, "/") == 0 ||
	    host[strcspn(host, "/")] != host[strlen(host) - (strchr(host, '/') != NULL)])
		return fail_param(err, "endpoint", NULL,
				  "the endpoint is a URL of a host alone: https://HOST[:PORT]");
	return true;
}

static bool bucket_check(const char *bucket, struct error *err)
{
	size_t n = bucket != NULL ? strlen(bucket) : 0;

	if (n < 3 || n > 63 || !all_of(bucket, LOWER DIGITS ".-") || bucket[0] == '.' ||
	    bucket[0] == '-')
		return fail_param(err, "bucket", NULL,
				  "a bucket's name has 3 to 63 of a-z, 0-9, '.' and '-'");
	return true;
}

static bool prefix_check(const char *prefix, struct error *err)
{
	if (!has(prefix))
		return true;
	if (strlen(prefix) > 256 || !all_of(prefix, UPPER LOWER DIGITS "._-/") ||
	    prefix[0] == '/' || strstr(prefix, "//") != NULL || strstr(prefix, "..") != NULL)
		return fail_param(
			err, "prefix", NULL,
			"a prefix has 256 of A-Z, a-z, 0-9, '.', '_', '-' and '/' at most, "
			"and neither '/' at its beginning nor '//' nor '..'");
	return true;
}

static bool config_check(const struct s3_config *c, struct error *err)
{
	if (!endpoint_check(c->endpoint, err) || !bucket_check(c->bucket, err) ||
	    !prefix_check(c->prefix, err) || !s3_keys_check(c->credentials, err))
		return false;
	if (has(c->region) && (strlen(c->region) > 63 || !all_of(c->region, LOWER DIGITS "-")))
		return fail_param(err, "region", NULL,
				  "a region's name has a-z, 0-9 and '-': us-east-1");
	if (has(c->encryption) &&
	    (strlen(c->encryption) > 63 || !all_of(c->encryption, UPPER LOWER DIGITS ":-")))
		return fail_param(err, "encryption", NULL,
				  "the encryption is AES256, aws:kms or another word of the store");
	return true;
}

/* ---- opening ---- */

static char *copy_of(const char *text)
{
	return has(text) ? strdup(text) : NULL;
}

/* NULL: no memory. */
static char *base_make(const struct s3_config *c)
{
	size_t scheme = (size_t)(strstr(c->endpoint, "://") + 3 - c->endpoint);
	const char *host = c->endpoint + scheme;
	size_t n = strcspn(host, "/");
	char *base;

	int made = c->path_style ? asprintf(&base, "%.*s%.*s/%s", (int)scheme, c->endpoint, (int)n,
					    host, c->bucket)
				 : asprintf(&base, "%.*s%s.%.*s", (int)scheme, c->endpoint,
					    c->bucket, (int)n, host);
	return made < 0 ? NULL : base;
}

static char *prefix_make(const char *prefix)
{
	size_t n = has(prefix) ? strlen(prefix) : 0;
	char *made;

	if (n == 0)
		return strdup("");
	return asprintf(&made, "%s%s", prefix, prefix[n - 1] == '/' ? "" : "/") < 0 ? NULL : made;
}

static char *sign_make(const char *region)
{
	char *made;

	return asprintf(&made, "aws:amz:%s:s3", has(region) ? region : "us-east-1") < 0 ? NULL
											: made;
}

static unsigned or_usual(unsigned set, unsigned usual)
{
	return set > 0 ? set : usual;
}

static bool texts_copy(struct s3 *s, const struct s3_config *c)
{
	s->base = base_make(c);
	s->sign = sign_make(c->region);
	s->bucket = strdup(c->bucket);
	s->prefix = prefix_make(c->prefix);
	s->ca_file = copy_of(c->ca_file);
	s->encryption = copy_of(c->encryption);
	return s->base != NULL && s->sign != NULL && s->bucket != NULL && s->prefix != NULL &&
	       (s->ca_file != NULL || !has(c->ca_file)) &&
	       (s->encryption != NULL || !has(c->encryption));
}

bool s3_open(const struct s3_config *c, struct s3 **ret, struct error *err)
{
	if (!config_check(c, err))
		return false;
	struct s3 *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return fail_memory(err);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->renewing, NULL);
	clock_cond_init(&s->ends);
	s->connect_timeout_ms = or_usual(c->connect_timeout_ms, 10000);
	s->timeout_ms = or_usual(c->timeout_ms, 60000);
	s->patience_ms = or_usual(c->patience_ms, 60000);
	s->attempts = or_usual(c->attempts, 8);
	s->backoff_ms = or_usual(c->backoff_ms, 200);
	s->keys = *c->credentials;
	s->renew = c->renew;
	s->renew_ctx = c->renew_ctx;
	bool ok = (texts_copy(s, c) && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) ||
		  fail_memory(err);
	if (!ok) {
		s3_close(s);
		return false;
	}
	s->proxy = proxy_of(s->base);
	if (s->proxy == NULL)
		s->proxy = "";
	*ret = s;
	return true;
}

void s3_close(struct s3 *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->idle_n; i++)
		curl_easy_cleanup(s->idle[i]);
	free(s->base);
	free(s->sign);
	free(s->bucket);
	free(s->prefix);
	s3_credentials_wipe(&s->keys);
	free(s->ca_file);
	free(s->encryption);
	pthread_cond_destroy(&s->ends);
	pthread_mutex_destroy(&s->renewing);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void s3_give_up(struct s3 *s)
{
	pthread_mutex_lock(&s->lock);
	s->gives_up = true;
	pthread_cond_broadcast(&s->ends);
	pthread_mutex_unlock(&s->lock);
}

enum s3_standing s3_standing(const struct s3 *s)
{
	return (enum s3_standing)s->standing;
}

/* ---- handles: each keeps its connection for the next call ---- */

CURL *s3_handle_take(struct s3 *s)
{
	CURL *easy = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->idle_n > 0)
		easy = s->idle[--s->idle_n];
	pthread_mutex_unlock(&s->lock);
	return easy != NULL ? easy : curl_easy_init();
}

void s3_handle_give(struct s3 *s, CURL *easy)
{
	curl_easy_reset(easy); /* connections stay */
	pthread_mutex_lock(&s->lock);
	bool kept = s->idle_n < S3_HANDLES;
	if (kept)
		s->idle[s->idle_n++] = easy;
	pthread_mutex_unlock(&s->lock);
	if (!kept)
		curl_easy_cleanup(easy);
}

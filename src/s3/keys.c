/* keys.c: what requests are signed with, and others in its place: credentials that end, or that an
 * operator changes, do not need a start. */
#include <string.h>

#include "base/log.h"
#include "s3/s3_impl.h"

void s3_credentials_wipe(struct s3_credentials *k)
{
	explicit_bzero(k, sizeof(*k));
}

/* Texts that stand in a header: nothing there ends it. */
static bool is_printable(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text < 0x21 || *text > 0x7e)
			return false;
	return true;
}

bool s3_keys_check(const struct s3_credentials *k, struct error *err)
{
	if (k->access_key[0] == '\0' || !is_printable(k->access_key))
		return fail_param(err, "access_key", NULL, "the store's access key is not set");
	if (k->secret_key[0] == '\0' || !is_printable(k->secret_key))
		return fail_param(err, "secret_key", NULL, "the store's secret key is not set");
	if (!is_printable(k->session_token))
		return fail_param(err, "session_token", NULL,
				  "the store's session token is not one");
	return true;
}

uint64_t s3_keys_take(struct s3 *s, struct s3_credentials *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->keys;
	uint64_t epoch = s->keys_epoch;
	pthread_mutex_unlock(&s->lock);
	return epoch;
}

static bool is_same(const struct s3_credentials *a, const struct s3_credentials *b)
{
	return strcmp(a->access_key, b->access_key) == 0 &&
	       strcmp(a->secret_key, b->secret_key) == 0 &&
	       strcmp(a->session_token, b->session_token) == 0;
}

static void keys_put(struct s3 *s, const struct s3_credentials *k)
{
	pthread_mutex_lock(&s->lock);
	s->keys = *k;
	s->keys_epoch++;
	pthread_mutex_unlock(&s->lock);
	log_info("blob.credentials_renewed", kv_str("bucket", s->bucket));
}

/* A file that is just being written is read again at the next refusal. */
static bool keys_ask(struct s3 *s, const struct s3_credentials *before)
{
	struct s3_credentials now = { 0 };
	struct error err;

	bool ok = s->renew(s->renew_ctx, &now, &err) && s3_keys_check(&now, &err);
	if (!ok && !s->renew_failed)
		log_write_error(LOG_WARN, "blob.credentials_unreadable", &err,
				LOG_FIELDS(kv_str("bucket", s->bucket)));
	s->renew_failed = !ok;
	bool others = ok && !is_same(&now, before);
	if (others)
		keys_put(s, &now);
	s3_credentials_wipe(&now);
	return others;
}

bool s3_keys_renew(struct s3 *s, uint64_t epoch)
{
	struct s3_credentials before;

	if (s->renew == NULL)
		return false;
	pthread_mutex_lock(&s->renewing);
	bool others = s3_keys_take(s, &before) != epoch || keys_ask(s, &before);
	pthread_mutex_unlock(&s->renewing);
	s3_credentials_wipe(&before);
	return others;
}

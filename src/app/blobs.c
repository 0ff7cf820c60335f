/* blobs.c: the bucket that the settings name, its credentials, and whose it is. */
#include "app/blobs.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/nodes.h"
#include "blob/bucket.h"

#define LINE_SIZE (sizeof(struct s3_credentials)) /* more than any of its texts */

/* ---- credentials ---- */

static void close_file(FILE **file)
{
	if (*file != NULL)
		fclose(*file);
}

static struct slice trimmed(const char *text, size_t n)
{
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		n--;
	while (n > 0 && isspace((unsigned char)text[0])) {
		text++;
		n--;
	}
	return (struct slice){ text, n };
}

/* "aws_access_key_id = ..." False: a value is too long. */
static bool line_take(struct s3_credentials *k, const char *line)
{
	const char *sign = strchr(line, '=');

	if (sign == NULL)
		return true;
	struct slice name = trimmed(line, (size_t)(sign - line));
	struct slice value = trimmed(sign + 1, strlen(sign + 1));
	if (slice_is(name, "aws_access_key_id"))
		return slice_copy(value, k->access_key, sizeof(k->access_key));
	if (slice_is(name, "aws_secret_access_key"))
		return slice_copy(value, k->secret_key, sizeof(k->secret_key));
	if (slice_is(name, "aws_session_token"))
		return slice_copy(value, k->session_token, sizeof(k->session_token));
	return true;
}

/* Of a file with several profiles the first alone. */
static bool file_read(const char *path, struct s3_credentials *k, struct error *err)
{
	AUTO(close_file) FILE *file = fopen(path, "re");
	char line[LINE_SIZE];
	unsigned profiles = 0;
	bool ok = true;

	if (file == NULL)
		return fail(err, ERR_INVALID, "blobs.credentials_file: cannot read %.200s: %s",
			    path, strerror(errno));
	while (ok && profiles < 2 && fgets(line, sizeof(line), file) != NULL) {
		profiles += line[0] == '[';
		ok = profiles > 1 || line_take(k, line);
	}
	explicit_bzero(line, sizeof(line));
	return (ok && !ferror(file)) ||
	       fail(err, ERR_INVALID, "blobs.credentials_file: %.200s is not a file of credentials",
		    path);
}

static bool variable_take(const char *name, char *to, size_t size, struct error *err)
{
	const char *value = getenv(name);

	return value == NULL || slice_copy(slice_of(value), to, size) ||
	       fail(err, ERR_INVALID, "the environment variable %s is too long", name);
}

/* `file` NULL: the environment's. */
static bool credentials_read(const char *file, struct s3_credentials *k, struct error *err)
{
	bool ok = file != NULL ? file_read(file, k, err)
			       : variable_take("AWS_ACCESS_KEY_ID", k->access_key,
					       sizeof(k->access_key), err) &&
					 variable_take("AWS_SECRET_ACCESS_KEY", k->secret_key,
						       sizeof(k->secret_key), err) &&
					 variable_take("AWS_SESSION_TOKEN", k->session_token,
						       sizeof(k->session_token), err);

	if (!ok)
		return false;
	if (k->access_key[0] != '\0' && k->secret_key[0] != '\0')
		return true;
	return fail(err, ERR_INVALID,
		    file != NULL ? "blobs.credentials_file: it has no aws_access_key_id, or no "
				   "aws_secret_access_key"
				 : "blobs.url: the store's credentials are not set: "
				   "blobs.credentials_file, or AWS_ACCESS_KEY_ID and "
				   "AWS_SECRET_ACCESS_KEY in the environment");
}

/* The file anew: s3_config.renew. */
static bool credentials_again(void *file, struct s3_credentials *ret, struct error *err)
{
	return credentials_read(file, ret, err);
}

/* ---- the bucket ---- */

/* "s3://BUCKET/PREFIX" */
static bool url_split(const char *url, char bucket[static 64], const char **prefix,
		      struct error *err)
{
	const char *name = strncmp(url, "s3://", 5) == 0 ? url + 5 : "";
	size_t n = strcspn(name, "/");

	*prefix = name[n] == '/' ? name + n + 1 : name + n;
	return (n > 0 && slice_copy((struct slice){ name, n }, bucket, 64)) ||
	       fail(err, ERR_INVALID, "blobs.url: '%.100s' is not s3://BUCKET/PREFIX", url);
}

static bool bucket_open(const struct config *c, struct blobs **ret, struct error *err)
{
	AUTO(s3_credentials_wipe) struct s3_credentials keys = { 0 };
	char *file = c->blobs_credentials_file;
	char bucket[64];
	struct s3_config s = { .endpoint = c->blobs_endpoint,
			       .region = c->blobs_region,
			       .bucket = bucket,
			       .path_style = c->blobs_path_style,
			       .credentials = &keys,
			       .renew = file != NULL ? credentials_again : NULL,
			       .renew_ctx = file, /* which the first configuration keeps */
			       .ca_file = c->blobs_ca_file,
			       .encryption = c->blobs_encryption };

	if (!url_split(c->blobs_url, bucket, &s.prefix, err))
		return false;
	if (c->blobs_endpoint == NULL)
		return fail(err, ERR_INVALID, "blobs.endpoint is not set: where the store is");
	if (!credentials_read(file, &keys, err))
		return false;
	if (blobs_open_bucket(&s, ret, err))
		return true;
	struct error why = *err;
	return why.kind == ERR_INVALID ? fail(err, ERR_INVALID, "blobs: %s", why.message) : false;
}

/* The id of the data directory, as it stands in its file. */
static bool id_read(const struct config *c, char id[static 128], struct error *err)
{
	char path[PATH_MAX], line[160];

	snprintf(path, sizeof(path), "%s/lowtide.id", c->data);
	AUTO(close_file) FILE *file = fopen(path, "re");
	if (file == NULL)
		return fail_sys(err, errno, "opening %s", path);
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "id %127s", id) == 1)
			return true;
	return fail_sys(err, EBADMSG, "%s has no id", path);
}

bool server_blobs_open(const struct config *c, struct redo *redo, bool adopt, struct blobs **ret,
		       struct error *err)
{
	char id[128];

	if (c->blobs_url == NULL)
		return blobs_open(c->data, redo, ret, err);
	if (!id_read(c, id, err) || !bucket_open(c, ret, err))
		return false;
	if (blobs_bucket_claim(*ret, id, adopt, err)) {
		if (config_is_node(c))
			blobs_bucket_share(*ret);
		return true;
	}
	blobs_close(*ret);
	*ret = NULL;
	return false;
}

void server_blobs_unused(const struct config *c, const char *what)
{
	if (c->blobs_url != NULL)
		fprintf(stderr, "lowtide: blobs.url is for `serve` alone: %s\n", what);
}

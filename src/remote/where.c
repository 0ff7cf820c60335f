/* where.c: which server, with which key: the command line, then the environment, then what
 * `lowtide login` keeps. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "remote/kept.h"
#include "remote/login.h"
#include "remote/remote_impl.h"

#define URL_USUAL "http://127.0.0.1:8000/v1"
#define CA_BYTES_MAX (8u << 20)

void where_done(struct remote_where *w)
{
	free(w->url);
	kept_wipe(w->key);
	free(w->ca);
	*w = (struct remote_where){ 0 };
}

/* ---- the URL ---- */

static bool is_url(const char *text)
{
	size_t scheme = strncasecmp(text, "http://", 7) == 0    ? 7
			: strncasecmp(text, "https://", 8) == 0 ? 8
								: 0;

	if (scheme == 0 || text[scheme] == '\0' || strchr("/:@", text[scheme]) != NULL ||
	    strpbrk(text, "@?#\\") != NULL)
		return false;
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return false;
	return true;
}

bool where_url(const char *given, const char *from, char **ret, struct error *err)
{
	size_t n = strlen(given);

	if (!is_url(given))
		return fail(err, ERR_INVALID,
			    "%s: '%s' is no server's URL: it is http:// or https://, a host and "
			    "perhaps a port, as in " URL_USUAL,
			    from, given);
	while (n > 0 && given[n - 1] == '/')
		n--;
	bool has_v1 = n >= 3 && memcmp(given + n - 3, "/v1", 3) == 0;
	return asprintf(ret, "%.*s%s", (int)n, given, has_v1 ? "" : "/v1") >= 0 || fail_memory(err);
}

static const char *variable(const char *name)
{
	const char *text = getenv(name);

	return text != NULL && text[0] != '\0' ? text : NULL;
}

static bool url_find(const struct remote_setup *s, const struct login *kept, char **ret,
		     struct error *err)
{
	if (s->url != NULL)
		return where_url(s->url, "--url", ret, err);
	if (variable("LOWTIDE_URL") != NULL)
		return where_url(variable("LOWTIDE_URL"), "LOWTIDE_URL", ret, err);
	if (kept->url != NULL)
		return where_url(kept->url, "the server kept by `lowtide login`", ret, err);
	return where_url(URL_USUAL, "", ret, err);
}

/* ---- the key ---- */

static bool key_find(const struct remote_setup *s, const char *kept, char **ret, struct error *err)
{
	const char *key = s->key != NULL                        ? s->key
			  : variable("LOWTIDE_API_KEY") != NULL ? variable("LOWTIDE_API_KEY")
								: kept;

	if (key == NULL || key[0] == '\0')
		return true;
	for (const unsigned char *p = (const unsigned char *)key; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return fail(
				err, ERR_INVALID,
				"the API key has a space, a line end or another character that no "
				"key has: copy it once more");
	*ret = strdup(key);
	return *ret != NULL || fail_memory(err);
}

/* ---- CA certificates ---- */

static bool ca_read(const char *path, char **ret, struct error *err)
{
	struct stat st;
	char why[160];
	AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) != 0)
		return fail_sys(err, errno, "CA certificates %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > CA_BYTES_MAX)
		return fail(err, ERR_INVALID, "%s is no file of CA certificates", path);
	char *text = calloc(1, (size_t)st.st_size + 1);
	if (text == NULL)
		return fail_memory(err);
	*ret = text;
	if (!sys_pread_all(fd, text, (size_t)st.st_size, 0))
		return fail_sys(err, errno, "CA certificates %s", path);
	return tls_ca_check(text, why, sizeof(why)) || fail(err, ERR_INVALID, "%s %s", path, why);
}

static void ca_path_find(const struct remote_setup *s, const char *kept, const char **ret)
{
	*ret = s->ca_file != NULL                    ? s->ca_file
	       : variable("LOWTIDE_CA_FILE") != NULL ? variable("LOWTIDE_CA_FILE")
						     : kept;
}

/* ---- all three ---- */

/* What names no server is not read: a broken file is no obstacle then. */
static bool needs_login(const struct remote_setup *s)
{
	bool key = s->key != NULL || variable("LOWTIDE_API_KEY") != NULL;
	bool url = s->url != NULL || variable("LOWTIDE_URL") != NULL;

	return !key || !url;
}

bool where_find(const struct remote_setup *s, struct remote_where *ret, struct error *err)
{
	AUTO(login_done) struct login kept = { 0 };
	AUTO(auto_free) char *kept_url = NULL;
	const char *ca_path;

	if ((needs_login(s) && !login_read(&kept, err)) || !url_find(s, &kept, &ret->url, err))
		return false;
	if (kept.url != NULL &&
	    !where_url(kept.url, "the server kept by `lowtide login`", &kept_url, err))
		return false;
	bool same = kept_url != NULL && strcmp(kept_url, ret->url) == 0;
	ca_path_find(s, same ? kept.ca_file : NULL, &ca_path);
	return key_find(s, same ? kept.key : NULL, &ret->key, err) &&
	       (ca_path == NULL || ca_read(ca_path, &ret->ca, err));
}

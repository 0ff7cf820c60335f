/* config_tls.c: CA and client certificates of https upstreams: which files, and what is in them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "app/config_impl.h"

#define PEM_BYTES_MAX (8u << 20) /* a bundle of all public CAs has 220 KB */

static bool is_https(const struct upstream_setting *u)
{
	return strncasecmp(u->url, "https:", 6) == 0;
}

bool tls_settings_check(const struct upstream_setting *u, struct error *err)
{
	const char *given = u->ca_file != NULL     ? "tls.ca_file"
			    : u->cert_file != NULL ? "tls.cert_file"
			    : u->key_file != NULL  ? "tls.key_file"
						   : NULL;

	return given == NULL || is_https(u) ||
	       fail_at(err, &u->origin, given, "%.200s is not https: it has no certificates",
		       u->url);
}

static void close_file(FILE **file)
{
	if (*file != NULL)
		fclose(*file);
}

static bool text_read(FILE *file, size_t size, char **ret)
{
	char *text = calloc(size + 1, 1);
	size_t n = text != NULL ? fread(text, 1, size, file) : 0;

	*ret = text;
	return text != NULL && !ferror(file) && strlen(text) == n;
}

/* Where a setting of TLS comes from: the upstream's own, or one of all upstreams. */
struct tls_file {
	const char *path, *key;
	const struct origin *at;
};

static bool file_read(const struct tls_file *f, char **ret, struct error *err)
{
	AUTO(close_file) FILE *file = fopen(f->path, "re");
	struct stat st;

	if (file == NULL || fstat(fileno(file), &st) != 0)
		return fail_at(err, f->at, f->key, "cannot read %.200s: %s", f->path,
			       strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > PEM_BYTES_MAX)
		return fail_at(err, f->at, f->key, "%.200s is no file of at most %u MB", f->path,
			       PEM_BYTES_MAX >> 20);
	return text_read(file, (size_t)st.st_size, ret) ||
	       fail_at(err, f->at, f->key, "%.200s is no text, or cannot be read whole", f->path);
}

static bool fail_file(const struct tls_file *f, const char *why, struct error *err)
{
	return fail_at(err, f->at, f->key, "%.200s %s", f->path, why);
}

static const struct origin *origin_of_all(const struct config *c, const char *key)
{
	return &given_of(c, setting_find(settings, setting_count, key))->origin;
}

static bool ca_read(const struct tls_file *ca, struct tls_pem *ret, struct error *err)
{
	char why[160];

	return ca->path == NULL ||
	       (file_read(ca, &ret->ca, err) &&
		(tls_ca_check(ret->ca, why, sizeof(why)) || fail_file(ca, why, err)));
}

bool tls_ca_read(const struct config *c, const char *key, const char *path, char **ret,
		 struct error *err)
{
	const struct tls_file ca = { path, key, origin_of_all(c, key) };
	struct tls_pem pem = { 0 };

	if (!ca_read(&ca, &pem, err)) {
		tls_pem_done(&pem);
		return false;
	}
	*ret = pem.ca;
	return true;
}

/* Without a file of its own the key stands in the certificate's. */
static bool pair_read(const struct tls_file *cert, const struct tls_file *key, struct tls_pem *ret,
		      struct error *err)
{
	char why[160];

	if (cert->path == NULL)
		return key->path == NULL ||
		       fail_at(err, key->at, key->key,
			       "a key without its certificate: tls.cert_file is missing");
	if (!file_read(cert, &ret->cert, err))
		return false;
	if (!tls_cert_check(ret->cert, why, sizeof(why)))
		return fail_file(cert, why, err);
	const struct tls_file *holder = key->path != NULL ? key : cert;
	return file_read(holder, &ret->key, err) &&
	       (tls_key_check(ret->cert, ret->key, why, sizeof(why)) ||
		fail_file(holder, why, err));
}

bool tls_files_read(const struct config *c, const struct upstream_setting *u, struct tls_pem *ret,
		    struct error *err)
{
	const struct origin *own = &u->origin;
	bool own_pair = u->cert_file != NULL || u->key_file != NULL;
	struct tls_file ca = { u->ca_file, "tls.ca_file", own };
	struct tls_file cert = { u->cert_file, "tls.cert_file", own };
	struct tls_file key = { u->key_file, "tls.key_file", own };

	*ret = (struct tls_pem){ 0 };
	if (!is_https(u))
		return true;
	if (ca.path == NULL)
		ca = (struct tls_file){ c->ca_file, ca.key, origin_of_all(c, ca.key) };
	if (!own_pair) {
		cert = (struct tls_file){ c->cert_file, cert.key, origin_of_all(c, cert.key) };
		key = (struct tls_file){ c->key_file, key.key, origin_of_all(c, key.key) };
	}
	if (ca_read(&ca, ret, err) && pair_read(&cert, &key, ret, err))
		return true;
	tls_pem_done(ret);
	return false;
}

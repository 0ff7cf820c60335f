/* tls.c: OpenSSL parses the PEM texts; what it cannot parse is refused when the configuration is
 * read. */
#include "client/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"

/* ---- the texts ---- */

static void secret_free(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

void tls_pem_done(struct tls_pem *t)
{
	free(t->ca);
	secret_free(t->cert); /* the key may stand in it */
	secret_free(t->key);
	*t = (struct tls_pem){ 0 };
}

static bool text_copy(const char *from, char **ret)
{
	*ret = from != NULL ? strdup(from) : NULL;
	return (*ret != NULL) == (from != NULL);
}

bool tls_pem_copy(const struct tls_pem *from, struct tls_pem *ret)
{
	*ret = (struct tls_pem){ 0 };
	if (text_copy(from->ca, &ret->ca) && text_copy(from->cert, &ret->cert) &&
	    text_copy(from->key, &ret->key))
		return true;
	tls_pem_done(ret);
	return false;
}

static bool text_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool tls_pem_same(const struct tls_pem *a, const struct tls_pem *b)
{
	return text_same(a->ca, b->ca) && text_same(a->cert, b->cert) && text_same(a->key, b->key);
}

/* ---- PEM ---- */

static void bio_free(BIO **b)
{
	BIO_free(*b);
}

static void x509_free(X509 **x)
{
	X509_free(*x);
}

static void pkey_free(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}

/* No passphrase is asked for at the terminal. */
/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's signature */
static int on_passphrase(char *to, int size, int writing, void *asked)
{
	(void)to;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return 0;
}

static BIO *bio_of(const char *text)
{
	return BIO_new_mem_buf(text, -1);
}

/* Calls `each` for every certificate of the text, which stops at a false; returns how many there
 * are, -1 where one does not parse or `each` failed, whose error stays in OpenSSL's queue. */
static int certs_each(const char *text, bool (*each)(void *ctx, X509 *cert), void *ctx)
{
	AUTO(bio_free) BIO *in = bio_of(text);
	int n = 0;

	ERR_clear_error();
	for (;; n++) {
		AUTO(x509_free) X509 *cert = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL);
		if (cert == NULL)
			break;
		if (each != NULL && !each(ctx, cert))
			return -1;
	}
	bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	return ended ? n : -1;
}

static bool certs_check(const char *text, const char *what, char *why, size_t size)
{
	int n = certs_each(text, NULL, NULL);

	if (n > 0)
		return true;
	snprintf(why, size,
		 n == 0 ? "holds no %s in PEM form (-----BEGIN CERTIFICATE-----)"
			: "holds a %s that cannot be read: it is damaged or cut off",
		 what);
	return false;
}

bool tls_ca_check(const char *ca, char *why, size_t size)
{
	return certs_check(ca, "CA certificate", why, size);
}

bool tls_cert_check(const char *cert, char *why, size_t size)
{
	return certs_check(cert, "certificate", why, size);
}

bool tls_key_check(const char *cert, const char *key, char *why, size_t size)
{
	bool asked = false;
	AUTO(bio_free) BIO *cert_in = bio_of(cert);
	AUTO(bio_free) BIO *key_in = bio_of(key);
	AUTO(x509_free) X509 *first = PEM_read_bio_X509_AUX(cert_in, NULL, NULL, NULL);
	AUTO(pkey_free)
	EVP_PKEY *pair = PEM_read_bio_PrivateKey(key_in, NULL, on_passphrase, &asked);
	bool good = first != NULL && pair != NULL && X509_check_private_key(first, pair) == 1;

	ERR_clear_error();
	if (!good)
		snprintf(why, size, "%s",
			 asked ? "holds a private key that is protected by a passphrase: give one "
				 "without (openssl pkey -in KEY -out PLAIN)"
			 : pair == NULL ? "holds no private key in PEM form"
					: "holds a private key that is not the certificate's");
	return good;
}

/* ---- what is shown ---- */

/* The first is the certificate, those behind it are its signers'. */
static bool chain_add(void *to, X509 *cert)
{
	SSL_CTX *ctx = to;

	return SSL_CTX_get0_certificate(ctx) == NULL ? SSL_CTX_use_certificate(ctx, cert) == 1
						     : SSL_CTX_add1_chain_cert(ctx, cert) == 1;
}

bool tls_show(struct ssl_ctx_st *ctx, const struct tls_pem *t, char *why, size_t size)
{
	bool asked = false;
	AUTO(bio_free) BIO *in = bio_of(t->key != NULL ? t->key : t->cert);
	AUTO(pkey_free)
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, on_passphrase, &asked);

	ERR_clear_error();
	if (key != NULL && certs_each(t->cert, chain_add, ctx) > 0 &&
	    SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1)
		return true;
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	snprintf(why, size, "lowtide's own certificate cannot be used: %s",
		 reason != NULL ? reason : "out of memory");
	ERR_clear_error();
	return false;
}

/* ---- stores ---- */

static bool store_add(void *store, X509 *cert)
{
	return X509_STORE_add_cert(store, cert) == 1;
}

struct x509_store_st *tls_store_of(const char *ca)
{
	X509_STORE *store = X509_STORE_new();

	if (store != NULL && certs_each(ca, store_add, store) > 0) {
		/* A CA that was signed by another is trusted as it stands, as libcurl has it. */
		X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
		return store;
	}
	X509_STORE_free(store);
	return NULL;
}

struct x509_store_st *tls_store_of_machine(const char *file, const char *directory, bool *ret_good)
{
	X509_STORE *store = X509_STORE_new();
	const char *named_file = getenv("SSL_CERT_FILE"), *named_directory = getenv("SSL_CERT_DIR");

	if (store == NULL)
		return NULL;
	X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
	if (named_file != NULL)
		file = named_file;
	bool loaded = file != NULL && X509_STORE_load_file(store, file) == 1;
	if (named_directory != NULL)
		directory = named_directory;
	else if (loaded)
		directory = NULL;
	*ret_good = (loaded || named_file == NULL) &&
		    (directory == NULL || X509_STORE_load_path(store, directory) == 1);
	ERR_clear_error();
	return store;
}

void tls_store_free(struct x509_store_st *store)
{
	X509_STORE_free(store);
}

static bool first_write(void *out, X509 *cert)
{
	(void)PEM_write_bio_X509(out, cert);
	return false;
}

char *tls_ca_mark(const char *ca)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	AUTO(bio_free) BIO *out = BIO_new(BIO_s_mem());
	char *text;

	if (out == NULL || EVP_Digest(ca, strlen(ca), hash, &n, EVP_sha256(), NULL) != 1)
		return NULL;
	for (unsigned i = 0; i < n; i++)
		BIO_printf(out, "%02x", hash[i]);
	BIO_puts(out, "\n");
	certs_each(ca, first_write, out);
	long length = BIO_get_mem_data(out, &text);
	return length > 0 ? strndup(text, (size_t)length) : NULL;
}

/* certs.h: certificates made on the spot. */
#pragma once

#include "unit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct cert {
	X509 *x509;
	EVP_PKEY *key;
	char *pem, *key_pem;
};

struct cert_wanted {
	const char *name;
	const char *names;         /* as OpenSSL writes a subjectAltName; NULL: it has none */
	const struct cert *signer; /* NULL: itself */
	bool is_ca, expired;
	bool weak;   /* its key is one that OpenSSL does not take for TLS */
	long serial; /* 0: any */
};

static inline char *cert_text(BIO *b)
{
	char *p, *text;
	long n = BIO_get_mem_data(b, &p);

	text = strndup(p, (size_t)n);
	BIO_free(b);
	return text;
}

static inline void cert_extend(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

static inline struct cert cert_make(const struct cert_wanted *wanted)
{
	static long serials = 1000;
	struct cert c = { .x509 = X509_new(),
			  .key = wanted->weak ? EVP_RSA_gen(512) : EVP_EC_gen("P-256") };
	const struct cert *signer = wanted->signer != NULL ? wanted->signer : &c;
	BIO *out = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_mem());
	X509_NAME *name = X509_get_subject_name(c.x509);

	X509_set_version(c.x509, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x509),
			 wanted->serial != 0 ? wanted->serial : serials++);
	X509_gmtime_adj(X509_getm_notBefore(c.x509), -7200);
	X509_gmtime_adj(X509_getm_notAfter(c.x509), wanted->expired ? -3600 : 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)wanted->name,
				   -1, -1, 0);
	X509_set_issuer_name(c.x509, X509_get_subject_name(signer->x509));
	X509_set_pubkey(c.x509, c.key);
	if (wanted->is_ca)
		cert_extend(c.x509, NID_basic_constraints, "critical,CA:TRUE");
	if (wanted->names != NULL)
		cert_extend(c.x509, NID_subject_alt_name, wanted->names);
	assert_true(X509_sign(c.x509, signer->key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(out, c.x509), 1);
	assert_int_equal(PEM_write_bio_PrivateKey(key_out, c.key, NULL, NULL, 0, NULL, NULL), 1);
	c.pem = cert_text(out);
	c.key_pem = cert_text(key_out);
	return c;
}

static inline void cert_free(struct cert *c)
{
	X509_free(c->x509);
	EVP_PKEY_free(c->key);
	free(c->pem);
	free(c->key_pem);
	*c = (struct cert){ 0 };
}

/* tls.h: what the certificate of an https upstream is judged by, and what lowtide shows of itself.
 *
 * The texts are what the files of the configuration hold (PEM), read at the start and at each
 * reload: so what runs does not change under a file that is just being written, and a new
 * certificate is told from an old one by its text. Pure but for tls_store_new(), which may read the
 * machine's CA certificates. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct tls_pem {
	char *ca;   /* CA certificates; NULL: the machine's */
	char *cert; /* lowtide's own certificate, behind it its signers'; NULL: none */
	char *key;  /* its private key, without a passphrase; NULL where there is no `cert` */
};

void tls_pem_done(struct tls_pem *t);
/* False: no memory, and *ret is empty. */
bool tls_pem_copy(const struct tls_pem *from, struct tls_pem *ret);
bool tls_pem_same(const struct tls_pem *a, const struct tls_pem *b);

/* Whether the text is what it should be; else `why` says in words what is wrong. */
bool tls_ca_check(const char *ca, char *why, size_t size);
bool tls_cert_check(const char *cert, char *why, size_t size);
bool tls_key_check(const char *cert, const char *key, char *why, size_t size);

/* CA certificates, parsed once for all connections; OpenSSL's X509_STORE. */
struct x509_store_st;
/* The CA certificates of the text. NULL: it holds none, or no memory. */
struct x509_store_st *tls_store_of(const char *ca);
/* The machine's: the file and the directory that SSL_CERT_FILE and SSL_CERT_DIR name, else those
 * where libcurl was built to look (NULL: nowhere). A directory that no variable names counts only
 * where there is no file. *ret_good: what was named could be read. NULL: no memory. */
struct x509_store_st *tls_store_of_machine(const char *file, const char *directory, bool *ret_good);
void tls_store_free(struct x509_store_st *store);
/* A text that differs wherever the CA certificates do, and is a bundle by itself: the first of
 * them, with a hash of all. NULL: no memory. Owned by the caller. */
char *tls_ca_mark(const char *ca);

/* Lowtide's own certificate and key, shown to servers by all connections of the context; OpenSSL's
 * SSL_CTX. False: `why` says what it does not take. */
struct ssl_ctx_st;
bool tls_show(struct ssl_ctx_st *ctx, const struct tls_pem *t, char *why, size_t size);

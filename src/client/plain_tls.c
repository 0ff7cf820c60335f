/* plain_tls.c: TLS on connections, by OpenSSL: one context a server, whose sessions are resumed.
 *
 * A turn of the loop reads once ahead, as much as a record may have, and then to the end of the
 * record that was begun: the socket says what else there is. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "client/plain_impl.h"

/* ---- the way to a server ---- */

/* The newest ticket is the one that is used, for as many connections as are made meanwhile. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	const struct plain_conn *c = SSL_get_app_data(ssl);
	struct tls_way *w = c->host->tls;

	SSL_SESSION_free(w->session);
	w->session = session;
	return 1; /* it is ours */
}

static bool versions_set(SSL_CTX *ctx)
{
	return SSL_CTX_get_min_proto_version(ctx) >= TLS1_2_VERSION ||
	       SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1;
}

static bool trust_set(SSL_CTX *ctx, struct trust *t, const char *ca)
{
	X509_STORE *store = trust_store(t, ca);

	if (store == NULL)
		return false;
	SSL_CTX_set_cert_store(ctx, store);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return true;
}

/* Whatever the certificate's name is, a server is asked for HTTP/2 first: who wants it has it. */
static bool ctx_set(SSL_CTX *ctx)
{
	static const unsigned char protocols[] = "\x02h2\x08http/1.1";

	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	return versions_set(ctx) &&
	       SSL_CTX_set_alpn_protos(ctx, protocols, sizeof(protocols) - 1) == 0;
}

/* As certificates have it: a dot at the end is left out. */
static void name_set(struct tls_way *w, const char *host)
{
	unsigned char address[16];
	size_t n = 0;

	for (; host[n] != '\0'; n++)
		w->name[n] = (char)tolower((unsigned char)host[n]);
	if (n > 0 && w->name[n - 1] == '.')
		w->name[n - 1] = '\0';
	w->is_address = inet_pton(AF_INET, w->name, address) == 1 ||
			inet_pton(AF_INET6, w->name, address) == 1;
}

static bool way_make(struct tls_way *w, struct trust *t, const struct tls_pem *pem, const char *ca)
{
	w->ctx = SSL_CTX_new(TLS_client_method());
	if (w->ctx == NULL || !tls_pem_copy(pem, &w->pem) || !ctx_set(w->ctx) ||
	    !trust_set(w->ctx, t, ca))
		return false;
	if (pem->cert != NULL && tls_show(w->ctx, pem, w->fault, sizeof(w->fault)))
		SSL_CTX_set_post_handshake_auth(w->ctx, 1);
	return true;
}

struct tls_way *tls_way_new(struct trust *t, const struct tls_pem *pem, const char *ca,
			    const char *host)
{
	struct tls_way *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	name_set(w, host);
	if (way_make(w, t, pem, ca))
		return w;
	ERR_clear_error();
	tls_way_free(w);
	return NULL;
}

void tls_way_free(struct tls_way *w)
{
	if (w == NULL)
		return;
	SSL_SESSION_free(w->session);
	SSL_CTX_free(w->ctx);
	tls_pem_done(&w->pem);
	free(w);
}

/* ---- hands are shaken ---- */

static bool session_set(const struct tls_way *w, SSL *ssl)
{
	return w->session == NULL || SSL_SESSION_is_resumable(w->session) == 0 ||
	       SSL_set_session(ssl, w->session) == 1;
}

bool tls_begin(struct plain_conn *c)
{
	const struct tls_way *w = c->host->tls;
	SSL *ssl = SSL_new(w->ctx);

	if (ssl == NULL || SSL_set_fd(ssl, c->fd) != 1 || SSL_set_app_data(ssl, c) != 1 ||
	    (!w->is_address && SSL_set_tlsext_host_name(ssl, w->name) != 1) ||
	    !session_set(w, ssl)) {
		ERR_clear_error();
		SSL_free(ssl);
		return false;
	}
	SSL_set_connect_state(ssl);
	c->ssl = ssl;
	return true;
}

static bool has_names(const X509 *cert)
{
	return X509_get_ext_by_NID(cert, NID_subject_alt_name, -1) >= 0;
}

/* A certificate without a list of names has its subject's, for an address too. */
static bool name_fits(const struct tls_way *w, X509 *cert)
{
	if (w->is_address && has_names(cert))
		return X509_check_ip_asc(cert, w->name, 0) == 1;
	return X509_check_host(cert, w->name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

static bool name_check(const struct plain_conn *c, char *why, size_t size)
{
	const struct tls_way *w = c->host->tls;
	X509 *cert = SSL_get0_peer_certificate(c->ssl);

	if (cert != NULL && name_fits(w, cert))
		return true;
	snprintf(why, size,
		 "SSL: no alternative certificate subject name matches target host name '%s'",
		 c->host->name);
	return false;
}

/* Fills in what a call of OpenSSL's has come to that did not do what it should; returns errno: EAGAIN
 * waits for *ret_wants, 0: the other side has said farewell, EPROTO: c->fault. */
static int stopped(struct plain_conn *c, int result, uint32_t *ret_wants)
{
	int saved = errno;

	switch (SSL_get_error(c->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		*ret_wants = EPOLLIN;
		return EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*ret_wants = EPOLLOUT;
		return EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return saved != 0 ? saved : ECONNRESET;
	default:
		c->fault = ERR_peek_error();
		return EPROTO;
	}
}

/* The words of a handshake that has failed. */
static void refusal(const struct plain_conn *c, int sys, enum exchange_end *ret_how, char *why,
		    size_t size)
{
	long verified = SSL_get_verify_result(c->ssl);
	const struct plain_host *h = c->host;

	*ret_how = EXCHANGE_UNREACHABLE;
	if (verified != X509_V_OK) {
		*ret_how = EXCHANGE_CERTIFICATE;
		snprintf(why, size, "SSL certificate problem: %s",
			 X509_verify_cert_error_string(verified));
		return;
	}
	if (tls_fault_certificate(c->fault))
		*ret_how = EXCHANGE_CERTIFICATE;
	snprintf(why, size, "TLS handshake with %s port %u failed: %s", h->name, h->port,
		 c->fault != 0 ? tls_fault_words(c->fault)
		 : sys == 0    ? "the other side has ended it"
			       : strerrordesc_np(sys));
}

enum tls_shaken tls_shake(struct plain_conn *c, enum exchange_end *ret_how, char *why, size_t size)
{
	ERR_clear_error();
	int done = SSL_do_handshake(c->ssl);
	if (done == 1) {
		*ret_how = EXCHANGE_CERTIFICATE;
		return name_check(c, why, size) ? TLS_SHAKEN : TLS_REFUSED;
	}
	int sys = stopped(c, done, &c->in_wants);
	if (sys == EAGAIN)
		return TLS_SHAKES;
	refusal(c, sys, ret_how, why, size);
	return TLS_REFUSED;
}

bool tls_is_http2(const struct plain_conn *c)
{
	const unsigned char *name = NULL;
	unsigned n = 0;

	SSL_get0_alpn_selected(c->ssl, &name, &n);
	return n == 2 && memcmp(name, "h2", 2) == 0;
}

/* ---- read and written ---- */

ssize_t tls_read(struct plain_conn *c, char *to, size_t size, bool again)
{
	ERR_clear_error();
	SSL_set_read_ahead(c->ssl, !again);
	int n = SSL_read(c->ssl, to, (int)size);
	c->in_wants = EPOLLIN;
	if (n > 0)
		return n;
	errno = stopped(c, n, &c->in_wants);
	return errno == 0 ? 0 : -1;
}

ssize_t tls_write(struct plain_conn *c, const char *from, size_t n)
{
	ERR_clear_error();
	int done = SSL_write(c->ssl, from, (int)n);
	c->out_wants = EPOLLOUT;
	if (done > 0)
		return done;
	errno = stopped(c, done, &c->out_wants);
	if (errno == 0)
		errno = EPIPE;
	return -1;
}

bool tls_holds(const struct plain_conn *c)
{
	return SSL_has_pending(c->ssl) == 1;
}

bool tls_is_quiet(struct plain_conn *c)
{
	char byte;

	return tls_read(c, &byte, 1, true) < 0 && errno == EAGAIN && c->in_wants == EPOLLIN;
}

/* OpenSSL resumes no session whose connection has ended without a farewell of ours: one that the other
 * side has cut off counts as if it had. */
void tls_end(struct plain_conn *c)
{
	if (c->ssl == NULL)
		return;
	ERR_clear_error();
	if (c->fault == 0 && SSL_is_init_finished(c->ssl) == 1)
		(void)SSL_shutdown(c->ssl); /* nobody waits for the answer */
	else if (tls_fault_cut(c->fault))
		SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN);
	ERR_clear_error();
	SSL_free(c->ssl);
	c->ssl = NULL;
}

/* ---- faults ---- */

const char *tls_fault_words(unsigned long fault)
{
	const char *words = ERR_reason_error_string(fault);

	if (tls_fault_cut(fault))
		return "closed without close_notify";
	return words != NULL ? words : "an error of TLS";
}

/* The alerts by which a server refuses a certificate (RFC 8446, 6.2). In TLS 1.3 one comes after the
 * handshake, as the answer to a request. */
bool tls_fault_certificate(unsigned long fault)
{
	if (ERR_GET_LIB(fault) != ERR_LIB_SSL)
		return false;
	switch (ERR_GET_REASON(fault) - SSL_AD_REASON_OFFSET) {
	case SSL3_AD_NO_CERTIFICATE:
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_CERTIFICATE_EXPIRED:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_UNKNOWN_CA:
	case SSL_AD_ACCESS_DENIED:
	case SSL_AD_CERTIFICATE_REQUIRED:
		return true;
	default:
		return false;
	}
}

bool tls_fault_cut(unsigned long fault)
{
	return ERR_GET_LIB(fault) == ERR_LIB_SSL &&
	       ERR_GET_REASON(fault) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

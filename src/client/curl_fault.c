/* curl_fault.c: from libcurl's codes and sentences to the ends of client.h. */
#include <string.h>

#include "client/curl_impl.h"

bool curl_fault_connected(CURL *easy)
{
	curl_off_t pretransfer_us = 0;

	return curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer_us) == CURLE_OK &&
	       pretransfer_us > 0;
}

/* Codes of the time before a request. */
static bool is_of_connecting(CURLcode code)
{
	return code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_COULDNT_RESOLVE_HOST ||
	       code == CURLE_COULDNT_CONNECT || code == CURLE_SSL_CONNECT_ERROR ||
	       code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM;
}

const char *curl_fault_sentence(CURLcode code, const char *said, bool sent)
{
	bool of_another = sent && is_of_connecting(code);

	return said[0] != '\0' && !of_another ? said : curl_easy_strerror(code);
}

static bool has_any(const char *text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strstr(text, words[i]) != NULL)
			return true;
	return false;
}

bool curl_fault_certificate(CURLcode code, const char *said)
{
	/* OpenSSL's words for the alerts by which a server refuses ours (RFC 8446, 6.2). In TLS 1.3
	 * one comes after the handshake, as the answer to a request. */
	static const char *const alerts[] = {
		"alert certificate required",
		"alert bad certificate",
		"alert unsupported certificate",
		"alert certificate revoked",
		"alert certificate expired",
		"alert certificate unknown",
		"alert unknown ca",
		"alert access denied",
		"alert no certificate",
	};

	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CLIENTCERT:
		return true;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return has_any(said, alerts, ARRAY_LEN(alerts));
	default:
		return false;
	}
}

bool curl_fault_unprocessed(CURLcode code, const char *said)
{
	switch (code) {
	case CURLE_HTTP2: /* of the session, which takes no more requests: GOAWAY */
		return true;
	case CURLE_HTTP2_STREAM: /* RFC 9113, 8.7 */
		return strstr(said, "REFUSED_STREAM") != NULL || strstr(said, "(err 7)") != NULL;
	case CURLE_PARTIAL_FILE: /* HTTP/2: the connection went from under the request */
		return strstr(said, "before end of the underlying stream") != NULL;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR: /* refused, or met a dead kept connection, each time */
		return strstr(said, "Connection died, tried") != NULL;
	default:
		return false;
	}
}

/* Whether a proxy refused for a reason that only the operator can mend: it wants a password, or
 * forbids the server. */
static bool is_refused_by_proxy(CURL *easy)
{
	long status = 0; /* of the answer to CONNECT */

	if (curl_fault_connected(easy) ||
	    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status) != CURLE_OK)
		return false;
	return status == 401 || status == 403 || status == 407;
}

/* A connection that was kept may have been closed by the other side long ago. */
static bool was_kept(CURL *easy)
{
	long connections = 0;

	return curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections) == CURLE_OK &&
	       connections == 0;
}

enum exchange_end curl_fault_end(const struct curl_exchange *c, CURLcode code, int status)
{
	if (c->refused)
		return EXCHANGE_TOO_LARGE;
	if (c->malformed != NULL)
		return EXCHANGE_MALFORMED;
	if (code == CURLE_OK)
		return EXCHANGE_WHOLE;
	if (curl_fault_certificate(code, c->said))
		return EXCHANGE_CERTIFICATE;
	if (curl_fault_unprocessed(code, c->said))
		return EXCHANGE_UNPROCESSED;
	if (is_refused_by_proxy(c->easy))
		return EXCHANGE_PROXY;
	if (code == CURLE_BAD_CONTENT_ENCODING)
		return EXCHANGE_CODED;
	if (c->of->sent == 0)
		return EXCHANGE_UNREACHABLE;
	if (code == CURLE_OPERATION_TIMEDOUT)
		return EXCHANGE_TIMEOUT;
	/* We have stopped it before it would have gone out once more. On new connections libcurl
	 * sends again only what was refused: streams of HTTP/2. Else all that had been kept were
	 * dead. */
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return c->fresh ? EXCHANGE_UNPROCESSED : EXCHANGE_STALE;
	return status == 0 && was_kept(c->easy) ? EXCHANGE_STALE : EXCHANGE_BROKEN;
}

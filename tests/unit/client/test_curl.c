/* test_curl.c: what libcurl's codes and sentences mean. */
#include "unit.h"

#include "client/curl_impl.h"

static void certificates(void **state)
{
	(void)state;
	static const char required[] = "OpenSSL SSL_read: error:0A00045C:SSL routines::"
				       "tlsv13 alert certificate required, errno 0";
	static const char unknown[] = "error:0A000418:SSL routines::tlsv1 alert unknown ca";
	assert_true(curl_fault_certificate(CURLE_PEER_FAILED_VERIFICATION, ""));
	assert_true(curl_fault_certificate(CURLE_SSL_CERTPROBLEM, ""));
	assert_true(curl_fault_certificate(CURLE_RECV_ERROR, required));
	assert_true(curl_fault_certificate(CURLE_SSL_CONNECT_ERROR, unknown));
	assert_false(curl_fault_certificate(CURLE_RECV_ERROR, "Recv failure: Connection reset"));
	assert_false(curl_fault_certificate(CURLE_SSL_CONNECT_ERROR, "wrong version number"));
	assert_false(curl_fault_certificate(CURLE_COULDNT_CONNECT, required));
	assert_false(curl_fault_certificate(CURLE_OK, ""));
}

/* T5, T6: as libcurl 7.88.1 says them. */
static void never_processed(void **state)
{
	(void)state;
	assert_true(curl_fault_unprocessed(
		CURLE_HTTP2_STREAM,
		"HTTP/2 stream 3 was not closed cleanly: REFUSED_STREAM (err 7)"));
	assert_true(curl_fault_unprocessed(CURLE_HTTP2, ""));
	assert_true(curl_fault_unprocessed(CURLE_RECV_ERROR,
					   "Connection died, tried 5 times before giving up"));
	assert_true(curl_fault_unprocessed(CURLE_PARTIAL_FILE,
					   "HTTP/2 stream 5 was not closed cleanly before end of "
					   "the underlying stream"));
	assert_false(curl_fault_unprocessed(
		CURLE_HTTP2_STREAM,
		"HTTP/2 stream 3 was not closed cleanly: INTERNAL_ERROR (err 2)"));
	assert_false(curl_fault_unprocessed(CURLE_PARTIAL_FILE, "transfer closed with 9 bytes"));
	assert_false(curl_fault_unprocessed(CURLE_RECV_ERROR, "Recv failure: Connection reset"));
	assert_false(curl_fault_unprocessed(CURLE_OPERATION_TIMEDOUT, ""));
}

/* Seen: "Send failure: Broken pipe" of a kept connection, when the new one's certificate was
 * refused. */
static void a_sentence_is_about_the_end(void **state)
{
	(void)state;
	static const char expired[] = "SSL certificate problem: certificate has expired";
	static const char broken[] = "Send failure: Broken pipe";
	CURLcode refused = CURLE_PEER_FAILED_VERIFICATION;
	assert_string_equal(curl_fault_sentence(refused, expired, false), expired);
	assert_string_equal(curl_fault_sentence(refused, broken, true),
			    curl_easy_strerror(refused));
	assert_string_equal(curl_fault_sentence(CURLE_SEND_ERROR, broken, true), broken);
	assert_string_equal(curl_fault_sentence(CURLE_HTTP2, "", true),
			    curl_easy_strerror(CURLE_HTTP2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificates),
		cmocka_unit_test(never_processed),
		cmocka_unit_test(a_sentence_is_about_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

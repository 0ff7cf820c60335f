/* fault.c: what went wrong, in a sentence for whoever runs the server: with the setting to look
 * at. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "s3/s3_impl.h"

struct word {
	const char *code;
	int sys;
	const char *says;
	bool one; /* it may be of one call alone */
};

/* The store's own words that an operator can do something about. */
static const struct word words[] = {
	{ "InvalidAccessKeyId", EACCES,
	  "the store does not know the access key (blobs.credentials_file)" },
	{ "XAdminUserNotFound", EACCES, /* versitygw's */
	  "the store does not know the access key (blobs.credentials_file)" },
	{ "SignatureDoesNotMatch", EACCES,
	  "the store refuses the signature: the secret key (blobs.credentials_file) or blobs.region "
	  "is wrong" },
	{ "AccessDenied", EACCES,
	  "the store does not let these credentials do that (blobs.credentials_file, the bucket's "
	  "policy)",
	  true },
	{ "AllAccessDisabled", EACCES, "the store has closed this bucket" },
	{ "InvalidToken", EACCES, "the session token is wrong (blobs.credentials_file)" },
	{ "ExpiredToken", EACCES, "the session token has ended (blobs.credentials_file)" },
	{ "AuthorizationHeaderMalformed", EACCES,
	  "the store refuses the signature: blobs.region is wrong" },
	{ "RequestTimeTooSkewed", EACCES,
	  "this machine's clock is off: the store refuses requests that are signed at another time "
	  "than its own" },
	{ "NoSuchBucket", ENODEV, "there is no such bucket (blobs, blobs.endpoint)" },
	{ "InvalidBucketName", ENODEV, "the store takes no bucket of that name (blobs)" },
	{ "PermanentRedirect", ENODEV, "the bucket is elsewhere (blobs.region, blobs.endpoint)" },
	{ "NoSuchKey", ENOENT, "there is no such object" },
	{ "InvalidRange", ENODATA, "the object ends before" },
	{ "PreconditionFailed", EBADMSG,
	  "the object is not the one that it was: something else than lowtide has changed it" },
	{ "ConditionalRequestConflict", EEXIST, "another puts that object now" },
	{ "NoSuchUpload", ENOENT, "the upload in parts is not there any more" },
	{ "BadDigest", EBADMSG, "the bytes that came to the store are not those that were sent" },
	{ "XAmzContentSHA256Mismatch", EBADMSG,
	  "the bytes that came to the store are not those that were sent" },
	{ "InvalidEncryptionAlgorithmError", EIO,
	  "the store does not encrypt in that way (blobs.encryption)" },
};

static const struct word *word_of(const char *code)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(words[i].code, code) == 0)
			return &words[i];
	return NULL;
}

/* Where there is no word: HEAD has no body, and proxies speak no XML. */
static const struct word *word_of_status(const struct s3_attempt *a)
{
	static const struct word forbidden = { "", EACCES,
					       "the store does not let these credentials do that "
					       "(blobs.credentials_file, blobs.region)",
					       true };
	static const struct word gone = { "", ENOENT, "there is no such object" };
	static const struct word no_bucket = { "", ENODEV,
					       "there is no such bucket (blobs, blobs.endpoint)" };
	static const struct word replaced = { "", EBADMSG,
					      "the object is not the one that it was: something "
					      "else than lowtide has changed it" };
	static const struct word shorter = { "", ENODATA, "the object ends before" };
	static const struct word elsewhere = { "", ENODEV,
					       "the bucket is elsewhere (blobs.region, "
					       "blobs.endpoint)" };

	switch (a->answer.status) {
	case 301:
	case 302:
	case 307:
		return &elsewhere;
	case 401:
	case 403:
		return &forbidden;
	case 404:
		return a->call->key != NULL ? &gone : &no_bucket;
	case 412:
		return &replaced;
	case 416:
		return &shorter;
	default:
		return NULL;
	}
}

static bool is_certificate(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
	       code == CURLE_SSL_ISSUER_ERROR;
}

static bool connection_passes(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_FAIL_REWIND:
		return true;
	default:
		return false;
	}
}

bool s3_fault_passes(const struct s3_attempt *a, const char *code)
{
	if (a->body_fault || a->full)
		return false;
	if (a->code != CURLE_OK)
		return connection_passes(a->code);
	switch (a->answer.status) {
	case 408:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return true;
	case 400:
		return strcmp(code, "RequestTimeout") == 0 || strcmp(code, "BadDigest") == 0 ||
		       strcmp(code, "XAmzContentSHA256Mismatch") == 0;
	default: /* a 200 that holds an error: a copy, or the end of an upload in parts */
		return strcmp(code, "InternalError") == 0 || strcmp(code, "SlowDown") == 0 ||
		       strcmp(code, "ServiceUnavailable") == 0;
	}
}

/* "putting files/x.jsonl" */
static void doing(const struct s3_attempt *a, char *to, size_t size)
{
	snprintf(to, size, "%s %s", a->call->what,
		 a->call->key != NULL ? a->call->key : a->s->bucket);
}

/* What fail_sys() has filled: the same call may do later. */
static bool passing(struct error *err)
{
	err->kind = ERR_UNAVAILABLE;
	snprintf(err->message, sizeof(err->message),
		 "The server cannot reach its object storage now. Try again later.");
	return false;
}

/* It may do once somebody has set it right, and nothing of what was asked is at fault. */
static bool refused(struct s3_attempt *a, const struct word *word, const char *what,
		    struct error *err)
{
	(void)!fail_sys(err, word->sys, "%s: %s", what, word->says);
	if (word->sys != EACCES && word->sys != ENODEV)
		return false;
	a->refuses_us = !word->one;
	err->kind = ERR_UNAVAILABLE;
	snprintf(err->message, sizeof(err->message),
		 "The server cannot use its object storage now. Try again later.");
	return false;
}

static bool say_connection(struct s3_attempt *a, const char *what, struct error *err)
{
	const char *said = a->said[0] != '\0' ? a->said : curl_easy_strerror(a->code);

	a->untrusted = is_certificate(a->code);
	if (a->untrusted) {
		(void)!fail_sys(err, EACCES, "%s: the store's certificate (blobs.ca_file): %s",
				what, said);
		return passing(err);
	}
	if (!connection_passes(a->code))
		return fail_sys(err, EIO, "%s: %s (blobs.endpoint)", what, said);
	(void)!fail_sys(err, EAGAIN, "%s: %s (blobs.endpoint)", what, said);
	return passing(err);
}

bool s3_fault_say(struct s3_attempt *a, const char *code, struct error *err)
{
	const struct word *word = word_of(code);
	char what[100];
	bool passes = s3_fault_passes(a, code);

	if (a->body_fault)
		return false; /* who reads the body has said why */
	doing(a, what, sizeof(what));
	if (a->full)
		return fail_sys(err, EBADMSG, "%s: more came than was asked for", what);
	if (a->code != CURLE_OK)
		return say_connection(a, what, err);
	if (word == NULL && code[0] == '\0')
		word = word_of_status(a);
	if (word != NULL && a->answer.region[0] != '\0' && word->sys == ENODEV) {
		(void)!refused(a, word, what, err);
		snprintf(err->detail, sizeof(err->detail),
			 "%s: the bucket is in the region %s (blobs.region)", what,
			 a->answer.region);
		return false;
	}
	if (word != NULL)
		return refused(a, word, what, err);
	(void)!fail_sys(err, passes ? EAGAIN : EIO, "%s: the store answers %d %s", what,
			a->answer.status, code);
	return passes && passing(err);
}

/* s3_impl.h: what the files of s3 share. Private to them and to their unit tests.
 *
 *	s3.c         what is set, the pool of handles
 *	xml.c        what the store writes, read by expat
 *	checksum.c   SHA-256
 */
#pragma once

#include <curl/curl.h>
#include <pthread.h>

#include "base/buf.h"
#include "s3/s3.h"

#define S3_HANDLES 16u /* that are kept with their connections */
#define S3_KEY_SIZE 1025
#define S3_URL_SIZE 4096
#define S3_ANSWER_BYTES (4u << 20) /* of an answer that is read here, XML */
#define S3_HASH_SIZE 65            /* hexadecimal */
#define S3_CHECKSUM_SIZE 45        /* base64 */

struct s3 {
	char *base;   /* URL of the bucket, without a '/' at its end */
	char *sign;   /* "aws:amz:REGION:s3" */
	char *bucket; /* as in the settings */
	char *prefix; /* "" or ends with a '/' */
	char *access_key, *secret_key, *session_token;
	char *ca_file, *encryption;
	const char *proxy; /* the environment's; "": none */
	unsigned connect_timeout_ms, timeout_ms, patience_ms, attempts, backoff_ms;

	pthread_mutex_t lock; /* for all below */
	pthread_cond_t ends;
	bool gives_up;
	CURL *idle[S3_HANDLES];
	unsigned idle_n;
};

/* ---- s3.c ---- */

/* NULL: no memory. */
CURL *s3_handle_take(struct s3 *s);
void s3_handle_give(struct s3 *s, CURL *easy);

/* ---- xml.c ---- */

/* Calls `each` at the end of every element, with the name of the one around it and its own text.
 * False: the text is no XML, or too deep; or `each` has said so, and filled `err`. */
typedef bool (*s3_element_fn)(void *ctx, const char *around, const char *name, struct slice text,
			      struct error *err);
MUST_USE bool s3_xml_read(struct slice xml, s3_element_fn each, void *ctx, struct error *err);
/* The text of the element `name` directly in `around`. ENOMSG in err->sys: there is none, or it is too
 * long; otherwise as s3_xml_read(). */
MUST_USE bool s3_xml_find(struct slice xml, const char *around, const char *name, char *to,
			  size_t size, struct error *err);
/* "2026-12-01T15:49:20.000Z" as Unix s; 0: it is none. */
int64_t s3_time(struct slice text);

/* ---- checksum.c ---- */

struct s3_hash {
	char hex[S3_HASH_SIZE], base64[S3_CHECKSUM_SIZE];
};
/* Of what `body` reads; NULL: of nothing. */
MUST_USE bool s3_hash_body(const struct s3_body *body, struct s3_hash *ret, struct error *err);
MUST_USE bool s3_hash_bytes(struct slice bytes, struct s3_hash *ret, struct error *err);

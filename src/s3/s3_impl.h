/* s3_impl.h: what the files of s3 share. Private to them and to their unit tests.
 *
 *	s3.c         what is set, the pool of handles
 *	object.c     the calls for whole objects
 *	multipart.c  an object in parts
 *	copy.c       copies of objects
 *	leftover.c   uploads in parts that nobody will complete
 *	call.c       a call: attempts and the waits between them
 *	keys.c       what requests are signed with, and others in its place
 *	attempt.c    one request by libcurl, signed, and its answer
 *	fault.c      what an answer that is no good means, in a sentence
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
	char *ca_file, *encryption;
	bool (*renew)(void *ctx, struct s3_credentials *ret, struct error *err); /* NULL: none */
	void *renew_ctx;
	const char *proxy; /* the environment's; "": none */
	unsigned connect_timeout_ms, timeout_ms, patience_ms, attempts, backoff_ms;

	_Atomic int standing;     /* enum s3_standing */
	_Atomic bool was_good;    /* a call has been: before that a start tells what is wrong */
	pthread_mutex_t renewing; /* before `lock` */
	bool renew_failed;        /* was told; under `renewing` */
	pthread_mutex_t lock;     /* for all below */
	pthread_cond_t ends;
	bool gives_up;
	struct s3_credentials keys;
	uint64_t keys_epoch; /* grows with each that came in their place */
	CURL *idle[S3_HANDLES];
	unsigned idle_n;
};

/* ---- s3.c ---- */

/* NULL: no memory. */
CURL *s3_handle_take(struct s3 *s);
void s3_handle_give(struct s3 *s, CURL *easy);

/* ---- keys.c ---- */

/* INVALID: a text is missing, or is none that can stand in a header; `param` is s3_credentials' member. */
MUST_USE bool s3_keys_check(const struct s3_credentials *k, struct error *err);
/* A copy of those of now, to be wiped, and their epoch. */
uint64_t s3_keys_take(struct s3 *s, struct s3_credentials *ret);
/* The store has refused those of `epoch`: whether there are others by now. */
bool s3_keys_renew(struct s3 *s, uint64_t epoch);

/* ---- call.c ---- */

/* Where the bytes of a good answer go. */
struct s3_sink {
	char *to;    /* NULL: to `text` */
	size_t size; /* exactly so many for a range; at most so many of a whole object */
	bool whole;
	size_t n;        /* that came */
	struct buf text; /* of an answer that is read here, or of one that says what is wrong */
};

struct s3_call {
	const char *method;         /* "GET", "PUT", "POST", "HEAD", "DELETE" */
	const char *key;            /* NULL: the bucket itself */
	const char *query;          /* "a=1&b=2", escaped and in the order of names; NULL: none */
	const struct s3_body *body; /* NULL: none */
	bool keeps_checksum;        /* the store is to keep the body's */
	bool xml;                   /* a 200 may hold an error all the same */
	const char *headers[6];
	unsigned header_n;
	bool range;       /* 206 alone is good */
	uint64_t from;    /* where the range begins */
	const char *what; /* for messages: "putting" */
};

/* What the head of an answer says. */
struct s3_answer {
	int status;
	char etag[S3_ETAG_SIZE], checksum[S3_CHECKSUM_SIZE];
	char region[64]; /* x-amz-bucket-region */
	uint64_t length; /* UINT64_MAX: it does not say */
	uint64_t from;   /* of a range, its first byte; UINT64_MAX: it does not say */
	uint64_t total;  /* of a range, the object's length; UINT64_MAX: it does not say */
	int64_t date_s;  /* Unix s; 0: it does not say */
	uint64_t retry_after_ms;
	char body_checksum[S3_CHECKSUM_SIZE]; /* of what was sent */
};

/* `sink` NULL: a good answer has nothing to say. The buffer `text` is the caller's to free. */
MUST_USE bool s3_call(struct s3 *s, const struct s3_call *c, struct s3_sink *sink,
		      struct s3_answer *ret, struct error *err);

/* ---- attempt.c ---- */

struct s3_attempt {
	struct s3 *s;
	const struct s3_call *call;
	struct s3_sink *sink;
	struct s3_answer answer;
	struct error *err;     /* of `call`'s body, where it cannot be read */
	const char *hash;      /* of the body, hexadecimal */
	uint64_t keys_epoch;   /* of the credentials that it was signed with */
	uint64_t sent;         /* of the body */
	bool body_fault, full; /* it could not be read · more came than was asked for */
	bool refuses_us;       /* no call of ours would be taken: s3_fault_say() */
	bool untrusted;        /* its certificate is none of blobs.ca_file's: likewise */
	CURLcode code;
	char said[CURL_ERROR_SIZE];
};

/* False: no memory. */
MUST_USE bool s3_attempt_make(struct s3_attempt *a);

/* ---- fault.c ---- */

/* Whether the same call may do another time. */
bool s3_fault_passes(const struct s3_attempt *a, const char *code);
/* Fills `err` for an attempt that failed; `code` is the store's word for it, "": none. */
bool s3_fault_say(struct s3_attempt *a, const char *code, struct error *err);

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

/* ---- object.c ---- */

/* Appends `text` with all escaped but letters, digits and "-._~". */
void s3_escape(struct buf *to, const char *text);

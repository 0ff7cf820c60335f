/* s3.h: a bucket of an S3-compatible store: objects put, read by range, listed, removed, and put in
 * parts.
 *
 * Every call blocks for at most s3_config.patience_ms and an attempt; it is for worker threads. What
 * may pass (no connection, time-outs, 408, 429, 500, 502, 503, 504, bodies that were cut) is tried
 * again, after waits that double and are drawn at random from nothing to that (full jitter);
 * Retry-After is kept to. Other answers are final.
 *
 * Bytes: each body is sent with its SHA-256 in the signature (x-amz-content-sha256), which the server
 * checks, and as x-amz-checksum-sha256, which the server keeps. What comes back has to have the
 * length that was asked for; a whole object is compared with the checksum that the server has kept.
 *
 * Errors: kind UNAVAILABLE where the same call may do later, with EAGAIN in err->sys; else INTERNAL
 * with ENOENT (no such object), EBADMSG (the object is not the one that it was), EACCES (the store
 * does not let us), ENODEV (no bucket, or one elsewhere) or EIO. `detail` is one sentence for the log
 * which names the setting to look at; `message` is general. Keys and bodies are in neither.
 *
 * Threads: any. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"

struct s3;

/* What is set; texts are copied. NULL or 0: the default, where there is one. */
struct s3_config {
	const char *endpoint;      /* "https://s3.example.org", "http://10.0.0.2:9000" */
	const char *region;        /* "us-east-1" is the default */
	const char *bucket;        /* 3 to 63 of a-z, 0-9, '.', '-' */
	const char *prefix;        /* of all keys, "" is the default; a '/' is put behind it */
	bool path_style;           /* ENDPOINT/BUCKET/KEY; else BUCKET.ENDPOINT/KEY */
	const char *access_key;    /* the credentials */
	const char *secret_key;    /* likewise */
	const char *session_token; /* of credentials that end; NULL: none */
	const char *ca_file;       /* CA certificates, PEM; NULL: the machine's */
	const char *encryption; /* x-amz-server-side-encryption: "AES256", "aws:kms"; NULL: none */
	unsigned connect_timeout_ms; /* 10 s */
	unsigned timeout_ms;         /* of one attempt, 60 s */
	unsigned patience_ms;        /* no attempt is begun later, 60 s */
	unsigned attempts;           /* 8 at most */
	unsigned backoff_ms;         /* the longest first wait, 200 ms; it doubles up to 10 s */
};

/* Checks what is set and asks nothing. INVALID: `message` says what makes no sense, `param` is the
 * member of s3_config. */
MUST_USE bool s3_open(const struct s3_config *c, struct s3 **ret, struct error *err);
/* No call is under way. NULL is fine. */
void s3_close(struct s3 *s);
/* Calls that wait to be tried again fail at once, now and from now on: the process ends. */
void s3_give_up(struct s3 *s);

/* A body to be sent, read once for its checksum and once an attempt. `read` gives exactly `n` bytes
 * at `at`. */
struct s3_body {
	bool (*read)(void *ctx, uint64_t at, void *to, size_t n, struct error *err);
	void *ctx;
	uint64_t bytes;
};

/* s3.h: a bucket of an S3-compatible store: objects put, read by range, listed, removed, and put in
 * parts.
 *
 * Every call blocks for at most s3_config.patience_ms and an attempt; it is for worker threads. What
 * may pass (no connection, time-outs, 408, 429, 500, 502, 503, 504, bodies that were cut) is tried
 * again, after waits that double and are drawn at random from nothing to that (full jitter);
 * Retry-After is kept to. So is what the store refuses of these credentials, where s3_config.renew has
 * others. Other answers are final.
 *
 * Bytes: each body is sent with its SHA-256 in the signature (x-amz-content-sha256), which the server
 * checks, and as x-amz-checksum-sha256, which the server keeps. What comes back has to have the
 * length, and be the range, that was asked for; a whole object is compared with the checksum that the
 * server has kept, also where it was asked for as a range.
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

/* What requests are signed with. Whoever has a copy wipes it: s3_credentials_wipe(). */
struct s3_credentials {
	char access_key[256], secret_key[2048];
	char session_token[4096]; /* of credentials that end; "": none */
};
void s3_credentials_wipe(struct s3_credentials *k);

/* What is set; texts and credentials are copied. NULL or 0: the default, where there is one. */
struct s3_config {
	const char *endpoint; /* "https://s3.example.org", "http://10.0.0.2:9000" */
	const char *region;   /* "us-east-1" is the default */
	const char *bucket;   /* 3 to 63 of a-z, 0-9, '.', '-' */
	const char *prefix;   /* of all keys, "" is the default; a '/' is put behind it */
	bool path_style;      /* ENDPOINT/BUCKET/KEY; else BUCKET.ENDPOINT/KEY */
	const struct s3_credentials *credentials;
	/* Asked when the store has refused those that it gave last, or the first: there may be others by
	 * now. From any thread, one at a time. NULL: there never are. `ctx` outlives the s3. */
	bool (*renew)(void *ctx, struct s3_credentials *ret, struct error *err);
	void *renew_ctx;
	const char *ca_file;    /* CA certificates, PEM; NULL: the machine's */
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
/* Whether the bucket can be asked: it is there, and lets us list. */
MUST_USE bool s3_check(struct s3 *s, struct error *err);
/* What the last calls have shown. */
enum s3_standing {
	S3_ANSWERS,
	S3_DOUBTED, /* it has refused one call as if it did not know us: s3_check() tells */
	S3_AWAY, /* from the third attempt of a call that had no answer, or one to come again; its
	             * certificate is not to be believed */
	S3_REFUSES, /* it takes no call of these credentials, or of this machine's clock */
	S3_NO_BUCKET,
};
enum s3_standing s3_standing(const struct s3 *s);
/* The store's clock, Unix s, as the head of an answer says; 0: it does not say. */
MUST_USE bool s3_now(struct s3 *s, int64_t *ret, struct error *err);
/* Calls that wait to be tried again fail at once, now and from now on: the process ends. */
void s3_give_up(struct s3 *s);

/* A body to be sent, read once for its checksum and once an attempt. `read` gives exactly `n` bytes
 * at `at`. */
struct s3_body {
	bool (*read)(void *ctx, uint64_t at, void *to, size_t n, struct error *err);
	void *ctx;
	uint64_t bytes;
};
/* A body of bytes in memory, which `s` and they outlive. */
struct s3_body s3_body_of(const struct slice *s);

#define S3_ETAG_SIZE 80
struct s3_object {
	uint64_t bytes;
	int64_t modified_s; /* Unix s; of s3_list() alone */
	char etag[S3_ETAG_SIZE];
};

/* Keys are below the prefix, of A-Z, a-z, 0-9, '.', '_', '-' and '/'. */

/* Puts a whole object, in place of one that is there: whole or not at all. After a failure either
 * stands there. 5 GiB at most. `ret` may be NULL. */
MUST_USE bool s3_put(struct s3 *s, const char *key, const struct s3_body *body,
		     struct s3_object *ret, struct error *err);
/* The same, but only where there is no object of that key: EEXIST in err->sys where there is one, which
 * may be this call's own, whose first answer was lost. A store that knows no such condition puts it in
 * place of the other. */
MUST_USE bool s3_put_new(struct s3 *s, const char *key, const struct s3_body *body,
			 struct error *err);
/* Exactly `n` bytes (> 0) at `at`; ENODATA in err->sys where the object ends before. With `etag` of
 * that object alone: EBADMSG where another has its place. */
MUST_USE bool s3_read(struct s3 *s, const char *key, const char *etag, uint64_t at, void *to,
		      size_t n, struct error *err);
/* The whole object, of `size` bytes at most, compared with its checksum. */
MUST_USE bool s3_read_whole(struct s3 *s, const char *key, void *to, size_t size, size_t *ret_n,
			    struct error *err);
MUST_USE bool s3_head(struct s3 *s, const char *key, struct s3_object *ret, struct error *err);
/* What is not there is no error. */
MUST_USE bool s3_delete(struct s3 *s, const char *key, struct error *err);
/* A copy of an object of `bytes` bytes, made by the store where it is not so large that it would
 * take longer than an attempt may: those go by way of this machine, a part at a time. */
MUST_USE bool s3_copy(struct s3 *s, const char *from, const char *to, uint64_t bytes,
		      struct error *err);
/* Every object whose key begins with `begin`, in the order of keys (bytes), a page of 1,000 a call.
 * `each` false: the listing fails with what `each` has filled. */
typedef bool (*s3_each_fn)(void *ctx, const char *key, const struct s3_object *object,
			   struct error *err);
MUST_USE bool s3_list(struct s3 *s, const char *begin, s3_each_fn each, void *ctx,
		      struct error *err);

/* ---- in parts ---- */

#define S3_PART_BYTES_MIN (UINT64_C(5) << 20) /* but the last */
#define S3_PARTS_MAX 10000u
#define S3_WHOLE_BYTES_MAX (UINT64_C(5) << 30) /* of one put or copy */

struct s3_upload; /* belongs to one thread at a time */

/* Nothing is visible before s3_upload_complete(). A crash leaves an upload that s3_uploads_abort()
 * ends. */
MUST_USE bool s3_upload_begin(struct s3 *s, const char *key, struct s3_upload **ret,
			      struct error *err);
/* The next part. After a failure it may be given again. */
MUST_USE bool s3_upload_part(struct s3_upload *u, const struct s3_body *body, struct error *err);
/* All parts, one behind the other, become the object. Frees `u`; where it fails the upload is
 * aborted as s3_upload_abort() does. */
MUST_USE bool s3_upload_complete(struct s3_upload *u, struct error *err);
/* Takes it back and frees `u`. Where the store does not answer the parts stay until
 * s3_uploads_abort(). NULL is fine. */
void s3_upload_abort(struct s3_upload *u);
/* Aborts all uploads whose keys begin with `begin` and that were begun at `until` (Unix s) or
 * before. */
MUST_USE bool s3_uploads_abort(struct s3 *s, const char *begin, int64_t until, unsigned *ret_n,
			       struct error *err);

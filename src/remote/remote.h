/* remote.h: a server that speaks the API, as the commands of a terminal ask it. One call at a time;
 * each blocks.
 *
 * Where the server is and with which key: --url and --api-key of the command, else LOWTIDE_URL and
 * LOWTIDE_API_KEY, else what `lowtide login` has kept (login.h), else http://127.0.0.1:8000/v1
 * without a key. A base URL with or without its /v1. The key that was kept goes to no other server
 * than the one that it was kept for. CA certificates: --ca-file, else LOWTIDE_CA_FILE, else those
 * kept with the server, else the machine's.
 *
 * Errors: `err->message` is one sentence for the person at the terminal with what to do: the
 * server's own message where it answered, else why no answer came. remote_status() is the HTTP
 * status of the last answer, 0 without one.
 *
 * Again: a call that did not reach a server that has answered before, a 429, 502, 503 or 504, and a
 * broken connection, time-out or 409 with Retry-After of a call that may be repeated (GET, with an
 * Idempotency-Key, or `again`) are tried again for `patience_s`. Retry-After is kept to. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"

struct remote;

#define REMOTE_PATIENCE_S 60u

struct remote_setup {
	const char *url, *key, *ca_file; /* from the command line, or NULL */
	unsigned patience_s;             /* 0: REMOTE_PATIENCE_S */
	/* Told once an outage, in a sentence, when a call is going to be tried again. NULL: nobody
	 * is. */
	void (*note)(void *ctx, const char *text);
	void *note_ctx;
};

struct remote_request {
	const char *method;          /* "GET", "POST", "DELETE" */
	const char *path;            /* below the base, with its query: remote_path() */
	const json_t *body;          /* NULL: none, or `bytes` */
	struct slice bytes;          /* a body that is no JSON */
	const char *content_type;    /* of `bytes` */
	const char *idempotency_key; /* NULL: none */
	const char *header;          /* one more, "Range: bytes=5-"; NULL: none */
	bool again;                  /* done twice it is as done once */
	uint64_t timeout_ms;         /* of one attempt; 0: the usual */
	uint64_t until_ms; /* of sys.monotonic_ms(): then it is not tried again; 0: patience_s */
};

/* Asks nothing yet. False: what names the server makes no sense, or cannot be read. */
MUST_USE bool remote_open(const struct remote_setup *s, struct remote **ret, struct error *err);
/* NULL is fine. */
void remote_close(struct remote *r);

/* "http://127.0.0.1:8000/v1". */
const char *remote_url(const struct remote *r);
int remote_status(const struct remote *r);
/* A header of the last answer; n == 0: there is none. Good until the next call. */
struct slice remote_header(const struct remote *r, const char *name);
/* Length of the body of the last answer, as its head says; UINT64_MAX: it does not. */
uint64_t remote_length(const struct remote *r);
/* Whether the last call failed in a way that may pass: its caller may go on where it was. */
bool remote_may_pass(const struct remote *r);
/* Whether the server has refused what the last call asked for, and not who asks (401, 403) or how
 * often (429): a call for something else may be taken. */
bool remote_refused_this(const struct remote *r);
/* Whether the server, which has answered 404, does not know the path at all: it is older than this
 * program, or none of ours. */
bool remote_path_unknown(const struct remote *r);

/* printf with %s (escaped for a part of a path or a value of a query), %c, %d, %u, %lu and %llu.
 * malloc'ed; NULL: no memory. */
char *remote_path(const char *format, ...) PRINTF_LIKE(1, 2);

/* *ret: the JSON of a 2xx answer, the caller's (json_decref); NULL may be given for ret. */
MUST_USE bool remote_json(struct remote *r, const struct remote_request *q, json_t **ret,
			  struct error *err);

/* How a taker of pieces goes on. */
enum remote_taken {
	REMOTE_MORE,
	REMOTE_ENOUGH, /* the call ends, and has not failed */
	REMOTE_FAULT   /* the call fails with `err`, which was filled */
};

/* Every object of a list over all its pages, `most` at most (0: all). `path` may have a query, its
 * `limit` is the size of a page. */
MUST_USE bool remote_list(struct remote *r, const char *path, uint64_t most,
			  enum remote_taken (*each)(void *ctx, json_t *object, struct error *err),
			  void *ctx, struct error *err);

/* Server-sent events of `path`, until `each` has enough: after a break, and after an end, it goes on
 * behind the last id. `data` is borrowed. False also where the server sends nothing at all for
 * longer than the patience. */
MUST_USE bool remote_events(struct remote *r, const char *path,
			    enum remote_taken (*each)(void *ctx, const char *event,
						      const json_t *data, struct error *err),
			    void *ctx, struct error *err);

/* The bytes of a 2xx answer as they come. What breaks after the first of them is not tried again
 * here: remote_may_pass(). download.h goes on where it stopped. */
MUST_USE bool remote_bytes(struct remote *r, const struct remote_request *q,
			   enum remote_taken (*each)(void *ctx, struct slice piece,
						     struct error *err),
			   void *ctx, struct error *err);

/* Waits, for callers that go on by themselves. */
void remote_wait(struct remote *r, uint64_t ms);

/* limits.h: what each organization has under way in this process, and how much it may have
 * (contract 13.1): uploads, the files and bytes that these will be, online requests, calls a minute.
 *
 * A quota counts an upload from its first byte: what has no row in the store yet is reserved here,
 * and released when the upload is over, whatever its end. A crash forgets reservations together
 * with the uploads. (An upload in parts has a row from its beginning: store/uploads.h.) Any thread; a
 * lock held for an instant, but limits_reserve() reads the store as well. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/id.h"
#include "store/store.h"

#define LIMITS_BUCKETS 256u

struct limits {
	pthread_mutex_t lock;
	struct org_under_way *orgs[LIMITS_BUCKETS]; /* those that have something under way */
};

struct request;
struct http_response;

/* What is left of an organization's calls, for the headers of an answer; limit 0: any number. */
struct call_rate {
	uint64_t limit, left;
	uint64_t full_ms; /* until as many as ever are left */
	/* likewise, of the tokens of its day, for a call that takes some */
	uint64_t tokens_limit, tokens_left, tokens_full_s;
};

/* What the organization of the request may have: its own limit, else the configured one. 0: any
 * number. */
uint64_t limit_of(const struct request *rq, enum org_limit limit);
struct api;
/* `own`, else the configured one. */
uint64_t limit_or_configured(const struct api *api, int64_t own, enum org_limit limit);

void limits_open(struct limits *l);
/* Nothing is under way any more. */
void limits_close(struct limits *l);

/* A call begins: rq->rate says what is left, RATE_LIMIT with Retry-After that nothing is. Calls come
 * back one after another, as many in a minute as the limit is; those that were not made in a minute
 * may come at once. A restart forgets what was made. */
MUST_USE bool limits_call(struct request *rq, struct http_response *r, struct error *err);
/* A call that takes tokens begins: rq->rate says what is left of the organization's day, TOKEN_LIMIT with
 * Retry-After that nothing is. */
MUST_USE bool limits_tokens(struct request *rq, struct http_response *r, struct error *err);
/* x-ratelimit-limit-requests, -remaining-requests, -reset-requests, and those of -tokens; none without
 * a limit. */
void rate_headers(const struct call_rate *rate, struct http_response *r);

/* What an organization has under way; `calls` by a limit of `calls_max`, 0: any number. */
struct limits_use {
	uint64_t uploads, online, listeners;
	struct file_use reserved;
	struct call_rate calls;
};
void limits_look(struct limits *l, const char *org, uint64_t calls_max, struct limits_use *ret);

/* An upload, a part of one, an online request, a listener (events.h) begins: RATE_LIMIT, with
 * Retry-After in `r`, for one too many. Uploads in parts that are pending count as uploads; of
 * their parts so many may come at once as uploads may be under way. */
MUST_USE bool limits_upload_begin(struct request *rq, struct http_response *r, struct error *err);
MUST_USE bool limits_part_begin(struct request *rq, struct http_response *r, struct error *err);
MUST_USE bool limits_online_begin(struct request *rq, struct http_response *r, struct error *err);
MUST_USE bool limits_listener_begin(struct request *rq, struct http_response *r, struct error *err);
/* The upload, the part, the online request, the listener is over; what the upload had reserved is
 * released. */
void limits_upload_end(struct limits *l, const char *org, const struct file_use *reserved);
void limits_part_end(struct limits *l, const char *org);
void limits_online_end(struct limits *l, const char *org);
void limits_listener_end(struct limits *l, const char *org);

/* Reserves `more` for an upload that has begun: INVALID file_quota_exceeded where the
 * organization's files, and what its uploads have reserved, leave no room for it. Reads the
 * store. */
MUST_USE bool limits_reserve(struct limits *l, struct store *store, const struct file_quota *quota,
			     const char *org, const struct file_use *more, struct error *err);

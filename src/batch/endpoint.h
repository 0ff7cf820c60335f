/* endpoint.h: the endpoints that a batch may name (contract 1), however a vendor writes them (7.1):
 * one table for the `endpoint` of a batch and the `url` of a line. Plain values; any thread. */
#pragma once

#include "base/buf.h"
#include "batch/batch.h"

/* The path that requests are sent to, "/v1/chat/completions", for that path or another vendor's way
 * of writing it ("/chat/completions"); static. NULL: no endpoint of any profile. */
const char *endpoint_path(struct slice given);
/* Whether a batch of `profile` may name the endpoint whose path is `path`. */
bool endpoint_in_profile(const char *path, enum profile profile);

/* A whole "https://host/v1/…" names a host that lowtide will not send to: the URL is refused
 * wherever it stands. *ret_path (may be NULL): the path to write instead, or NULL if the URL ends
 * in none. */
bool endpoint_is_url(struct slice given, const char **ret_path);

/* The paths of `profile`, in the order of contract 1: "'/v1/chat/completions', '/v1/…'". */
void endpoint_list(enum profile profile, struct buf *to);
/* Why a batch of `profile` cannot name `given`, as contract 5.2 words it, and what to do. */
void endpoint_refusal(struct slice given, enum profile profile, struct buf *to);

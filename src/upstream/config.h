/* config.h: the configuration of one upstream. It is copied, freed and compared here and nowhere
 * else.
 *
 * The members stand in two lists, of which the struct is made. Each has a kind, and config.c says
 * once for each kind how it is copied, freed and compared; so a member cannot be forgotten in one
 * of the three.
 *
 *	text     char *, owned; NULL is fine
 *	secret   the same; overwritten before it is freed
 *	tls      struct tls_pem, owned
 *	names    char **, NULL-ended, both levels owned; NULL is fine, and is not an empty list
 *	value    a number, an enum or a bool */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "client/tls.h"
#include "upstream/gauges.h"

/* Which server it is. What was learnt of a server holds for as long as these stay. */
#define UPSTREAM_IDENTITY(X)                                                              \
	X(text, char *, name)       /* for log, metrics and messages; unique */           \
	X(text, char *, base_url)   /* "http://127.0.0.1:8080/v1", no slash at the end */ \
	X(secret, char *, api_key)  /* or NULL; sent as Authorization: Bearer */          \
	X(tls, struct tls_pem, tls) /* of https */

/* How the server is used: may change without loss of what was learnt. */
#define UPSTREAM_TERMS(X)                                                                     \
	X(names, char **, models)           /* that it serves; NULL: it takes any */          \
	X(value, unsigned, weight)          /* from 1: its share while several have room */   \
	X(value, unsigned, concurrency)     /* requests in flight, fixed; 0: it is found */   \
	X(value, unsigned, max_concurrency) /* never more in flight; from 1 */                \
	X(value, int, reserve) /* slots kept for online requests; < 0: found, see limit.h */  \
	X(value, uint64_t, requests_per_minute) /* 0: no limit */                             \
	X(value, uint64_t, tokens_per_minute)   /* 0: no limit */                             \
	X(value, enum gauges_kind, metrics)                                                   \
	X(value, bool, has_priority) /* batch lines get a member `priority` of this value: */ \
	X(value, int, priority)                                                               \
	X(value, bool, drain) /* nothing new is sent; what is in flight ends */

#define UPSTREAM_CONFIG_MEMBER(kind, type, name) type name;
struct upstream_config {
	UPSTREAM_IDENTITY(UPSTREAM_CONFIG_MEMBER)
	UPSTREAM_TERMS(UPSTREAM_CONFIG_MEMBER)
};
#undef UPSTREAM_CONFIG_MEMBER

/* False: no memory, and *ret is empty. */
MUST_USE bool upstream_config_copy(const struct upstream_config *from, struct upstream_config *ret);
/* Frees what is in it; it is empty then. */
void upstream_config_done(struct upstream_config *c);
/* Every member is the same. */
bool upstream_config_same(const struct upstream_config *a, const struct upstream_config *b);
/* Both are of one server, reached in one way: name, URL, key and certificates are the same. */
bool upstream_config_identity_same(const struct upstream_config *a,
				   const struct upstream_config *b);

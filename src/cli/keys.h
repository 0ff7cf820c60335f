/* keys.h: organizations and API keys from the command line, against a server's store, also while the
 * server runs: the database's own locks suffice. Each returns an exit code: 1 if what is
 * named is not there or it could not be done, 2 for wrong use, such as a directory that holds no
 * data. */
#pragma once

#include "store/store.h"

/* Makes a random key of the organization `org`, which is made if there is none. The key is printed
 * on standard output and kept nowhere. `init`: a directory that holds no data becomes a data
 * directory; without it such a directory is taken for a typing error. `is_operator`: a key of the
 * operator (contract 13.1); `org` may then be NULL: OPERATOR_ORG. */
int key_create(const struct store_place *at, bool init, const char *org, bool is_operator);
/* `org` NULL: of all organizations. */
int key_list(const struct store_place *at, const char *org);
/* `id`: as key_list shows it, the key itself, or its first characters; NULL or "-": is read from
 * standard input, so that no list of processes shows it. */
int key_revoke(const struct store_place *at, const char *id);
int org_create(const struct store_place *at, bool init, const char *name);
int org_list(const struct store_place *at);
/* Suspends the organization: its keys are refused, its batches get no new lines; with `cancel` they
 * are cancelled. Or resumes the organization. A server on the same directory follows at
 * once. */
int org_suspend(const struct store_place *at, const char *name, bool cancel);
int org_resume(const struct store_place *at, const char *name);
/* `limit` as written, "uploads=5" or "bytes=10GB" (0: none) or "online=default" (as configured);
 * NULL: prints those that the organization has. */
int org_limit(const struct store_place *at, const char *name, const char *limit);
/* `weight` as written; it counts from the organization's next batch on. */
int org_weight(const struct store_place *at, const char *name, const char *weight);

/* ---- for the server's first start ---- */

/* Makes `secret` a key of the organization named `org`, which is made if there is none. */
MUST_USE bool key_add(struct store *store, const char *org, const char *secret, bool is_operator,
		      struct error *err);

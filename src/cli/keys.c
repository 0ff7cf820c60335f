/* keys.c: organizations and API keys from the command line. */
#include "cli/keys.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/duration.h"
#include "base/id.h"
#include "base/log.h"
#include "base/sys.h"
#include "cli/data_dir.h"
#include "terminal/report.h"

#define SECRET_MAX 255
#define SECRET_SHORT 16 /* below it a key that people chose themselves can be guessed */

static bool secret_check(const char *secret, struct error *err)
{
	size_t n = strlen(secret);

	if (n == 0 || n > SECRET_MAX)
		return fail(err, ERR_INVALID, "a key has 1 to %d characters; this one has %zu",
			    SECRET_MAX, n);
	for (const char *p = secret; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return fail(
				err, ERR_INVALID,
				"a key is of letters, digits and signs of ASCII, without spaces");
	if (n < SECRET_SHORT)
		log_warn("key.short", kv_u64("characters", n), kv_u64("advised", SECRET_SHORT));
	return true;
}

static bool org_name_check(const char *name, struct error *err)
{
	size_t n = strlen(name);

	if (n == 0 || n >= sizeof((struct org){ 0 }.name))
		return fail(err, ERR_INVALID,
			    "the name of an organization has 1 to %zu bytes; this one has %zu",
			    sizeof((struct org){ 0 }.name) - 1, n);
	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return fail(err, ERR_INVALID,
				    "the name of an organization holds no control characters");
	return true;
}

bool key_add(struct store *store, const char *org, const char *secret, bool is_operator,
	     struct error *err)
{
	struct key key = { .created_at = sys.now_s(), .is_operator = is_operator };
	struct org owner;
	char hash[65];

	if (!secret_check(secret, err) || !org_name_check(org, err))
		return false;
	id_secret_hash(slice_of(secret), hash);
	id_secret_hint(secret, key.hint);
	if (!store_org_ensure(store, org, key.created_at, &owner, err))
		return false;
	memcpy(key.org, owner.id, sizeof(key.org));
	return store_key_create(store, &key, hash, err);
}

/* ---- commands: open the store, do one thing, say how it went ---- */

/* `init`: what is no data directory becomes one. */
static bool open_store(const struct store_place *at, bool init, struct store **ret,
		       struct error *err)
{
	char name[4096];

	if (at->url != NULL)
		return store_open_at(at, ret, err);
	if (init && !data_dir_make(at->data_dir, err))
		return false;
	snprintf(name, sizeof(name), "%s/meta.db", at->data_dir);
	if (!init && access(name, R_OK) != 0)
		return fail(err, ERR_INVALID,
			    "there is no lowtide data in %s: %s. --data says where it is; to begin "
			    "there anew, 'key create' and 'org create' take --init",
			    at->data_dir, strerrordesc_np(errno));
	return store_open_at(at, ret, err);
}

static int done(struct store *store, bool good, const struct error *err)
{
	store_close(store);
	if (good && fflush(stdout) == 0)
		return EXIT_GOOD;
	if (good)
		perror("lowtide: writing standard output");
	else
		report(err);
	return good ? EXIT_FAULT : exit_code(err);
}

static void date_format(int64_t at, char to[static 32])
{
	time_t t = (time_t)at;
	struct tm utc;

	gmtime_r(&t, &utc);
	strftime(to, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

int key_create(const struct store_place *at, bool init, const char *org, bool is_operator)
{
	struct store *store = NULL;
	char secret[64];
	struct error err;

	id_secret(secret);
	bool good = open_store(at, init, &store, &err) &&
		    key_add(store, org != NULL ? org : OPERATOR_ORG, secret, is_operator, &err);
	if (good)
		puts(secret);
	return done(store, good, &err);
}

/* The id of the organization of that name. */
static bool org_find(struct store *store, const char *name, char ret[static ID_SIZE],
		     struct error *err)
{
	AUTO(auto_free) struct org *orgs = NULL;
	size_t n;

	if (!store_org_list(store, &orgs, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(orgs[i].name, name) != 0)
			continue;
		snprintf(ret, ID_SIZE, "%s", orgs[i].id);
		return true;
	}
	return fail(err, ERR_NOT_FOUND, "there is no organization '%s'; 'lowtide org list' has all",
		    name);
}

static bool print_keys(struct store *store, const char *org, struct error *err)
{
	AUTO(auto_free) struct key *keys = NULL;
	char org_id[ID_SIZE], created[32], revoked[32];
	size_t n;

	if (org != NULL && !org_find(store, org, org_id, err))
		return false;
	if (!store_key_list(store, org != NULL ? org_id : NULL, &keys, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		date_format(keys[i].created_at, created);
		date_format(keys[i].revoked_at, revoked);
		printf("%s  %-10s  created %s  %s%s  %s%s\n", keys[i].id, keys[i].hint, created,
		       keys[i].revoked_at != 0 ? "revoked " : "in force",
		       keys[i].revoked_at != 0 ? revoked : "",
		       keys[i].is_operator ? "operator  " : "", keys[i].org_name);
	}
	return true;
}

int key_list(const struct store_place *at, const char *org)
{
	struct store *store = NULL;
	struct error err;
	bool good = open_store(at, false, &store, &err) && print_keys(store, org, &err);

	return done(store, good, &err);
}

/* `name` is a key's id, the key itself, or its first characters; *ret is what the store knows it
 * by. A key is never repeated in a message: it may be a good one of somewhere else. */
static bool revoke_named(struct store *store, const char *name, struct error *err)
{
	struct key key;
	char hash[65], hint[16];

	if (strncmp(name, "sk-", 3) != 0)
		return store_key_revoke(store, name, sys.now_s(), err);
	id_secret_hash(slice_of(name), hash);
	if (store_key_find(store, hash, &key, err))
		return store_key_revoke(store, key.id, sys.now_s(), err);
	snprintf(hint, sizeof(hint), "%.*s…", SECRET_HINT_CHARACTERS, name);
	if (err->kind != ERR_BAD_KEY || store_key_revoke(store, hint, sys.now_s(), err))
		return err->kind == ERR_BAD_KEY;
	if (err->kind == ERR_NOT_FOUND)
		return fail(err, ERR_NOT_FOUND,
			    "no key begins like that, or it is revoked already; 'lowtide key list' "
			    "shows the ids and the first characters of all");
	return false;
}

/* One line of standard input, without the white space around it. */
static bool read_name(char to[static SECRET_MAX + 1], struct error *err)
{
	char line[SECRET_MAX + 64];

	if (isatty(STDIN_FILENO))
		fputs("key to revoke (its id, itself, or its first characters): ", stderr);
	if (fgets(line, sizeof(line), stdin) == NULL)
		line[0] = '\0';
	const char *from = line + strspn(line, " \t\r\n");
	struct slice name = { from, strcspn(from, " \t\r\n") };
	bool read = name.n > 0 && slice_copy(name, to, SECRET_MAX + 1);
	explicit_bzero(line, sizeof(line));
	return read || fail(err, ERR_INVALID,
			    "which key? Neither an argument nor standard input names one");
}

int key_revoke(const struct store_place *at, const char *id)
{
	struct store *store = NULL;
	struct error err;
	char name[SECRET_MAX + 1];
	bool given = id != NULL && strcmp(id, "-") != 0;
	bool good = open_store(at, false, &store, &err) && (given || read_name(name, &err)) &&
		    revoke_named(store, given ? id : name, &err);

	explicit_bzero(name, sizeof(name));
	return done(store, good, &err);
}

int org_create(const struct store_place *at, bool init, const char *name)
{
	struct store *store = NULL;
	struct error err;
	struct org org;
	bool good = org_name_check(name, &err) && open_store(at, init, &store, &err) &&
		    store_org_create(store, name, sys.now_s(), &org, &err);

	if (good)
		puts(org.id);
	return done(store, good, &err);
}

static void print_org(const struct org *org)
{
	char created[32], since[32], suspended[64] = "";

	date_format(org->created_at, created);
	if (org->suspended_at != 0) {
		date_format(org->suspended_at, since);
		snprintf(suspended, sizeof(suspended), "suspended %s  ", since);
	}
	printf("%s  created %s  keys %llu  weight %u  %s%s\n", org->id, created,
	       (unsigned long long)org->keys, org->weight, suspended, org->name);
}

static bool print_orgs(struct store *store, struct error *err)
{
	AUTO(auto_free) struct org *orgs = NULL;
	size_t n;

	if (!store_org_list(store, &orgs, &n, err))
		return false;
	for (size_t i = 0; i < n; i++)
		print_org(&orgs[i]);
	return true;
}

int org_list(const struct store_place *at)
{
	struct store *store = NULL;
	struct error err;
	bool good = open_store(at, false, &store, &err) && print_orgs(store, &err);

	return done(store, good, &err);
}

static int suspend(const struct store_place *at, const char *name, int64_t when, bool cancel)
{
	struct store *store = NULL;
	struct error err;
	char id[ID_SIZE];
	bool good = open_store(at, false, &store, &err) && org_find(store, name, id, &err) &&
		    store_org_suspend(store, name, when, cancel, &err);

	return done(store, good, &err);
}

int org_suspend(const struct store_place *at, const char *name, bool cancel)
{
	return suspend(at, name, sys.now_s(), cancel);
}

int org_resume(const struct store_place *at, const char *name)
{
	return suspend(at, name, 0, false);
}

static bool limit_value_parse(const char *text, int64_t *ret)
{
	uint64_t value;

	*ret = LIMIT_AS_CONFIGURED;
	if (strcmp(text, "default") == 0)
		return true;
	if (!size_parse(slice_of(text), &value) || value > ORG_LIMIT_MOST)
		return false;
	*ret = (int64_t)value;
	return true;
}

static bool limit_parse(const char *text, enum org_limit *ret, int64_t *ret_value,
			struct error *err)
{
	for (unsigned i = 0; i < ORG_LIMITS; i++) {
		size_t n = strlen(org_limit_names[i]);
		if (strncmp(text, org_limit_names[i], n) != 0 || text[n] != '=')
			continue;
		*ret = (enum org_limit)i;
		return limit_value_parse(text + n + 1, ret_value) ||
		       fail(err, ERR_INVALID,
			    "'%.100s' is not a whole number (bytes may be written as 10GB), 0 for "
			    "no limit, or 'default' for the configured one",
			    text + n + 1);
	}
	return fail(err, ERR_INVALID,
		    "'%.100s' is not KEY=VALUE with a KEY of files, bytes, uploads, open_batches, "
		    "online, listeners, enqueued_requests, enqueued_tokens, calls_per_minute, "
		    "tokens_per_day",
		    text);
}

static bool print_limits(struct store *store, const char *org_id, struct error *err)
{
	int64_t limits[ORG_LIMITS];

	if (!store_org_limits(store, org_id, limits, err))
		return false;
	for (unsigned i = 0; i < ORG_LIMITS; i++)
		if (limits[i] != LIMIT_AS_CONFIGURED)
			printf("%s=%lld\n", org_limit_names[i], (long long)limits[i]);
	return true;
}

int org_limit(const struct store_place *at, const char *name, const char *limit)
{
	struct store *store = NULL;
	enum org_limit which = LIMIT_FILES;
	int64_t value = LIMIT_AS_CONFIGURED;
	struct error err;
	char id[ID_SIZE];
	bool good = (limit == NULL || limit_parse(limit, &which, &value, &err)) &&
		    open_store(at, false, &store, &err) && org_find(store, name, id, &err) &&
		    (limit == NULL ? print_limits(store, id, &err)
				   : store_org_limit(store, name, which, value, &err));

	return done(store, good, &err);
}

static bool weight_parse(const char *text, unsigned *ret, struct error *err)
{
	char *end;
	unsigned long weight = strtoul(text, &end, 10);

	*ret = (unsigned)weight;
	return (isdigit((unsigned char)text[0]) && *end == '\0' && weight >= 1 &&
		weight <= ORG_WEIGHT_MAX) ||
	       fail(err, ERR_INVALID, "'%.100s' is not a whole number from 1 to %u", text,
		    ORG_WEIGHT_MAX);
}

int org_weight(const struct store_place *at, const char *name, const char *weight)
{
	struct store *store = NULL;
	unsigned number = 0;
	struct error err;
	char id[ID_SIZE];
	bool good = weight_parse(weight, &number, &err) && open_store(at, false, &store, &err) &&
		    org_find(store, name, id, &err) && store_org_weigh(store, name, number, &err);

	return done(store, good, &err);
}

/* config_impl.h: what the config*.c files share. Private to app/. Each calls only those named
 * before it here, and config.c, which puts all together, calls the last three. */
#pragma once

#include "app/config.h"
#include "app/settings.h"

/* What a setting was given. */
struct given {
	char *text; /* NULL: nothing was given, or it is a list */
	struct origin origin;
};

/* ---- config_given.c, below all others ---- */

struct given *given_of(const struct config *c, const struct setting *s);
const struct given *given_by_key(const struct config *c, const char *key);

/* Messages: where it stands, then what is wrong. All return false. */

#define WHERE_SIZE 320

/* "lowtide.yaml:12: execution.drain", "--set execution.drain". */
void where(const struct origin *o, const char *key, char to[static WHERE_SIZE]);

bool fail_at(struct error *err, const struct origin *o, const char *key, const char *format, ...)
	PRINTF_LIKE(4, 5);
/* There is no `key` in `table`. */
bool fail_unknown(const struct setting *table, size_t count, const struct origin *origin,
		  const char *key, struct error *err);
/* The setting does not allow what was given. `got`: "a list", "an empty value". */
bool fail_value(const struct setting *s, const struct origin *origin, const char *key,
		const char *got, struct error *err);
bool fail_text(const struct setting *s, const struct origin *origin, const char *key,
	       const char *text, struct error *err);

/* ---- config_keys.c: `setting` names the place in messages, which never show what was in it ---- */

MUST_USE bool key_from_variable(const struct origin *at, const char *setting, const char *variable,
				char **ret, struct error *err);
MUST_USE bool key_from_file(const struct origin *at, const char *setting, const char *path,
			    char **ret, struct error *err);

/* ---- config_tls.c ---- */

/* The CA certificates that the setting `key`, `path` or NULL, names. */
MUST_USE bool tls_ca_read(const struct config *c, const char *key, const char *path, char **ret,
			  struct error *err);

/* Whether the TLS settings of an upstream fit together; its defaults are set. */
MUST_USE bool tls_settings_check(const struct upstream_setting *u, struct error *err);
/* Reads the files that hold for the upstream, its own or those of all, and checks what is in
 * them. */
MUST_USE bool tls_files_read(const struct config *c, const struct upstream_setting *u,
			     struct tls_pem *ret, struct error *err);

/* ---- lists of the file whose entries are groups of settings ---- */

/* A new entry: what setting_member() takes, and a bit for each member that was given. */
struct config_entry {
	void *members;
	uint64_t *given;
};
/* What a list's entries are. */
struct entry_kind {
	const struct setting *table;
	size_t count;
	const char *wanted; /* "a url" */
	/* False: no memory. */
	bool (*add)(struct config *c, const struct origin *origin, struct config_entry *ret);
};

/* ---- config_webhooks.c ---- */

MUST_USE bool webhook_entry_add(struct config *c, const struct origin *origin,
				struct config_entry *ret);
/* Checks the entries. */
MUST_USE bool webhooks_finish(struct config *c, struct error *err);
/* Reads their secrets, and the CA certificates. */
MUST_USE bool webhooks_read_keys(struct config *c, struct error *err);
void webhooks_print(const struct config *c, FILE *to);
void webhooks_clear(struct config *c);

/* ---- config_prices.c ---- */

MUST_USE bool price_entry_add(struct config *c, const struct origin *origin,
			      struct config_entry *ret);
/* Checks the entries, and makes of them what the API takes. */
MUST_USE bool prices_finish(struct config *c, struct error *err);
void prices_print(const struct config *c, FILE *to);
void prices_clear(struct config *c);

/* ---- config_upstreams.c ---- */

MUST_USE bool upstream_entry_add(struct config *c, const struct origin *origin,
				 struct config_entry *ret);
MUST_USE bool upstreams_read_keys(struct config *c, struct error *err);

/* A new entry; NULL: no memory. */
struct upstream_setting *upstream_add(struct config *c, const struct origin *origin);
/* Adds an entry that is a mere URL. */
MUST_USE bool upstream_add_url(struct config *c, const struct origin *origin, const char *url,
			       struct error *err);
/* Adds one for each URL of `text`, which are separated by commas or spaces. */
MUST_USE bool upstreams_add_urls(struct config *c, const struct origin *origin, const char *text,
				 struct error *err);
/* Gives what was not given its default; checks that all fit together. */
MUST_USE bool upstreams_finish(struct config *c, struct error *err);
/* The concurrency of `u`, fixed (0: automatic), and its maximum, with the defaults applied. */
uint64_t upstream_fixed(const struct config *c, const struct upstream_setting *u);
uint64_t upstream_max(const struct config *c, const struct upstream_setting *u);
/* Forgets the keys, then the entries. */
void upstreams_clear(struct config *c);

/* ---- config_layers.c ---- */

/* Keeps `text` for the setting `s`, if it is allowed. */
MUST_USE bool config_give(struct config *c, const struct setting *s, const struct origin *origin,
			  const char *text, struct error *err);
MUST_USE bool config_read_environment(struct config *c, struct error *err);
MUST_USE bool config_read_flags(struct config *c, const struct config_flag *flags, size_t count,
				struct error *err);

/* ---- config_file.c ---- */

/* Reads the file c->file. */
MUST_USE bool config_read_file(struct config *c, struct error *err);

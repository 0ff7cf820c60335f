/* config_impl.h: what the config*.c files share. Private to app/. */
#pragma once

#include "app/config.h"
#include "app/settings.h"

/* What a setting was given. */
struct given {
	char *text; /* NULL: nothing was given, or it is a list */
	struct origin origin;
};

struct given *given_of(const struct config *c, const struct setting *s);

/* Keeps `text` for the setting `s`, if it is allowed. */
MUST_USE bool config_give(struct config *c, const struct setting *s, const struct origin *origin,
			  const char *text, struct error *err);

/* config_file.c: reads the file c->file. */
MUST_USE bool config_read_file(struct config *c, struct error *err);

/* ---- messages: where it stands, then what is wrong. All return false ---- */

#define WHERE_SIZE 320

/* "lowtide.yaml:12: execution.drain", "--set execution.drain". */
void where(const struct origin *o, const char *key, char to[static WHERE_SIZE]);

bool fail_at(struct error *err, const struct origin *o, const char *key, const char *format, ...)
	PRINTF_LIKE(4, 5);
/* There is no `key` in `table`. */
bool fail_unknown(const struct setting *table, size_t count, const struct origin *origin,
		  const char *key, struct error *err);
/* What was got is not what the setting allows. `got`: "a list", "an empty value". */
bool fail_value(const struct setting *s, const struct origin *origin, const char *key,
		const char *got, struct error *err);
bool fail_text(const struct setting *s, const struct origin *origin, const char *key,
	       const char *text, struct error *err);

/* ---- config_upstreams.c ---- */

/* A new entry; NULL: no memory. */
struct upstream_setting *upstream_add(struct config *c, const struct origin *origin);
/* The list becomes one entry. */
MUST_USE bool upstreams_from_url(struct config *c, const struct origin *origin, const char *url,
				 struct error *err);
/* Names the nameless; checks that they fit together. */
MUST_USE bool upstreams_finish(struct config *c, struct error *err);
/* Forgets the keys, then the entries. */
void upstreams_clear(struct config *c);

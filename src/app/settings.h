/* settings.h: every setting once: key, type, default in each profile, bounds and a line of prose.
 * What reads the file, the environment and the flags, the messages about mistakes, and the test of
 * lowtide.example.yaml all go by this table, so a new setting is one row and one member. */
#pragma once

#include <stdint.h>

#include "app/config.h"
#include "base/slice.h"

enum setting_type {                  /* the member it is kept in */
		    SETTING_TEXT,    /* char *, not empty */
		    SETTING_NAMES,   /* char **, NULL-ended: a list of texts; only in `upstreams` */
		    SETTING_URL,     /* char *, http or https, without slashes at the end */
		    SETTING_ADDRESS, /* struct address */
		    SETTING_CHOICE,  /* int: number of the word in `words` */
		    SETTING_SWITCH,  /* bool */
		    SETTING_COUNT,   /* uint64_t, or AMOUNT_AUTO */
		    SETTING_SIGNED,  /* int64_t, at most `most` away from 0 */
		    SETTING_SIZE,    /* uint64_t, bytes */
		    SETTING_DURATION,  /* uint64_t, seconds */
		    SETTING_UPSTREAMS, /* the list of upstreams; a mere text is a URL */
		    SETTING_PRICE,     /* uint64_t, millionths; of an entry of `prices` */
		    SETTING_PRICES,    /* the list of prices; only in the file */
		    SETTING_WEBHOOKS,  /* the list of webhook endpoints; only in the file */
};

/* What a COUNT is kept as when it is given as its word `automatic`. */
#define AMOUNT_AUTO UINT64_MAX

struct setting {
	const char *key;
	enum setting_type type;
	size_t at;                /* offset of the member */
	const char *initial[2];   /* default by enum profile, as it would be written; NULL: none */
	const char *vendor[2];    /* the same while limits.vendor is on; NULL: no other */
	uint64_t least, most;     /* of COUNT, SIZE and DURATION */
	const char *automatic;    /* a word that COUNT takes beside numbers, or NULL */
	const char *zero;         /* what 0 means where it stands outside of the bounds, or NULL */
	const char *const *words; /* of CHOICE, NULL-ended */
	bool at_reload; /* a change counts at SIGHUP (app/reload.h), else from the next start on */
	const char *about;
};

/* Of struct config; keys are "group.name" or a plain name. */
extern const struct setting settings[];
extern const size_t setting_count;
/* Of struct upstream_setting: the members of an entry of `upstreams`. */
extern const struct setting upstream_settings[];
extern const size_t upstream_setting_count;
/* Of struct price_setting: the members of an entry of `prices`. */
extern const struct setting price_settings[];
extern const size_t price_setting_count;
/* Of struct webhook_setting: likewise of `webhooks.endpoints`. */
extern const struct setting webhook_settings[];
extern const size_t webhook_setting_count;

/* NULL if there is none of that key. */
const struct setting *setting_find(const struct setting *table, size_t count, const char *key);
/* Whether some key of `table` is "GROUP.something". */
bool setting_is_group(const struct setting *table, size_t count, const char *group);
/* For the message about a key that does not exist: "nearest: a, b" where some are like it, else
 * "allowed here: ..." with the keys of its group, or the groups. */
void setting_suggest(const struct setting *table, size_t count, const char *wrong, char *to,
		     size_t size);

/* The same for an environment variable: "nearest: LOWTIDE_DATA", else where all are listed. */
void setting_suggest_variable(const struct setting *table, size_t count, const char *wrong,
			      char *to, size_t size);

/* "a whole number from 1 to 10000". */
void setting_describe(const struct setting *s, char *to, size_t size);
/* Where the setting's value is kept in `base` (struct config or struct upstream_setting). */
void *setting_member(const struct setting *s, void *base);
/* Reads `text` into that member, freeing what was there. False, and the member as it was, if the
 * text is not allowed. Lists (NAMES, UPSTREAMS) have no text: always false. */
MUST_USE bool setting_read(const struct setting *s, const char *text, void *member);
/* Whether setting_read would take it. */
bool setting_allows(const struct setting *s, const char *text);
/* Whether two members hold the same value, however it was written. Not of lists: always true. */
bool setting_same(const struct setting *s, const void *a, const void *b);
/* "LOWTIDE_EXECUTION_CONCURRENCY". */
void setting_variable(const char *key, char *to, size_t size);

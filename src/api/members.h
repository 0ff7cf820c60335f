/* members.h: the members of a JSON request, and the refusals of contract 5.2 that are the same for
 * each of them.
 *
 * The body goes through our own scanner (base/json.h): it allocates nothing, so a megabyte of
 * brackets costs a megabyte, and members that were not asked for are skipped, whatever they
 * hold. */
#pragma once

#include "base/attr.h"
#include "base/error.h"
#include "base/json.h"

struct member {
	const char *name;
	const char *path;    /* what `param` says: "output_expires_after.seconds"; NULL: the name */
	enum json_type type; /* JSON_BAD: not there */
	struct slice text;   /* the value as it stands in the body */
};

/* Finds each of `members` in `text`; of one given twice the last counts, as JSON parsers do. False
 * if `text` is not one JSON object. */
MUST_USE bool members_find(struct slice text, struct member *members, size_t n);
/* Not there, or null (contract 2.1). */
bool member_absent(const struct member *m);
/* INVALID missing_required_parameter, or invalid_type if it is not of `type`. */
MUST_USE bool member_require(const struct member *m, enum json_type type, struct error *err);
/* INVALID invalid_type, with `path` as the member's name. */
MUST_USE bool fail_type(struct error *err, const char *path, enum json_type expected,
			enum json_type got, struct slice text);
/* true or false; false where it is absent. INVALID invalid_type. */
MUST_USE bool member_bool(const struct member *m, bool *ret, struct error *err);
/* The decoded text of a string member, malloc'ed; a NUL stands behind it, and may stand in it. */
MUST_USE bool member_text(const struct member *m, char **ret, size_t *ret_bytes, struct error *err);

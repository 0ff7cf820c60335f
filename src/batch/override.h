/* override.h: members that are set in the body of each line of a batch when it is sent (contract
 * 11.1, `override`). Only members of the body's top level; all else keeps its bytes.
 *
 *	override        {"model":"m-2","n":1}
 *	body            {"n": 4, "m\u006fdel":"m-1" ,"x":[ 1.0]}
 *	is sent as      {"n": 1, "m\u006fdel":"m-2" ,"x":[ 1.0]}
 *
 * Of a member that the body has more than once the first is replaced, and the others are left out: so
 * a body grows by no more than the override's text. Members that it lacks stand behind its last one. Plain values: once made, an override does not change, and any thread may read it. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/json.h"

#define OVERRIDE_MEMBERS_MAX 64u

struct override;

/* Reads the JSON text of an object; of a member given twice the last counts. *ret_n: its members.
 * NULL: `text` is no object, memory is out, or it has too many members: only then *ret_n is more than
 * OVERRIDE_MEMBERS_MAX. */
MUST_USE struct override *override_new(const char *text, unsigned *ret_n);
void override_free(struct override *o); /* NULL is fine */

/* The value of a member as it stands in the text; JSON_BAD: it is not there. `o` NULL: none is. */
enum json_type override_member(const struct override *o, const char *name, struct slice *ret_value);
/* The text of a member that is a string, malloc'ed; NULL: it is not there or no string, or memory is
 * out. */
char *override_text(const struct override *o, const char *name);
/* Bytes of its values. */
uint64_t override_bytes(const struct override *o);

/* Appends `body` with the members set to `to`, which does not hold the body's bytes. False: `body` is
 * no JSON object, or memory is out (then to->failed is set). */
MUST_USE bool override_apply(const struct override *o, struct slice body, struct buf *to);

/* fields.h: header fields: which names and values are valid, and which fields concern one
 * connection alone. Pure; the same for what clients send and for what upstreams answer. */
#pragma once

#include "base/attr.h"
#include "base/slice.h"

/* Parses a header line, without its end. NULL, and name and value without the white space around
 * them; or why the line is malformed (static text): folded onto the line before (RFC 9112, 5.2),
 * without a colon, a name that is no token (RFC 9110, 5.6.2; white space before the colon among
 * it), a value with a control character other than tab (5.5). The text names neither. */
MUST_USE const char *field_read(struct slice line, struct slice *ret_name, struct slice *ret_value);
/* The same for a name and a value. */
MUST_USE const char *field_fault(struct slice name, struct slice value);

/* RFC 9110, 5.6.2. */
bool field_is_token(struct slice text);
/* Names are the same in either case. */
bool field_is(struct slice name, const char *other);
/* `names` ends with NULL. */
bool field_is_one_of(struct slice name, const char *const *names);
/* Whether the field is of one connection, and never passed on (RFC 9110, 7.6.1). So are the fields
 * that `Connection` names: field_list_has(). */
bool field_is_hop_by_hop(struct slice name);
/* Without the white space around it. */
struct slice field_trimmed(struct slice text);
/* The next of a list, "close, x-custom", which goes on behind it; false: there is none. */
MUST_USE bool field_list_next(struct slice *list, struct slice *ret);
/* Whether such a list has `name`. */
bool field_list_has(struct slice list, struct slice name);

/* expiry.h: `expires_after` of an upload and `output_expires_after` of a batch (contract 3.1,
 * 5.1). */
#pragma once

#include "api/members.h"
#include "base/attr.h"
#include "base/error.h"

/* `seconds` is a number's text; `param` names it to the client. INVALID if it is no integer from
 * 3600 to 2592000. */
MUST_USE bool expiry_seconds(const char *param, struct slice seconds, int64_t *ret_s,
			     struct error *err);
/* The only anchor there is, `created_at`. */
MUST_USE bool expiry_anchor(const char *param, struct slice anchor, struct error *err);
/* Both, as the object `m`; absent or null leaves *ret_s alone. `anchor`, `seconds`: what `param` calls
 * its members. */
MUST_USE bool expiry_member(const struct member *m, const char *anchor, const char *seconds,
			    int64_t *ret_s, struct error *err);

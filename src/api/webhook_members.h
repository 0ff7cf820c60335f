/* webhook_members.h: what the bodies of /v1/webhook_endpoints hold, and its refusals
 * (contract 5.2, 12). Pure. */
#pragma once

#include "base/attr.h"
#include "base/error.h"
#include "store/webhooks.h"

/* name, url and event_types of a body. */
struct webhook_members {
	char name[WEBHOOK_NAME_BYTES];
	char url[WEBHOOK_URL_BYTES];
	unsigned event_types;
};
#define WEBHOOK_NAME_CHARACTERS 256

/* `all`: each has to be there; else what is not is "", 0. INVALID as the contract's table says. */
MUST_USE bool webhook_members_read(struct slice body, bool all, bool allow_private,
				   struct webhook_members *ret, struct error *err);
/* Of a call whose body may be empty. The rotation's; true where it is not given. */
MUST_USE bool webhook_keep_old_read(struct slice body, bool *ret, struct error *err);
/* Of the test call: the status that is the type; `otherwise` where it is not given. */
MUST_USE bool webhook_event_type_read(struct slice body, enum batch_status otherwise,
				      enum batch_status *ret, struct error *err);
/* Of a body whose members do not matter. */
MUST_USE bool webhook_body_check(struct slice body, struct error *err);

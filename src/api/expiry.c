/* expiry.c */
#include "api/expiry.h"

#include <stdlib.h>

#include "api/number.h"

#define SECONDS_LEAST 3600
#define SECONDS_MOST 2592000

bool expiry_seconds(const char *param, struct slice seconds, int64_t *ret_s, struct error *err)
{
	return number_read(param, seconds, SECONDS_LEAST, SECONDS_MOST, ret_s, err);
}

bool expiry_anchor(const char *param, struct slice anchor, struct error *err)
{
	if (slice_is(anchor, "created_at"))
		return true;
	return fail_param(err, param, "invalid_value",
			  "Invalid value: '%.*s'. Supported values are: 'created_at'.",
			  SLICE_ARG(anchor));
}

bool expiry_member(const struct member *m, const char *anchor, const char *seconds, int64_t *ret_s,
		   struct error *err)
{
	struct member members[] = {
		{ .name = "anchor", .path = anchor },
		{ .name = "seconds", .path = seconds },
	};
	AUTO(auto_free) char *text = NULL;
	size_t n;

	if (member_absent(m))
		return true;
	if (!member_require(m, JSON_OBJECT, err))
		return false;
	if (!members_find(m->text, members, ARRAY_LEN(members)))
		return fail(err, ERR_INTERNAL, "A checked object could not be read again.");
	return member_require(&members[0], JSON_STRING, err) &&
	       member_require(&members[1], JSON_NUMBER, err) &&
	       member_text(&members[0], &text, &n, err) &&
	       expiry_anchor(anchor, (struct slice){ text, n }, err) &&
	       expiry_seconds(seconds, members[1].text, ret_s, err);
}

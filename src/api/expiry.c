/* expiry.c */
#include "api/expiry.h"

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

/* number.c */
#include "api/number.h"

/* False if `text` is no integer. One that does not fit counts as the nearest that does. */
static bool parse(struct slice text, int64_t *ret)
{
	size_t sign = text.n > 0 && text.p[0] == '-';
	int64_t value = 0;

	if (text.n == sign)
		return false;
	for (size_t i = sign; i < text.n; i++) {
		int digit = text.p[i] - '0';
		if (digit < 0 || digit > 9)
			return false;
		value = value > (INT64_MAX - digit) / 10 ? INT64_MAX : value * 10 + digit;
	}
	*ret = sign != 0 ? -value : value;
	return true;
}

bool number_read(const char *param, struct slice text, int64_t least, int64_t most, int64_t *ret,
		 struct error *err)
{
	if (!parse(text, ret))
		return fail_param(err, param, "invalid_type",
				  "Invalid type for '%s': expected an integer, but got '%.*s' "
				  "instead.",
				  param, SLICE_ARG(text));
	if (*ret < least)
		return fail_param(err, param, "integer_below_min_value",
				  "Invalid '%s': integer below minimum value. Expected a value >= "
				  "%lld, but got %.*s instead.",
				  param, (long long)least, SLICE_ARG(text));
	if (*ret > most)
		return fail_param(err, param, "integer_above_max_value",
				  "Invalid '%s': integer above maximum value. Expected a value <= "
				  "%lld, but got %.*s instead.",
				  param, (long long)most, SLICE_ARG(text));
	return true;
}

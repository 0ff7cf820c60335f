/* result_line.c: see result_line.h. */
#include "terminal/result_line.h"

#include "base/json.h"

/* Whether an object `response` has a status of 2xx. */
static bool is_good(struct slice response)
{
	struct slice key, value;
	struct json j;
	uint64_t status = 0;

	json_init(&j, response);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &key)) {
		bool is_status = json_key_is(key, "status_code");
		if (!json_skip(&j, &value))
			return false;
		if (is_status && !json_whole(value, &status))
			return false;
	}
	return status >= 200 && status < 300;
}

static struct slice inside(struct slice string)
{
	return string.n >= 2 && string.p[0] == '"' ? (struct slice){ string.p + 1, string.n - 2 }
						   : (struct slice){ string.p, 0 };
}

bool result_line_read(struct slice line, struct result_line *ret)
{
	struct slice key, value;
	struct json j;
	bool good = false, failed = false;

	*ret = (struct result_line){ 0 };
	json_init(&j, line);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &key)) {
		if (!json_skip(&j, &value))
			return false;
		if (json_key_is(key, "custom_id"))
			ret->custom_id = inside(value);
		else if (json_key_is(key, "response"))
			good = is_good(value);
		else if (json_key_is(key, "error"))
			failed = !slice_is(value, "null");
		else if (json_key_is(key, "body"))
			ret->body = value;
	}
	ret->end = json_offset(&j) - 1;
	ret->answered = good && !failed;
	return json_end(&j);
}

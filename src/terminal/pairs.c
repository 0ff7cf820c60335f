/* pairs.c: see pairs.h. */
#include "terminal/pairs.h"

#include <string.h>

static bool pair_add(const char *option, json_t *to, const char *pair, struct error *err)
{
	const char *equals = strchr(pair, '=');

	if (equals == NULL || equals == pair)
		return fail(err, ERR_INVALID, "%s: '%.100s' is not KEY=VALUE", option, pair);
	return json_object_setn_new(to, pair, (size_t)(equals - pair), json_string(equals + 1)) ==
		       0 ||
	       fail(err, ERR_INVALID, "%s: '%.100s' is not UTF-8", option, pair);
}

bool pairs_object(const char *option, char *const *pairs, size_t count, json_t **ret,
		  struct error *err)
{
	json_t *object = json_object();
	bool good = object != NULL || fail_memory(err);

	for (size_t i = 0; i < count && good; i++)
		good = pair_add(option, object, pairs[i], err);
	if (!good)
		json_decref(object);
	*ret = good ? object : NULL;
	return good;
}

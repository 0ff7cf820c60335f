/* endpoints.c: see endpoints.h. */
#include "app/endpoints.h"

#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

bool endpoints_make(const struct config *c, struct store *s, struct webhook_endpoint **ret,
		    size_t *ret_n, struct error *err)
{
	const struct webhooks_config config = config_webhooks(c);
	struct org org;

	*ret_n = 0;
	*ret = calloc(config.endpoint_count + 1, sizeof(**ret));
	if (*ret == NULL)
		return fail_memory(err);
	*ret_n = config.endpoint_count;
	for (size_t i = 0; i < config.endpoint_count; i++) {
		struct webhook_endpoint *e = &(*ret)[i];
		*e = config.endpoints[i];
		if (e->org[0] == '\0')
			continue;
		if (!store_org_ensure(s, config.endpoints[i].org, sys.now_s(), &org, err))
			return false;
		memcpy(e->org, org.id, sizeof(e->org));
	}
	return true;
}

void endpoints_free(struct webhook_endpoint *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		webhook_endpoint_done(&list[i]);
	free(list);
}

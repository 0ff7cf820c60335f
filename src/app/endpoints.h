/* endpoints.h: the webhook endpoints of the configuration, as the store knows their organizations. */
#pragma once

#include "app/config.h"

/* Those of config_webhooks(), with the ids of organizations in the place of names; one that is not
 * there yet is made, so that a first start can name it. endpoints_free() in any case. */
MUST_USE bool endpoints_make(const struct config *c, struct store *s, struct webhook_endpoint **ret,
			     size_t *ret_n, struct error *err);
void endpoints_free(struct webhook_endpoint *list, size_t n);

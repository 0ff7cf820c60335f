/* secrets.c: the secrets of the configuration's endpoints, in memory. */
#include <stdlib.h>
#include <string.h>

#include "webhook/webhook_impl.h"

bool secrets_copy(const struct webhook_endpoint *list, size_t n, struct webhook_secrets *ret)
{
	*ret = (struct webhook_secrets){ .list = calloc(n + 1, sizeof(*ret->list)), .n = n };
	if (ret->list == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		memcpy(ret->list[i].endpoint, list[i].id, sizeof(ret->list[i].endpoint));
		memcpy(ret->list[i].secret, list[i].secret, sizeof(ret->list[i].secret));
	}
	return true;
}

void secrets_done(struct webhook_secrets *s)
{
	if (s->list != NULL)
		explicit_bzero(s->list, s->n * sizeof(*s->list));
	free(s->list);
	*s = (struct webhook_secrets){ 0 };
}

void secrets_fill(const struct webhook_secrets *s, struct webhook_due *due)
{
	for (size_t i = 0; due->secret[0] == '\0' && i < s->n; i++)
		if (strcmp(s->list[i].endpoint, due->endpoint) == 0)
			memcpy(due->secret, s->list[i].secret, sizeof(due->secret));
}

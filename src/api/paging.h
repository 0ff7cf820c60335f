/* paging.h: `after` and `limit` of a list (contract 10). */
#pragma once

#include "http/server.h"

struct page {
	const char *after; /* id, or NULL. Borrowed from the request */
	unsigned limit;
};

/* `limit` from 1 to `limit_max`, else INVALID with the codes of contract 5.2. */
MUST_USE bool page_read(const struct http_request *q, unsigned limit_max, unsigned limit_default,
			struct page *ret, struct error *err);

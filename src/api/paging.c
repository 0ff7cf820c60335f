/* paging.c */
#include "api/paging.h"

#include "api/number.h"

bool page_read(const struct http_request *q, unsigned limit_max, unsigned limit_default,
	       struct page *ret, struct error *err)
{
	const char *limit = http_query(q, "limit");
	const char *after = http_query(q, "after");
	int64_t n = limit_default;

	if (limit != NULL && !number_read("limit", slice_of(limit), 1, limit_max, &n, err))
		return false;
	ret->limit = (unsigned)n;
	ret->after = after != NULL && after[0] != '\0' ? after : NULL;
	return true;
}

/* name.c: which ids can be those of blobs. */
#include <stdio.h>
#include <string.h>

#include "blob/backend.h"

bool blob_id_is_plain(const char *id)
{
	size_t n = strnlen(id, ID_SIZE);

	return n > 0 && n < ID_SIZE &&
	       strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

bool blob_not_found(const char *id, struct error *err)
{
	(void)!fail(err, ERR_NOT_FOUND, "No such File object: %.64s", id);
	snprintf(err->param, sizeof(err->param), "id");
	return false;
}

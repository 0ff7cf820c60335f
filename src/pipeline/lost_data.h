/* lost_data.h: which faults say that data on disk is missing or wrong. Every other fault may pass:
 * a disk that refuses today has its data tomorrow, so a batch waits. */
#pragma once

#include <errno.h>

#include "base/error.h"

static inline bool data_is_lost(const struct error *err)
{
	return err->kind == ERR_NOT_FOUND || err->sys == EBADMSG || err->sys == ENOENT ||
	       err->sys == ENODATA;
}

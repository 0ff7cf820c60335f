/* options.h: the request member `lowtide` of a create (contract 11.1). */
#pragma once

#include "api/members.h"
#include "base/buf.h"
#include "batch/options.h"

/* Fills *ret from the member `lowtide`, which may be absent or null. INVALID with `param`
 * "lowtide.NAME" as contract 5.2 says of types and values; members it does not know are ignored.
 * batch_options_done(ret) is the caller's either way. */
MUST_USE bool options_read(const struct member *lowtide, struct batch_options *ret,
			   struct error *err);
/* What makes the options of two creates the same (contract 2.4). */
void options_content(const struct batch_options *o, struct buf *to);

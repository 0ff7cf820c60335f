/* view_impl.h: dispatch_view(), in dispatch's thread. */
#pragma once

#include "dispatch/view.h"

MUST_USE bool view_make(const struct dispatch *d, bool decisions, struct scheduling_view *ret,
			struct error *err);

/* view_impl.h: dispatch_view(), in dispatch's thread. */
#pragma once

#include "dispatch/view.h"

MUST_USE bool view_make(const struct dispatch *d, const struct view_asked *asked,
			struct scheduling_view *ret, struct error *err);

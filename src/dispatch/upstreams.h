/* upstreams.h: the list of upstreams, and what of it and of the models is no longer needed.
 * Threads: dispatch alone. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "schedule/schedule.h"
#include "upstream/config.h"

#define UPSTREAMS_MAX LANES_MAX

struct dispatch;

MUST_USE bool upstreams_set(struct dispatch *d, const struct upstream_config *list, size_t n,
			    struct error *err);
/* What was said of who drives them (driven.h) holds from now on. */
void upstreams_driven(struct dispatch *d);
/* Frees them all, and all models. */
void upstreams_free(struct dispatch *d);
/* Frees what is retired and idle. */
void upstreams_tidy(struct dispatch *d, uint64_t now_ms);

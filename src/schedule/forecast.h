/* forecast.h: the part of the forecast that schedule.c calls. schedule_forecast() is in schedule.h.
 * Private to schedule/. */
#pragma once

#include "schedule/schedule_impl.h"

/* Renews the order of the batches in their organizations: `all`, and the lists of the
 * organizations. */
void schedule_order(struct schedule *s);

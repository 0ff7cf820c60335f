/* forecast.h: the part of the forecast that schedule.c calls. schedule_forecast() is in schedule.h.
 * Private to schedule/. */
#pragma once

#include "schedule/schedule_impl.h"

/* The batch has come: its place in its organization until the next forecast. */
void forecast_place(struct schedule *s, struct schedule_batch *b);

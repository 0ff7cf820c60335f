/* The names that test_width.c has for limit/limit.h, and room and the passing of time in one call, as it was. */
#pragma once

#include "limit/limit.h"

#define width limit
#define width_config limit_config
#define width_mark limit_mark
#define width_answer limit_answer
#define width_state limit_state
#define width_new limit_new
#define width_free limit_free
#define width_configure limit_configure
#define width_batch_sent limit_batch_sent
#define width_batch_answered limit_batch_answered
#define width_batch_gone limit_batch_gone
#define width_batch_refused limit_batch_refused
#define width_online_sent limit_online_sent
#define width_online_gone limit_online_gone
#define width_online_room limit_online_room
#define width_reopened limit_reopened
#define width_gauges limit_gauges
#define width_room(l, held, now_us) (limit_tick((l), (held), (now_us)), limit_room(l))
#define WIDTH_FIXED LIMIT_FIXED

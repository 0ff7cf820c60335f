/* width_shim.h: test_width.c asks for room and lets time pass in one call, as it was once. */
#pragma once

#include "upstream/width.h"

#define width_room(w, held, now_us) (width_tick((w), (held), (now_us)), width_room(w))

/* turn.h: what a loop does with its connections. Private to http/. */
#pragma once

#include "http/loop.h"

extern const struct http_loop_ops connection_ops;

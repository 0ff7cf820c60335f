/* print_id.h: an id is all that a command prints: scripts take it from standard output. */
#pragma once

#include "base/error.h"

/* True: whoever reads standard output has it. */
MUST_USE bool print_id(const char *id, struct error *err);

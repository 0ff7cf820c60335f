/* target.h: the URL of a receiver, as it is given (contract 12). What its name leads to is judged
 * at each attempt (address.h). Pure. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/slice.h"

/* https (with `allow_private` also http), a host, and no user, fragment or characters that have no
 * place in a URL; without `allow_private` an address that stands in it is a public one. NULL: it is
 * such a URL; else what is wrong with it, behind "Invalid value for 'url': " (static). */
const char *target_refusal(const char *url, bool allow_private);

/* weight.h: how many requests an inference engine makes of one: what it adds to the engine's
 * gauges. `n: 4` is four of them, a list of k inputs is k. Pure, no allocation, safe on any bytes;
 * any thread. */
#pragma once

#include <stdint.h>

#include "base/json.h"
#include "base/slice.h"

#define UNITS_MAX 4096u /* of one request; more count as so many */

/* Units of a request: from 1 to UNITS_MAX; 1 where `body` is no JSON object. `inputs`: elements of
 * its `input`, as the index counted them; 0: they are counted here. Where the body has no member
 * that matters nothing but a search for its name is paid. A name written with escapes ("\u006e") is
 * not found. */
unsigned body_units(struct slice body, const char *endpoint, uint32_t inputs);

/* Reads the value at hand. One input, unless it is an array of several: texts, or lists of tokens.
 * An array of numbers is one list of tokens. */
uint32_t inputs_count(struct json *j);

/* duration.h: `30s`, `10m`, `12h`, `7d`, and sizes `100MB`: how people write settings and
 * windows; and how messages write a time. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

/* Digits without sign or leading zero (or just `0`), then one of s m h d. False if it is anything
 * else or does not fit in 2^40 seconds. */
bool duration_parse(struct slice text, uint64_t *ret_s);
/* The shortest exact form: 3600 -> "1h". */
void duration_format(uint64_t seconds, char ret[static 24]);
/* "2026-11-30T21:00:00Z", of Unix seconds; "" where no date is so far. */
#define TIME_TEXT_BYTES 32
void time_format(int64_t at, char ret[static TIME_TEXT_BYTES]);
/* Digits, then nothing, B, KB, MB, GB or TB (of 1024). */
bool size_parse(struct slice text, uint64_t *ret_bytes);
void size_format(uint64_t bytes, char ret[static 24]);

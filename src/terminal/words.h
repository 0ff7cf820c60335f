/* words.h: numbers, sizes and times as people read them. Pure. */
#pragma once

#include <stdint.h>

#define WORDS_BYTES 64u

/* "1,234,567" */
void words_number(int64_t value, char to[static WORDS_BYTES]);
/* "170 B", "8.4 GB": of 1024, as the limits of files are counted. */
void words_bytes(uint64_t bytes, char to[static WORDS_BYTES]);
/* "2h05m ago", "in 45s", "now": where `at` is from `now` (both Unix s). */
void words_age(int64_t at, int64_t now, char to[static WORDS_BYTES]);
/* "2026-11-30 21:00:05", by this machine's clock. */
void words_time(int64_t at, char to[static WORDS_BYTES]);

/* prefix.h: hashes of a prompt's first bytes, at a few lengths, by which lines are known to share a
 * prompt prefix. Lines with the same hash at a length have the same bytes up to there (but for
 * chance, 1 in 2^32).
 *
 * The prompt is the raw text of the body's `system` (of /v1/messages), behind it that of its
 * `messages`, else `prompt`, else `input`, from its first byte; lines with other `tools` never agree
 * (an engine puts those first). */
#pragma once

#include <stdint.h>

#define PREFIX_LEVELS 6
/* Bytes of the prompt at each level: about 128 to 4,096 tokens. Below that a cache saves
 * nothing. */
#define PREFIX_BYTES(level) (512u << (level))

/* 0: the prompt is shorter than that level. */
struct prefix {
	uint32_t hash[PREFIX_LEVELS];
};

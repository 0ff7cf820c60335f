/* segment.h: a segment is 1,024 lines that follow each other in a batch: the unit of metadata and
 * of the result files, which are written per segment, never per line. The last one may be shorter.
 *
 * A worker that has a lease on a span (pipeline/lessor.h) hands its segments to the schedule one
 * after the other, each as a cursor. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SEGMENT_LINES 1024u

/* How far the schedule has gone through a segment. A plain value: it holds no lock and no lease. */
struct segment_cursor {
	uint64_t segment;                /* number, from 0 */
	uint64_t first;                  /* its first record */
	uint32_t lines;                  /* records in it */
	uint32_t next;                   /* the next to look at */
	bool later;                      /* none could be lent: there may be more in a moment */
	uint8_t done[SEGMENT_LINES / 8]; /* bit set: that line has ended already */
};

static inline bool bit_get(const uint8_t *bits, uint32_t i)
{
	return (bits[i / 8] >> (i % 8)) & 1;
}

static inline void bit_set(uint8_t *bits, uint32_t i)
{
	bits[i / 8] |= (uint8_t)(1u << (i % 8));
}

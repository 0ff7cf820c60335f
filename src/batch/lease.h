/* lease.h: a segment of lines, lent to be sent. The segment is the unit of lease, of metadata and
 * of the result files: metadata is written per segment, never per line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SEGMENT_LINES 1024u

/* One process leases from itself, so a lease lives as long as the process; where many nodes share
 * the work this is the row (batch, segment, owner, until, epoch) of the design. */
struct lease {
	uint64_t segment;                /* number, from 0 */
	uint64_t first;                  /* its first record */
	uint32_t lines;                  /* records in it */
	uint32_t cursor;                 /* the next to look at */
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

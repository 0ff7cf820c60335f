/* random.h: random numbers for simulations: the same for a seed, everywhere. */
#pragma once

#include <stdint.h>

static uint64_t sim_seed;

static inline uint32_t sim_random(uint32_t below)
{
	sim_seed = sim_seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(((sim_seed >> 33) * below) >> 31);
}

static inline double sim_random_unit(void)
{
	return sim_random(1u << 24) / (double)(1u << 24);
}

static inline uint32_t sim_hash(uint32_t x)
{
	x = (x ^ (x >> 16)) * 0x85ebca6bu;
	x = (x ^ (x >> 13)) * 0xc2b2ae35u;
	return (x ^ (x >> 16)) | 1u;
}

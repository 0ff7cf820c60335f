/* paces.h: how fast each batch went since its first line ended, in fixed memory: what the console plots.
 *
 * A batch begins with steps of a second. Once all PACE_STEPS are full two become one, and a step lasts
 * twice as long: so they reach over the whole run, whatever it takes. PACES batches have such steps, 1 KiB
 * each: another takes the place of the one that was idle longest. Pure; guarded by its owner. */
#pragma once

#include <stdint.h>

#include "base/id.h"

#define PACE_STEPS 240u
#define PACE_STEP_MS UINT64_C(1000) /* at first */
#define PACES 256u

struct batch_pace {
	char batch[ID_SIZE]; /* "": none */
	uint64_t since_ms;
	uint64_t step_ms;
	uint32_t lines[PACE_STEPS]; /* that ended in each step; what does not fit stays at its most */
};

struct paces {
	struct batch_pace of[PACES]; /* all 0: none yet */
	uint32_t hashes[PACES];      /* of their names: id_hash() */
	uint64_t active_ms[PACES];   /* when lines of each ended last */
};

/* Lines of the batch have ended. `now_ms` never goes back. */
void paces_add(struct paces *p, const char *batch, uint64_t now_ms, uint64_t lines);
/* With the steps up to now. NULL: nothing is known of it. */
const struct batch_pace *paces_find(struct paces *p, const char *batch, uint64_t now_ms);
/* Of its steps those that are over at `now_ms`. */
unsigned pace_steps(const struct batch_pace *pace, uint64_t now_ms);
/* Lines a second up to now, since the beginning of the last step that began `over_ms` ago or earlier, and has
 * ended; since the first, where none did. */
double pace_rate(const struct batch_pace *pace, uint64_t now_ms, uint64_t over_ms);

#include "mutants.h"

#include <stddef.h>

const struct mutant_text mutant_texts[MUTANT_COUNT] = {
	[MUTANT_NONE] = { "none", "the protocol as it is" },
#define X(name_, word_, what_) [MUTANT_##name_] = { word_, what_ },
	MUTANTS(X)
#undef X
};

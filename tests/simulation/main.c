/* main.c: simulate: the protocol against so many seeds, or its mutants; or one seed, told. */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(void)
{
	fprintf(stderr, "usage: simulate [--from SEED] [--seeds N] [--mutant WORD | --mutants] "
			"[--trace]\n");
	return 2;
}

static void figures_print(const struct figures *f, uint64_t seeds)
{
	printf("%" PRIu64 " seeds: %" PRIu64 " events, %" PRIu64 " transactions, %" PRIu64
	       " lines acknowledged, %" PRIu64 " sent, %" PRIu64 " of them again\n",
	       seeds, f->events, f->transactions, f->lines, f->sends, f->sent_again);
	printf("deaths %" PRIu64 ", pauses %" PRIu64 ", drains %" PRIu64 ", outages %" PRIu64
	       ", burials %" PRIu64 ", outcomes not known %" PRIu64 ", requests late %" PRIu64 "\n",
	       f->deaths, f->pauses, f->drains, f->outages, f->burials, f->unknown,
	       f->late_arrivals);
	printf("pieces refused %" PRIu64 ", objects deleted %" PRIu64
	       ", upstreams taken over within 20 s of a death %" PRIu64 "\n",
	       f->refused, f->objects_deleted, f->recoveries);
	printf("sends too late, of nodes stopped between check and send: %" PRIu64 "\n",
	       f->stale_sends);
}

/* The first seed that shows the mutant; UINT64_MAX: none does. */
static uint64_t mutant_find(struct world *w, enum mutant m, uint64_t from, uint64_t seeds)
{
	for (uint64_t seed = from; seed < from + seeds; seed++)
		if (!world_run(w, seed, m))
			return seed;
	return UINT64_MAX;
}

static int mutants_run(struct world *w, uint64_t from, uint64_t seeds)
{
	int status = 0;

	for (unsigned m = MUTANT_NONE + 1; m < MUTANT_COUNT; m++) {
		uint64_t seed = mutant_find(w, m, from, seeds);

		printf("%-17s %-62s", mutant_texts[m].word, mutant_texts[m].what);
		if (seed == UINT64_MAX) {
			printf(" SURVIVES\n");
			status = 1;
		} else {
			printf(" %6" PRIu64 "  %s\n", seed - from + 1, w->truth.broken);
		}
	}
	return status;
}

static int seeds_run(struct world *w, enum mutant m, uint64_t from, uint64_t seeds)
{
	struct figures sum = { 0 };

	for (uint64_t seed = from; seed < from + seeds; seed++) {
		bool holds = world_run(w, seed, m);

		figures_add(&sum, &w->figures);
		if (holds)
			continue;
		printf("seed %" PRIu64 ", %.3f s: %s: %s\n", seed,
		       (double)w->truth.broken_us / (double)S, w->truth.broken, w->truth.detail);
		return 1;
	}
	figures_print(&sum, seeds);
	return 0;
}

static bool mutant_of(const char *word, enum mutant *ret)
{
	for (unsigned m = 0; m < MUTANT_COUNT; m++)
		if (strcmp(mutant_texts[m].word, word) == 0) {
			*ret = m;
			return true;
		}
	return false;
}

int main(int argc, char **argv)
{
	uint64_t from = 0, seeds = 100000;
	enum mutant mutant = MUTANT_NONE;
	bool all = false, is_traced = false;
	struct world *w;
	int status;

	for (int i = 1; i < argc; i++) {
		bool has_value = i + 1 < argc;

		if (strcmp(argv[i], "--trace") == 0)
			is_traced = true;
		else if (strcmp(argv[i], "--mutants") == 0)
			all = true;
		else if (strcmp(argv[i], "--from") == 0 && has_value)
			from = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seeds") == 0 && has_value)
			seeds = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--mutant") != 0 || !has_value ||
			 !mutant_of(argv[++i], &mutant))
			return usage();
	}
	w = calloc(1, sizeof(*w));
	if (w == NULL) {
		perror("simulate");
		return 1;
	}
	w->is_traced = is_traced;
	status = all ? mutants_run(w, from, seeds) : seeds_run(w, mutant, from, seeds);
	free(w);
	return status;
}

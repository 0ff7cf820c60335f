/* results_run.c: result files in the order of the journal (output_order "completion"). */
#include <stdlib.h>

#include "results/results_impl.h"

/* The next records of the run that check, of lines that are not settled. */
static bool run_find(struct append *a, struct results_run *run, struct error *err)
{
	struct journal_scan *s = journal_scan_new(a->j, run->from, run->end, run->records);
	struct journal_head head = { 0 };
	bool found = true, ok = true;
	uint64_t at = 0;

	run->n = 0;
	if (s == NULL)
		return fail_memory(err);
	while (ok && found && run->n < RESULTS_RUN_LINES) {
		ok = journal_scan_next(s, &head, &at, &found, err);
		run->from = ok && found ? at + sizeof(head) + head.length : run->end;
		uint8_t *settled = run->settled + head.record / 8;
		if (!ok || !found || bit_get(settled, head.record % 8))
			continue;
		bit_set(settled, head.record % 8);
		a->places[run->n] = (struct place){ at, head };
		run->taken[run->n++] = head.record;
	}
	journal_scan_free(s);
	return ok;
}

static void bit_clear(uint8_t *bits, uint32_t i)
{
	bits[i / 8] &= (uint8_t) ~(1u << (i % 8));
}

void results_run_undo(struct results_run *run)
{
	for (size_t i = 0; i < run->n; i++)
		bit_clear(run->settled, run->taken[i]);
	run->n = 0;
}

static bool run_append(struct append *a, struct results_run *run, struct error *err)
{
	for (size_t i = 0; i < run->n; i++) {
		const struct place *place = &a->places[i];
		bool output = place->head.kind == JOURNAL_OUTPUT, good;
		const struct sink *to = output ? &a->r->output : &a->r->error;
		uint64_t at = results_sink_end(to);
		if (!results_line_append(a->r, a->j, place, &good, err))
			return false;
		if (!good) { /* damaged since it was found */
			bit_clear(run->settled, place->head.record);
			continue;
		}
		results_sums_add(&a->sums, &place->head);
		results_line_note(a, to, at, place->head.record, place->head.number);
	}
	return true;
}

bool results_append_run(struct results *r, const struct journal *j, struct results_run *run,
			struct merge_state *m, struct error *err)
{
	AUTO(auto_free) struct place *places = calloc(RESULTS_RUN_LINES, sizeof(*places));
	AUTO(auto_free) struct order_note *notes = calloc(RESULTS_RUN_LINES, sizeof(*notes));
	struct append a = { .r = r,
			    .j = j,
			    .number = run->number,
			    .ctx = run->ctx,
			    .places = places,
			    .notes = notes,
			    .sums = *m };

	if (places == NULL || notes == NULL)
		return fail_memory(err);
	return run_find(&a, run, err) && run_append(&a, run, err) && results_append_end(&a, m, err);
}

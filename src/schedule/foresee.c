/* foresee.c: what would become of a batch that could be added. The same fluid as in forecast.c:
 * organizations share the slots by weight in virtual time, batches of one in the order of their
 * deadlines, late ones before all. */
#include <math.h>
#include <string.h>

#include "schedule/estimate.h"

/* Slots times milliseconds. */
static double work_of(const struct schedule_batch *b)
{
	return (double)b->rest_lines * b->each_ms;
}

/* What goes before the batch, or beside it. */
struct fluid {
	const struct schedule *s;
	const char *org;
	unsigned weight;
	int64_t deadline_ms;
	double late;  /* work that goes before all */
	double ahead; /* of its own organization's, what goes before it */
};

static void fluid_fill(struct fluid *f)
{
	for (struct schedule_org *o = f->s->orgs; o != NULL; o = o->all_next)
		o->rest_work = 0;
	for (size_t i = 0; i < f->s->n; i++) {
		const struct schedule_batch *b = f->s->all[i];
		if (b->suspended)
			continue;
		if (b->late) {
			f->late += work_of(b);
			continue;
		}
		b->in->rest_work += work_of(b);
		if (strcmp(b->org, f->org) == 0 && b->effective_deadline_ms <= f->deadline_ms)
			f->ahead += work_of(b);
	}
}

/* The work that the others get until an organization of our weight has got `own`. */
static double others_until(const struct fluid *f, double own)
{
	double virtual_now = own / f->weight, sum = 0;

	for (const struct schedule_org *o = f->s->orgs; o != NULL; o = o->all_next)
		if (strcmp(o->id, f->org) != 0)
			sum += fmin(o->rest_work, virtual_now * o->weight);
	return sum;
}

bool schedule_foresee(const struct schedule *s, const struct schedule_asked *asked, double slots,
		      double *ret_start_s, double *ret_end_s)
{
	const struct schedule_batch b = { .rest_lines = asked->lines, .rest_bytes = asked->bytes };
	double each_ms = estimate_line_ms(s, &b);
	double work = (double)asked->lines * each_ms;

	if (each_ms <= 0 || slots <= 0)
		return false;
	struct fluid f = { .s = s,
			   .org = asked->org,
			   .weight = asked->org_weight > 0 ? asked->org_weight : 1,
			   .deadline_ms = asked->expires_at * 1000 -
					  (int64_t)fmin(work / slots, 1e15) };
	fluid_fill(&f);
	double start_ms = (f.late + f.ahead + others_until(&f, f.ahead)) / slots;
	double all = f.ahead + work;
	double end_ms = (f.late + all + others_until(&f, all)) / slots;
	if (f.ahead <= 0 && f.late <= 0)
		start_ms = 0; /* its turn comes at once */
	*ret_start_s = start_ms / 1000;
	*ret_end_s = fmax(end_ms, start_ms + each_ms) / 1000;
	return true;
}

double schedule_slots_of(const struct schedule *s, double lines_per_s)
{
	return lines_per_s * s->line_ms / 1000;
}

uint64_t schedule_lines_ended(const struct schedule *s)
{
	return s->ended;
}

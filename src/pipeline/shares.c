/* shares.c: see shares.h. */
#include "pipeline/shares.h"

#include <stdlib.h>

#define UNLISTED INDEX_NAMES_MAX /* lines of models that the index does not list; at its end */

struct pass {
	const struct index *index;
	struct lessor_memory *lessor;
	uint64_t lines[INDEX_NAMES_MAX + 1], bytes[INDEX_NAMES_MAX + 1];
	uint8_t *segments[INDEX_NAMES_MAX + 1]; /* NULL: has no lines */
	uint64_t count;                         /* of segments */
	struct index_record records[SEGMENT_LINES];
};

static bool record_count(struct pass *p, uint64_t segment, const struct index_record *r,
			 struct error *err)
{
	unsigned m = r->model < index_summary(p->index)->model_count ? r->model : UNLISTED;

	if (p->segments[m] == NULL)
		p->segments[m] = calloc(p->count / 8 + 1, 1);
	if (p->segments[m] == NULL)
		return fail_memory(err);
	bit_set(p->segments[m], (uint32_t)segment);
	p->lines[m]++;
	p->bytes[m] += r->body_length;
	return true;
}

static bool segment_count(struct pass *p, uint64_t segment, struct error *err)
{
	struct segment_cursor cursor;

	if (!lessor_memory_cursor(p->lessor, segment, &cursor))
		return true; /* all its lines have ended */
	if (!index_read(p->index, cursor.first, p->records, cursor.lines, err))
		return false;
	for (uint32_t i = 0; i < cursor.lines; i++)
		if (!bit_get(cursor.done, i) && !record_count(p, segment, &p->records[i], err))
			return false;
	return true;
}

/* What was counted becomes shares, and the bits of all of them one piece. */
static bool shares_gather(const struct pass *p, struct shares *ret, struct error *err)
{
	const struct index_summary *s = index_summary(p->index);
	size_t each = p->count / 8 + 1;
	unsigned n = 0;

	for (unsigned m = 0; m <= UNLISTED; m++)
		n += p->lines[m] > 0;
	struct shares made = { .of = calloc(n + 1, sizeof(*made.of)),
			       .bits = malloc(n * each + 1) };
	if (made.of == NULL || made.bits == NULL) {
		shares_done(&made);
		return fail_memory(err);
	}
	for (unsigned m = 0; m <= UNLISTED; m++) {
		uint8_t *bits = made.bits + made.n * each;
		if (p->lines[m] == 0)
			continue;
		memcpy(bits, p->segments[m], each);
		made.of[made.n++] = (struct worker_share){
			.model = m < s->model_count ? s->models[m] : NULL,
			.number = m == UNLISTED ? INDEX_OTHER : (uint16_t)m,
			.rest_lines = p->lines[m],
			.rest_bytes = p->bytes[m],
			.segments = bits,
		};
	}
	shares_done(ret);
	*ret = made;
	return true;
}

bool shares_make(const struct index *index, struct lessor_memory *lessor, uint64_t first,
		 uint64_t segments, struct shares *ret, struct error *err)
{
	struct pass *p = calloc(1, sizeof(*p));
	bool ok = p != NULL || fail_memory(err);

	if (!ok)
		return false;
	p->index = index;
	p->lessor = lessor;
	p->count = segments;
	for (uint64_t segment = first; ok && segment < segments; segment++)
		ok = segment_count(p, segment, err);
	ok = ok && shares_gather(p, ret, err);
	for (unsigned m = 0; m <= UNLISTED; m++)
		free(p->segments[m]);
	free(p);
	return ok;
}

void shares_done(struct shares *s)
{
	free(s->of);
	free(s->bits);
	*s = (struct shares){ 0 };
}

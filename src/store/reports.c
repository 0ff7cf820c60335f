#include "store/reports.h"

#include <stdlib.h>

#include "store/asks.h"

#define REPORT_WAIT_MS 1000

void report_texts_free(struct report_text *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(texts[i].scheduling);
		free(texts[i].batches);
	}
	free(texts);
}

/* crash: the one before or this one, for as long as the lease lasts. */
bool store_report_put(struct db *db, const struct report_text *r, uint64_t epoch, bool forget,
		      struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	const struct value *put = VALUES(u64(r->node), u64(epoch), num(r->since), u64(r->format),
					 txt(r->scheduling), txt(r->batches));

	if (forget)
		return asks_run(&a, db, REPORT_WAIT_MS,
				ASKS({ SQL_report_put, put }, { SQL_report_forget, VALUES() }),
				err);
	return asks_run(&a, db, REPORT_WAIT_MS, ASKS({ SQL_report_put, put }), err);
}

/* Row by row: what was read is freed where a later one fails. */
static bool text_read(struct query *q, struct report_text *ret, struct error *err)
{
	ret->node = query_u64(q);
	ret->since = query_int(q);
	ret->format = query_u64(q);
	ret->scheduling = query_text_copy(q);
	ret->batches = query_text_copy(q);
	return query_row_ok(q, err);
}

static bool texts_read(struct query *q, struct report_text **ret, size_t *ret_n, struct error *err)
{
	bool row;

	for (;;) {
		if (!query_step(q, &row, err))
			return false;
		if (!row)
			return true;
		struct report_text *more = array_room(*ret, *ret_n, sizeof(**ret));
		if (more == NULL)
			return fail_memory(err);
		*ret = more;
		more[*ret_n] = (struct report_text){ 0 };
		if (!text_read(q, &more[(*ret_n)++], err))
			return false;
	}
}

bool store_report_list(struct db *db, uint64_t node, struct report_text **ret, size_t *ret_n,
		       struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };

	*ret = NULL;
	*ret_n = 0;
	if (!asks_run(&a, db, REPORT_WAIT_MS, ASKS({ SQL_report_list, VALUES(u64(node)) }), err))
		return false;
	if (texts_read(&a.of[0], ret, ret_n, err))
		return true;
	report_texts_free(TAKE(*ret), *ret_n);
	*ret_n = 0;
	return false;
}

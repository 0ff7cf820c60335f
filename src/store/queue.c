/* queue.c: what organizations have enqueued, and whose work waits because that is more than their
 * limits allow (contract 13.1). */
#include <stdlib.h>

#include "store/store_priv.h"

bool store_org_queue(struct store *s, const char *org, struct org_queue *ret, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done) struct query q = query(db, SQL_org_queue, VALUES(txt(org)));
	bool row;

	if (!query_step(&q, &row, err))
		return false;
	ret->batches = query_u64(&q);
	ret->requests = query_u64(&q);
	ret->tokens = query_u64(&q);
	ret->uploads = query_u64(&q);
	return query_row_ok(&q, err);
}

/* One organization's turn in the pass over all open batches. */
struct queue_pass {
	char org[ID_SIZE];
	struct org_queue most, sum; /* 0: any number */
	bool full;                  /* what follows waits */
};

static uint64_t own_or(int64_t own, uint64_t configured)
{
	return own == LIMIT_AS_CONFIGURED ? configured : (uint64_t)own;
}

static bool pass_begin(struct db *db, struct queue_pass *p, const char *org,
		       const struct org_queue *configured, struct error *err)
{
	int64_t own[ORG_LIMITS];

	if (!org_limits_read(db, org, own, err))
		return false;
	*p = (struct queue_pass){
		.most.requests = own_or(own[LIMIT_ENQUEUED_REQUESTS], configured->requests),
		.most.tokens = own_or(own[LIMIT_ENQUEUED_TOKENS], configured->tokens),
	};
	memcpy(p->org, org, sizeof(p->org));
	return true;
}

static bool is_over(uint64_t sum, uint64_t more, uint64_t most)
{
	return most != 0 && (sum > most || more > most - sum);
}

/* Whether the next batch in the order of making waits. The first never does, or one that is larger
 * than the limit never ran; and none overtakes one that waits. */
static bool pass_add(struct queue_pass *p, uint64_t requests, uint64_t tokens)
{
	p->full = p->full ||
		  (p->sum.batches > 0 && (is_over(p->sum.requests, requests, p->most.requests) ||
					  is_over(p->sum.tokens, tokens, p->most.tokens)));
	if (p->full)
		return true;
	p->sum.batches++;
	p->sum.requests += requests;
	p->sum.tokens += tokens;
	return false;
}

static bool limits_in_force(struct db *db, const struct org_queue *configured, bool *ret,
			    struct error *err)
{
	static const enum org_limit limits[] = { LIMIT_ENQUEUED_REQUESTS, LIMIT_ENQUEUED_TOKENS };
	int64_t used;

	*ret = configured->requests != 0 || configured->tokens != 0;
	for (unsigned i = 0; i < ARRAY_LEN(limits) && !*ret; i++) {
		if (!sql_number(db, SQL_org_limit_used, VALUES(txt(org_limit_names[limits[i]])),
				&used, err))
			return false;
		*ret = used != 0;
	}
	return true;
}

static int by_id(const void *a, const void *b)
{
	const struct queue_place *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static bool find_places(struct db *db, const struct org_queue *configured, struct queue_place **ret,
			size_t *ret_n, struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_batch_queue, VALUES());
	AUTO(auto_free) struct queue_place *places = NULL;
	struct queue_pass pass = { 0 };
	char org[ID_SIZE];
	size_t n = 0;
	bool row;

	for (;;) {
		struct queue_place *grown = array_room(places, n, sizeof(*places));
		if (grown == NULL)
			return fail_memory(err);
		places = grown;
		if (!query_step(&q, &row, err))
			return false;
		if (!row)
			break;
		query_text(&q, org, sizeof(org));
		query_text(&q, places[n].id, sizeof(places[n].id));
		uint64_t requests = query_u64(&q), tokens = query_u64(&q);
		if (strcmp(org, pass.org) != 0 && !pass_begin(db, &pass, org, configured, err))
			return false;
		places[n++].waits = pass_add(&pass, requests, tokens);
	}
	qsort(places, n, sizeof(*places), by_id);
	*ret = TAKE(places);
	*ret_n = n;
	return true;
}

bool store_queue(struct store *s, const struct org_queue *configured, bool *ret_limited,
		 struct queue_place **ret, size_t *ret_n, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);

	*ret = NULL;
	*ret_n = 0;
	return limits_in_force(db, configured, ret_limited, err) &&
	       (!*ret_limited || find_places(db, configured, ret, ret_n, err));
}

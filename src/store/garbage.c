#include "store/garbage.h"

#include "store/asks.h"

static bool rows_count(struct query *q, uint64_t *ret, struct error *err)
{
	bool row;

	for (*ret = 0; query_step(q, &row, err); ++*ret)
		if (!row)
			return true;
	return false;
}

/* Which names, and what they say. */
struct listed_columns {
	struct buf names, nodes, epochs, numbers;
};

static void columns_done(struct listed_columns *c)
{
	buf_free(&c->names);
	buf_free(&c->nodes);
	buf_free(&c->epochs);
	buf_free(&c->numbers);
}

static bool columns_fill(struct listed_columns *c, const struct object_listed *objects, size_t n,
			 struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		array_text(&c->names, objects[i].name);
		array_u64(&c->nodes, objects[i].made.owner.node);
		array_u64(&c->epochs, objects[i].made.owner.epoch);
		array_u64(&c->numbers, objects[i].made.number);
	}
	array_end(&c->names);
	array_end(&c->nodes);
	array_end(&c->epochs);
	array_end(&c->numbers);
	return !(c->names.failed || c->nodes.failed || c->epochs.failed || c->numbers.failed) ||
	       fail_memory(err);
}

bool store_garbage_mark(struct db *db, const struct object_listed *objects, size_t n,
			uint64_t *ret_marked, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	AUTO(columns_done) struct listed_columns c = { LIST, LIST, LIST, LIST };

	assert(n <= GARBAGE_MARKED_MAX);
	return columns_fill(&c, objects, n, err) &&
	       asks_run(&a, db, ASK_WAIT_MS,
			ASKS({ SQL_garbage_mark, VALUES(txt(c.names.p), txt(c.nodes.p),
							txt(c.epochs.p), txt(c.numbers.p)) }),
			err) &&
	       rows_count(&a.of[0], ret_marked, err);
}

static bool name_read(struct query *q, void *to, struct error *err)
{
	(void)err;
	query_text(q, to, OBJECT_NAME_SIZE);
	return true;
}

bool store_garbage_due(struct db *db, int64_t age_us, unsigned max, char (**ret)[OBJECT_NAME_SIZE],
		       size_t *ret_n, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };

	if (!asks_run(&a, db, ASK_WAIT_MS, ASKS({ SQL_garbage_due, VALUES(num(age_us), num(max)) }),
		      err))
		return false;
	*ret = query_rows(&a.of[0], name_read, sizeof(**ret), ret_n, err);
	return *ret != NULL;
}

bool store_garbage_forget(struct db *db, const char (*names)[OBJECT_NAME_SIZE], size_t n,
			  struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	AUTO(buf_free) struct buf list = LIST;

	for (size_t i = 0; i < n; i++)
		array_text(&list, names[i]);
	array_end(&list);
	if (list.failed)
		return fail_memory(err);
	return asks_run(&a, db, ASK_WAIT_MS, ASKS({ SQL_garbage_forget, VALUES(txt(list.p)) }),
			err);
}

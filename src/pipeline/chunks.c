/* chunks.c: see chunks.h. */
#include "pipeline/chunks.h"

#include <inttypes.h>
#include <stdio.h>

#include "blob/objects.h"
#include "pipeline/cluster.h"
#include "pipeline/worker.h"

#define CHUNK_KEPT_BYTES (4u << 20) /* of a buffer, between chunks */

void chunks_init(struct chunks *c, struct cluster *cluster, struct blobs *blobs)
{
	*c = (struct chunks){ .cluster = cluster, .blobs = blobs, .bytes = BUF(SIZE_MAX / 2) };
}

void chunks_done(struct chunks *c)
{
	buf_free(&c->bytes);
}

static void chunk_end(struct chunks *c)
{
	node_object_decided(cluster_node(c->cluster), c->number);
	c->number = 0;
	buf_clear(&c->bytes);
	if (c->bytes.cap > CHUNK_KEPT_BYTES)
		buf_free(&c->bytes);
}

static void outcomes_add(const struct outcome *first, struct piece_settled *ret)
{
	for (const struct outcome *o = first; o != NULL; o = o->next) {
		if (o->success)
			ret->counts.completed++;
		else
			ret->counts.failed++;
		ret->counts.retried += o->attempts > 0 ? o->attempts - 1 : 0;
		usage_add(&ret->usage, &o->usage);
	}
}

static bool piece_add(struct chunks *c, const struct recorded *part, struct piece_settled *ret,
		      struct error *err)
{
	const struct worker_span *span = worker_span(part->owner);
	uint64_t length = part->end - part->at;

	*ret = (struct piece_settled){
		.span = span->id, .epoch = span->epoch, .at = c->bytes.n, .length = length
	};
	outcomes_add(part->first, ret);
	if (!buf_reserve(&c->bytes, length))
		return fail_memory(err);
	if (!journal_read(part->journal, part->at, c->bytes.p + c->bytes.n, length, err))
		return false;
	c->bytes.n += length;
	return true;
}

static bool chunk_begin(struct chunks *c, const struct recorded *parts, size_t n, struct error *err)
{
	buf_clear(&c->bytes);
	for (size_t i = 0; i < n; i++)
		if (!piece_add(c, &parts[i], &c->pieces[i], err))
			return false;
	c->owner = node_owner(cluster_node(c->cluster));
	c->number = node_object_take(cluster_node(c->cluster));
	c->is_put = false;
	snprintf(c->name, sizeof(c->name), "chunks/%016" PRIx64 "-%" PRIu64 "-%" PRIu64,
		 c->owner.node, c->owner.epoch, c->number);
	return true;
}

static bool pieces_settle(struct chunks *c, size_t n, struct error *err)
{
	struct db *db = cluster_db_borrow(c->cluster);
	bool ok = store_pieces_settle(db, c->owner, c->name, c->pieces, n, err);

	cluster_db_return(c->cluster, db);
	return ok;
}

bool chunks_publish(struct chunks *c, struct recorded *parts, size_t n, struct error *err)
{
	if (c->number == 0 && !chunk_begin(c, parts, n, err))
		return false;
	if (!c->is_put && !objects_put(c->blobs, c->name, buf_slice(&c->bytes), err))
		return false;
	c->is_put = true;
	if (!pieces_settle(c, n, err))
		return false;
	bool refused = false;
	for (size_t i = 0; i < n; i++) {
		parts[i].is_lost = !c->pieces[i].is_held;
		refused = refused || parts[i].is_lost;
	}
	if (refused)
		node_refused(cluster_node(c->cluster));
	chunk_end(c);
	return true;
}

/* chunks.c: see chunks.h. */
#include "pipeline/chunks.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "blob/objects.h"
#include "pipeline/cluster.h"
#include "pipeline/worker.h"

#define CHUNK_BYTES (16u << 20)     /* unless one line has more: a put ends in its time */
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

/* ---- what a chunk has ---- */

static void outcome_add(const struct outcome *o, struct piece_settled *ret)
{
	if (o->success)
		ret->counts.completed++;
	else
		ret->counts.failed++;
	ret->counts.retried += o->attempts > 0 ? o->attempts - 1 : 0;
	usage_add(&ret->usage, &o->usage);
	ret->length += o->journal_bytes;
}

/* One line has room in any chunk that is empty. */
static bool has_room(uint64_t bytes, const struct outcome *o)
{
	return bytes == 0 || bytes + o->journal_bytes <= CHUNK_BYTES;
}

/* The lines of `part` from `first` on, which has room, as far as there is room for them. *ret_left: the
 * first of the others; NULL: there are none. */
static bool piece_add(struct chunks *c, const struct recorded *part, const struct outcome *first,
		      const struct outcome **ret_left, struct error *err)
{
	const struct worker_span *span = worker_span(part->owner);
	struct piece_settled *p = &c->pieces[c->pieces_n];
	const struct outcome *o = first;

	*p = (struct piece_settled){ .span = span->id, .epoch = span->epoch, .at = c->bytes.n };
	do {
		outcome_add(o, p);
		o = o->next;
	} while (o != NULL && has_room(c->bytes.n + p->length, o));
	assert(o != NULL || first->journal_at + p->length == part->end);
	if (!buf_reserve(&c->bytes, p->length))
		return fail_memory(err);
	if (!journal_read(part->journal, first->journal_at, c->bytes.p + c->bytes.n, p->length,
			  err))
		return false;
	c->bytes.n += p->length;
	c->pieces_n++;
	*ret_left = o;
	return true;
}

/* The next lines of the group, from c->part on. */
static bool chunk_fill(struct chunks *c, const struct recorded *parts, size_t n, struct error *err)
{
	buf_clear(&c->bytes);
	c->pieces_n = 0;
	c->next_part = c->part;
	c->next_line = c->line;
	while (c->next_part < n) {
		const struct recorded *part = &parts[c->next_part];
		const struct outcome *first = c->next_line != NULL ? c->next_line : part->first;
		if (!has_room(c->bytes.n, first))
			return true;
		if (!piece_add(c, part, first, &c->next_line, err))
			return false;
		if (c->next_line != NULL)
			return true;
		c->next_part++;
	}
	return true;
}

static bool chunk_begin(struct chunks *c, const struct recorded *parts, size_t n, struct error *err)
{
	if (!chunk_fill(c, parts, n, err))
		return false;
	c->owner = node_owner(cluster_node(c->cluster));
	c->number = node_object_take(cluster_node(c->cluster));
	c->is_put = false;
	snprintf(c->name, sizeof(c->name), "chunks/%016" PRIx64 "-%" PRIu64 "-%" PRIu64,
		 c->owner.node, c->owner.epoch, c->number);
	return true;
}

/* ---- settling it ---- */

static bool chunk_settle(struct chunks *c, struct error *err)
{
	if (!c->is_put && !objects_put(c->blobs, c->name, buf_slice(&c->bytes), err))
		return false;
	c->is_put = true;
	return store_pieces_settle(cluster_recorder_db(c->cluster), c->owner, c->name, c->pieces,
				   c->pieces_n, err);
}

/* Of a part in several chunks: it is lost from the first on of which that is said. */
static void answers_take(struct chunks *c, struct recorded *parts)
{
	bool refused = false;

	for (size_t i = 0; i < c->pieces_n; i++) {
		if (c->pieces[i].is_held)
			continue;
		parts[c->part + i].is_lost = true;
		refused = true;
	}
	if (refused)
		node_refused(cluster_node(c->cluster));
}

bool chunks_publish(struct chunks *c, struct recorded *parts, size_t n, struct error *err)
{
	while (c->part < n) {
		if ((c->number == 0 && !chunk_begin(c, parts, n, err)) || !chunk_settle(c, err))
			return false;
		answers_take(c, parts);
		chunk_end(c);
		c->part = c->next_part;
		c->line = c->next_line;
	}
	c->part = 0;
	return true;
}

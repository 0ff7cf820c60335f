/* garbage_sweep.c: see garbage_sweep.h. */
#include "pipeline/garbage_sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "blob/objects.h"
#include "pipeline/cluster.h"
#include "store/garbage.h"

#define MARKED_AT_ONCE 1000u
#define REMOVED_AT_ONCE 1000u
#define CHUNK_BEGIN "chunks/"

struct sweeping {
	struct cluster *cluster;
	const char *begin;
	struct object_listed *found; /* MARKED_AT_ONCE */
	size_t n;
};

static bool found_mark(struct sweeping *s, struct error *err)
{
	uint64_t marked;
	struct db *db = cluster_db_borrow(s->cluster);
	bool ok = s->n == 0 || store_garbage_mark(db, s->found, s->n, &marked, err);

	cluster_db_return(s->cluster, db);
	s->n = 0;
	return ok;
}

/* One of "<node>-<epoch>-<number>"; what follows is behind the '-'. */
static bool number_read(const char **at, int base, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(*at, &end, base);
	bool ok = errno == 0 && end != *at && *ret > 0 && *ret <= INT64_MAX;
	*at = *end == '-' ? end + 1 : end;
	return ok;
}

/* A part's name in rows is its blob's id: "part-<node>-<epoch>-<number>", without what the bucket puts
 * around. False: none of ours. */
static bool name_read(const char *begin, const char *name, struct object_listed *ret)
{
	const char *rest = name + strlen(begin);
	size_t id_n = strcspn(rest, "./");
	size_t from = strcmp(begin, OBJECTS_OF_PARTS) == 0 ? strlen("files/") : 0;
	struct slice id = { name + from, (size_t)(rest - name) + id_n - from };

	*ret = (struct object_listed){ 0 };
	return slice_copy(id, ret->name, sizeof(ret->name)) &&
	       number_read(&rest, 16, &ret->made.owner.node) &&
	       number_read(&rest, 10, &ret->made.owner.epoch) &&
	       number_read(&rest, 10, &ret->made.number);
}

static bool on_object(void *ctx, const char *name, uint64_t bytes, struct error *err)
{
	struct sweeping *s = ctx;

	(void)bytes;
	if (!name_read(s->begin, name, &s->found[s->n]))
		return true;
	if (s->n > 0 && strcmp(s->found[s->n - 1].name, s->found[s->n].name) == 0)
		return true; /* a part is a row of objects */
	s->n++;
	return s->n < MARKED_AT_ONCE || found_mark(s, err);
}

static bool all_mark(struct sweeping *s, const char *begin, struct blobs *blobs, struct error *err)
{
	s->begin = begin;
	return objects_list(blobs, begin, on_object, s, err) && found_mark(s, err);
}

static bool one_remove(struct blobs *blobs, const char *name, struct error *err)
{
	bool is_chunk = strncmp(name, CHUNK_BEGIN, strlen(CHUNK_BEGIN)) == 0;

	return is_chunk ? objects_remove(blobs, name, err) : blob_remove(blobs, name, err);
}

static bool due_remove(struct cluster *cl, struct blobs *blobs, size_t *ret_n, struct error *err)
{
	AUTO(auto_free) char(*names)[OBJECT_NAME_SIZE] = NULL;
	struct db *db = cluster_db_borrow(cl);
	bool ok = store_garbage_due(db, GARBAGE_US, REMOVED_AT_ONCE, &names, ret_n, err);

	cluster_db_return(cl, db);
	size_t removed = 0;
	for (; ok && removed < *ret_n && !cluster_is_closing(cl); removed++)
		ok = one_remove(blobs, names[removed], err);
	*ret_n = removed;
	if (!ok || removed == 0)
		return ok;
	db = cluster_db_borrow(cl);
	ok = store_garbage_forget(db, (const char(*)[OBJECT_NAME_SIZE])names, removed, err);
	cluster_db_return(cl, db);
	return ok;
}

bool garbage_sweep(struct cluster *cl, struct blobs *blobs, struct error *err)
{
	struct sweeping s = { .cluster = cl };
	uint64_t removed = 0;
	size_t n = REMOVED_AT_ONCE;

	s.found = calloc(MARKED_AT_ONCE, sizeof(*s.found));
	bool ok = s.found != NULL || fail_memory(err);
	ok = ok && all_mark(&s, CHUNK_BEGIN, blobs, err) &&
	     all_mark(&s, OBJECTS_OF_PARTS, blobs, err);
	free(s.found);
	while (ok && n == REMOVED_AT_ONCE) {
		ok = due_remove(cl, blobs, &n, err);
		removed += ok ? n : 0;
	}
	if (removed > 0)
		log_info("garbage.removed", kv_u64("objects", removed));
	return ok;
}

/* parts.c: where each part begins is kept, and found by halving. */
#include "blob/parts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "blob/backend.h"

struct piece {
	struct blob_part part;
	uint64_t begins; /* in the whole */
};

struct parts_reader {
	struct blob_reader reader; /* first */
	struct blobs *blobs;
	pthread_mutex_t lock; /* around `open`; held while it is read */
	struct blob_reader *open;
	char open_id[ID_SIZE]; /* of `open` */
	size_t n;
	struct piece pieces[];
};

/* The piece that holds the byte `at`, which there is; of pieces without bytes none is it. */
static const struct piece *piece_at(const struct parts_reader *p, uint64_t at)
{
	size_t low = 0, high = p->n;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (p->pieces[middle].begins <= at)
			low = middle;
		else
			high = middle;
	}
	return &p->pieces[low];
}

/* Under the lock. */
static bool blob_have(struct parts_reader *p, const char *id, struct error *err)
{
	if (p->open != NULL && strcmp(p->open_id, id) == 0)
		return true;
	blob_reader_close(p->open);
	p->open = NULL;
	memcpy(p->open_id, id, sizeof(p->open_id));
	return blob_open(p->blobs, id, BLOB_DATA, &p->open, err);
}

static bool parts_read(const struct blob_reader *r, uint64_t at, void *to, size_t n, size_t *ret_n,
		       struct error *err)
{
	struct parts_reader *p = (struct parts_reader *)r;

	*ret_n = 0;
	if (at >= r->bytes)
		return true;
	const struct piece *piece = piece_at(p, at);
	uint64_t skip = at - piece->begins, left = piece->part.bytes - skip;
	if (n > left)
		n = (size_t)left;
	pthread_mutex_lock(&p->lock);
	bool ok = blob_have(p, piece->part.id, err) &&
		  blob_read_at(p->open, piece->part.at + skip, to, n, err);
	pthread_mutex_unlock(&p->lock);
	*ret_n = n;
	return ok;
}

static void parts_close(struct blob_reader *r)
{
	struct parts_reader *p = (struct parts_reader *)r;

	blob_reader_close(p->open);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static const struct blob_reader_ops parts_ops = { .read = parts_read, .close = parts_close };

bool blob_parts_open(struct blobs *blobs, const struct blob_part *parts, size_t n,
		     struct blob_reader **ret, struct error *err)
{
	struct parts_reader *p = calloc(1, sizeof(*p) + n * sizeof(p->pieces[0]));

	if (p == NULL)
		return fail_memory(err);
	p->reader = (struct blob_reader){ .ops = &parts_ops, .name = "the parts of an upload" };
	p->blobs = blobs;
	pthread_mutex_init(&p->lock, NULL);
	p->n = n;
	for (size_t i = 0; i < n; i++) {
		p->pieces[i] = (struct piece){ parts[i], p->reader.bytes };
		p->reader.bytes += parts[i].bytes;
	}
	*ret = &p->reader;
	return true;
}

/* gzip.c: source -> deflate. Level 1: on JSONL it packs nearly as well as the default and costs a
 * third. */
#include "http/gzip.h"

#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

#define LEVEL 1
#define GZIP_WRAPPER 16 /* added to the window bits: a gzip header, not zlib's */

struct gzip_reader {
	const struct http_source_ops *ops;
	void *ctx;
	uint64_t offset, left;
	z_stream z;
	bool ended;
	char in[65536];
};

struct gzip_reader *gzip_open(const struct http_file *f)
{
	struct gzip_reader *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	if (deflateInit2(&g->z, LEVEL, Z_DEFLATED, MAX_WBITS + GZIP_WRAPPER, MAX_MEM_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK) {
		free(g);
		return NULL;
	}
	g->ops = f->ops;
	g->ctx = f->ctx;
	g->offset = f->offset;
	g->left = f->length;
	return g;
}

/* The next bytes of the source for deflate; false if they cannot be read, or it is shorter than
 * it was when the response began. */
static bool refill(struct gzip_reader *g)
{
	size_t want = g->left < sizeof(g->in) ? (size_t)g->left : sizeof(g->in);
	ssize_t got = g->ops->read(g->ctx, g->offset, g->in, want);

	if (got <= 0)
		return false;
	g->offset += (uint64_t)got;
	g->left -= (uint64_t)got;
	g->z.next_in = (Bytef *)g->in;
	g->z.avail_in = (uInt)got;
	return true;
}

ssize_t gzip_read(struct gzip_reader *g, char *to, size_t size)
{
	g->z.next_out = (Bytef *)to;
	g->z.avail_out = size < UINT32_MAX ? (uInt)size : UINT32_MAX;
	uInt room = g->z.avail_out;

	/* deflate may swallow a whole buffer without giving a byte; 0 would mean the end. */
	while (!g->ended && g->z.avail_out == room) {
		if (g->z.avail_in == 0 && g->left > 0 && !refill(g))
			return -1;
		int rc = deflate(&g->z, g->left > 0 ? Z_NO_FLUSH : Z_FINISH);
		if (rc == Z_STREAM_ERROR)
			return -1;
		g->ended = rc == Z_STREAM_END;
	}
	return (ssize_t)(room - g->z.avail_out);
}

void gzip_close(struct gzip_reader *g)
{
	if (g == NULL)
		return;
	deflateEnd(&g->z);
	free(g);
}

/* pull.c: see pull.h.
 *
 *	  all of a piece is sent                  it has been read
 *	SENDING ------------------> READING ------------------> SENDING ... the end, or a fault
 *	  (loop)                     (worker; the connection is HANDED)
 *
 * Loop and worker have the pull in turn: so there is no lock. */
#include "http/pull.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http/gzip.h"
#include "http/loop.h"

#define PIECE_BYTES 65536

struct pull {
	struct http_server *server;
	struct connection *connection;
	struct http_file file;
	struct gzip_reader *packer; /* NULL: the bytes go as they are */
	uint64_t at, left;          /* what was not read yet; with a packer its own */
	bool asked;                 /* a worker has it */
	enum out_next next;         /* what the worker found */
	size_t held;                /* bytes of the piece */
	struct work work;
	char piece[PIECE_BYTES];
};

/* ---- worker ---- */

/* All of a piece, in as many reads as the source makes of it: each piece costs two changes of threads. */
static ssize_t plain_read(struct pull *p)
{
	size_t want = p->left < PIECE_BYTES ? (size_t)p->left : PIECE_BYTES;

	for (size_t n = 0; n < want;) {
		ssize_t got = p->file.ops->read(p->file.ctx, p->at, p->piece + n, want - n);
		if (got <= 0) /* shorter than it was when the answer began */
			return -1;
		assert((size_t)got <= want - n);
		n += (size_t)got;
		p->at += (uint64_t)got;
		p->left -= (uint64_t)got;
	}
	return (ssize_t)want;
}

static void piece_read(void *arg)
{
	struct pull *p = arg;
	struct http_server *s = p->server;
	ssize_t n = p->packer != NULL ? gzip_read(p->packer, p->piece, PIECE_BYTES) : plain_read(p);

	p->held = n > 0 ? (size_t)n : 0;
	p->next = n > 0 ? OUT_PIECE : n == 0 ? OUT_END : OUT_BROKEN;
	http_loop_give_back(p->connection);
	answers_ended(&s->answers);
}

/* ---- loop ---- */

static enum out_next pull_ask(struct pull *p)
{
	if (!answers_begin(&p->server->answers))
		return OUT_BROKEN;
	p->asked = true;
	workers_post(p->server->workers[HTTP_READ], &p->work, piece_read, p);
	return OUT_WAIT;
}

enum out_next pull_next(struct pull *p, struct out *out)
{
	if (!p->asked)
		return p->packer == NULL && p->left == 0 ? OUT_END : pull_ask(p);
	p->asked = false;
	if (p->next == OUT_PIECE)
		out->piece = (struct slice){ p->piece, p->held };
	return p->next;
}

void pull_free(struct pull *p)
{
	if (p == NULL)
		return;
	gzip_close(p->packer);
	http_file_close(&p->file);
	free(p);
}

struct pull *pull_new(struct http_request *q)
{
	struct http_file *f = &q->response.file;
	struct pull *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->server = q->server;
	p->connection = q->connection;
	p->at = f->offset;
	p->left = f->length;
	if (f->gzip && (p->packer = gzip_open(f)) == NULL) {
		free(p);
		return NULL;
	}
	p->file = *f; /* it is closed with the answer from now on */
	*f = (struct http_file){ 0 };
	return p;
}

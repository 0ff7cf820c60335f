/* pull.c: see pull.h.
 *
 *	  a piece is taken whole                  it has been read
 *	SENDING ------------------> READING ------------------> SENDING ... the end, or a fault
 *	  (loop)                     (worker; the connection is suspended)
 *
 * Loop and worker have the pull in turn, and a suspended connection is not completed: so there is
 * no lock. The worker's last touch is the resume. */
#include "http/pull.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http/gzip.h"

#define PIECE_BYTES 65536

struct pull {
	struct http_server *server;
	struct MHD_Connection *connection;
	struct http_file file;
	struct gzip_reader *packer; /* NULL: the bytes go as they are */
	uint64_t at, left;          /* what was not read yet; with a packer its own */
	ssize_t end;                /* MHD's END value, once nothing follows the piece; else 0 */
	size_t held, sent;          /* bytes of the piece */
	struct work work;
	char piece[PIECE_BYTES];
};

/* ---- worker ---- */

static ssize_t plain_read(struct pull *p)
{
	size_t want = p->left < PIECE_BYTES ? (size_t)p->left : PIECE_BYTES;

	if (want == 0)
		return 0;
	ssize_t n = p->file.ops->read(p->file.ctx, p->at, p->piece, want);
	if (n <= 0) /* shorter than it was when the answer began */
		return -1;
	assert((size_t)n <= want);
	p->at += (uint64_t)n;
	p->left -= (uint64_t)n;
	return n;
}

static void piece_read(void *arg)
{
	struct pull *p = arg;
	struct http_server *s = p->server;
	ssize_t n = p->packer != NULL ? gzip_read(p->packer, p->piece, PIECE_BYTES) : plain_read(p);

	p->sent = 0;
	p->held = n > 0 ? (size_t)n : 0;
	if (n <= 0)
		p->end = n == 0 ? MHD_CONTENT_READER_END_OF_STREAM
				: MHD_CONTENT_READER_END_WITH_ERROR;
	MHD_resume_connection(p->connection);
	/* From here on `p` may be gone. */
	answers_ended(&s->answers);
}

/* ---- loop ---- */

static ssize_t on_read(void *cls, uint64_t at, char *to, size_t size)
{
	struct pull *p = cls;
	size_t n = p->held - p->sent;

	(void)at;
	if (n == 0 && p->end != 0)
		return p->end;
	if (n == 0) {
		if (!answers_begin(&p->server->answers))
			return MHD_CONTENT_READER_END_WITH_ERROR;
		MHD_suspend_connection(p->connection); /* first: the worker may be done at once */
		workers_post(p->server->workers[HTTP_READ], &p->work, piece_read, p);
		return 0;
	}
	n = n < size ? n : size;
	memcpy(to, p->piece + p->sent, n);
	p->sent += n;
	return (ssize_t)n;
}

static void pull_free(void *cls)
{
	struct pull *p = cls;

	gzip_close(p->packer);
	http_file_close(&p->file);
	free(p);
}

static struct pull *pull_new(struct http_request *q, bool packed)
{
	const struct http_file *f = &q->response.file;
	struct pull *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->server = q->server;
	p->connection = q->connection;
	p->at = f->offset;
	p->left = f->length;
	if (packed && (p->packer = gzip_open(f)) == NULL)
		free(TAKE(p));
	return p;
}

struct MHD_Response *pull_response(struct http_request *q)
{
	struct http_file *f = &q->response.file;
	/* To a HEAD libmicrohttpd would send the end of a body of unknown length. */
	bool packed = f->gzip && strcmp(q->method, MHD_HTTP_METHOD_HEAD) != 0;
	struct pull *p = pull_new(q, packed);

	if (p == NULL)
		return NULL;
	struct MHD_Response *made = MHD_create_response_from_callback(
		packed ? MHD_SIZE_UNKNOWN : f->length, PIECE_BYTES, on_read, p, pull_free);
	if (made == NULL) {
		pull_free(p);
		return NULL;
	}
	p->file = *f; /* it is closed with the answer from now on */
	*f = (struct http_file){ 0 };
	return made;
}

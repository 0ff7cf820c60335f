/* download.c: see download.h. */
#include "remote/download.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

#define PAUSE_MS 1000u

struct coming {
	struct remote *remote;
	struct download *d;
	bool begun;
	uint64_t skip; /* bytes that come once more: the server did not begin where it was asked to */
	bool moved;
};

static bool fail_size(const struct download *d, struct error *err)
{
	return fail(err, ERR_UPSTREAM,
		    "what the server sends is not the file of %" PRIu64 " bytes that it spoke of: "
		    "call again, after the unfinished file is removed",
		    d->size);
}

/* "bytes FROM-TO/ALL" */
static bool range_read(const char *text, uint64_t *ret_from, uint64_t *ret_all)
{
	char *end;

	if (strncmp(text, "bytes ", 6) != 0)
		return false;
	*ret_from = strtoull(text + 6, &end, 10);
	if (*end != '-')
		return false;
	(void)strtoull(end + 1, &end, 10);
	if (*end != '/')
		return false;
	*ret_all = strtoull(end + 1, &end, 10);
	return *end == '\0';
}

/* The head of the answer: where it begins, and how long all of it is. */
static bool head_read_on(struct coming *c, struct error *err)
{
	char text[64];
	uint64_t from, all = remote_length(c->remote);

	c->begun = true;
	if (remote_status(c->remote) != 206) {
		c->skip = c->d->at;
	} else if (!slice_copy(remote_header(c->remote, "Content-Range"), text, sizeof(text)) ||
		   !range_read(text, &from, &all) || from != c->d->at) {
		return fail(err, ERR_UPSTREAM,
			    "the server sends another range than it was asked for: %.60s", text);
	}
	if (all == UINT64_MAX)
		return true;
	if (c->d->size != UINT64_MAX && c->d->size != all)
		return fail_size(c->d, err);
	c->d->size = all;
	return true;
}

static enum remote_taken on_piece(void *ctx, struct slice piece, struct error *err)
{
	struct coming *c = ctx;

	if (!c->begun && !head_read_on(c, err))
		return REMOTE_FAULT;
	size_t over = c->skip < piece.n ? (size_t)c->skip : piece.n;
	piece = (struct slice){ piece.p + over, piece.n - over };
	c->skip -= over;
	if (piece.n == 0)
		return REMOTE_MORE;
	if (!c->d->write(c->d->ctx, piece, err))
		return REMOTE_FAULT;
	c->d->at += piece.n;
	c->moved = true;
	if (c->d->progress != NULL)
		c->d->progress(c->d->ctx, c->d->at);
	return REMOTE_MORE;
}

static bool come(struct remote *r, struct download *d, bool *ret_moved, struct error *err)
{
	struct coming c = { .remote = r, .d = d };
	char range[48];
	struct remote_request q = { .method = "GET", .path = d->path };

	if (d->at > 0) {
		snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-", d->at);
		q.header = range;
	}
	bool good = remote_bytes(r, &q, on_piece, &c, err);
	*ret_moved = c.moved;
	return good;
}

bool download_run(struct remote *r, struct download *d, struct error *err)
{
	bool moved;

	while (d->size == UINT64_MAX || d->at < d->size) {
		if (come(r, d, &moved, err)) {
			if (d->size == UINT64_MAX || d->at == d->size)
				return true;
			return fail_size(d, err);
		}
		/* a break after some bytes; before the first of them remote.h has been patient */
		if (!remote_may_pass(r) || !moved)
			return false;
		remote_wait(r, PAUSE_MS);
	}
	return d->at == d->size || fail_size(d, err);
}

/* file_get.c: see file_get.h. */
#include "terminal/file_get.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "remote/download.h"
#include "terminal/line_feed.h"
#include "terminal/member.h"
#include "terminal/place.h"
#include "terminal/questions.h"
#include "terminal/transfer_bar.h"

#define PIECE_BYTES (256u << 10)

struct fetching {
	struct download_place place;
	struct questions *q;   /* NULL: bytes as they are */
	struct line_feed feed; /* with q */
	struct transfer_bar bar;
};

static bool on_bytes(void *ctx, struct slice piece, struct error *err)
{
	struct fetching *f = ctx;

	return place_write(&f->place, piece, err);
}

static bool on_line(void *ctx, struct slice line, struct error *err)
{
	struct fetching *f = ctx;
	AUTO(buf_free) struct buf merged = BUF(2 * (size_t)LINE_FEED_BYTES_MAX);

	if (!questions_merge(f->q, line, &merged, err))
		return false;
	buf_char(&merged, '\n');
	if (merged.failed)
		return fail_memory(err);
	return place_write(&f->place, buf_slice(&merged), err);
}

static bool on_lines(void *ctx, struct slice piece, struct error *err)
{
	struct fetching *f = ctx;

	return line_feed_add(&f->feed, piece, err);
}

static void on_progress(void *ctx, uint64_t at)
{
	struct fetching *f = ctx;

	if (f->place.part != NULL)
		transfer_bar_show(&f->bar, at);
}

/* Every byte of the file once, from `at` on. */
static bool bytes_get(struct remote *r, struct fetching *f, const char *file_id, uint64_t size,
		      struct error *err)
{
	AUTO(auto_free) char *path = remote_path("/files/%s/content", file_id);
	struct download d = { .path = path,
			      .size = size,
			      .at = f->place.at,
			      .write = f->q != NULL ? on_lines : on_bytes,
			      .progress = on_progress,
			      .ctx = f };

	if (path == NULL)
		return fail_memory(err);
	transfer_bar_open(&f->bar, size);
	bool good = download_run(r, &d, err);
	transfer_bar_close(&f->bar);
	return good;
}

static bool size_get(struct remote *r, const char *file_id, uint64_t *ret, struct error *err)
{
	AUTO(auto_free) char *path = remote_path("/files/%s", file_id);
	struct remote_request q = { .method = "GET", .path = path };
	json_t *file = NULL;

	if (path == NULL)
		return fail_memory(err);
	if (!remote_json(r, &q, &file, err))
		return false;
	*ret = (uint64_t)member_integer(file, "bytes");
	json_decref(file);
	return true;
}

/* A whole download line by line into the file that it is to be. */
static bool merge_part(struct fetching *raw, const char *to, const char *file_id,
		       struct questions *q, struct error *err)
{
	struct fetching f = { .q = q, .feed = LINE_FEED(on_line, &f) };
	AUTO(auto_free) char *piece = malloc(PIECE_BYTES);
	AUTO(auto_free) char *id = NULL;
	uint64_t at = 0;
	ssize_t n;
	bool good = piece != NULL && asprintf(&id, "%s-merged", file_id) >= 0;

	if (!good)
		return fail_memory(err);
	good = place_open(&f.place, to, id, false, err);
	while (good && (n = pread(raw->place.fd, piece, PIECE_BYTES, (off_t)at)) != 0) {
		if (n < 0)
			good = fail_sys(err, errno, "reading %s", raw->place.part);
		else
			good = line_feed_add(&f.feed, (struct slice){ piece, (size_t)n }, err);
		at += n > 0 ? (uint64_t)n : 0;
	}
	good = good && line_feed_end(&f.feed, err) && place_finish(&f.place, err);
	line_feed_free(&f.feed);
	place_close(&f.place);
	return good;
}

/* Into a file: what an earlier call has left of it is gone on with. */
static bool file_to_file(struct remote *r, struct fetching *f, const char *file_id, uint64_t size,
			 struct error *err)
{
	const char *to = f->place.path;
	struct questions *q = f->q;

	f->q = NULL;
	if ((f->place.at > size && !place_cut(&f->place, 0, err)) ||
	    !bytes_get(r, f, file_id, size, err))
		return false;
	if (q == NULL)
		return place_finish(&f->place, err);
	if (!merge_part(f, to, file_id, q, err))
		return false;
	place_drop(&f->place);
	return true;
}

bool file_get(struct remote *r, const char *file_id, const char *to, struct questions *q,
	      struct error *err)
{
	struct fetching f = { .q = q, .feed = LINE_FEED(on_line, &f) };
	uint64_t size = 0;

	if (to == NULL)
		return true;
	bool none = file_id[0] == '\0';
	bool good = place_open(&f.place, to, none ? "empty" : file_id, !none, err) &&
		    (none || size_get(r, file_id, &size, err));
	if (good && f.place.part != NULL)
		good = none ? place_finish(&f.place, err) : file_to_file(r, &f, file_id, size, err);
	else if (good && !none)
		good = bytes_get(r, &f, file_id, size, err) &&
		       (q == NULL || line_feed_end(&f.feed, err));
	line_feed_free(&f.feed);
	place_close(&f.place);
	return good;
}

/* results_follow.c: lines as they end (contract 11.3), while a batch runs and after.
 *
 * The stream only grows, and so do the parts: lines are written in the order in which they came,
 * whichever of the two places they go to. So as many lines as stand in both are the first of the
 * stream, whenever the call was cut off, and the next one asks for the last of them and what
 * follows. That line is the last of one part or the other: else they are not of one call (--errors names
 * another file, or a part was removed), and all is asked for anew. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "terminal/line_feed.h"
#include "terminal/place.h"
#include "terminal/questions.h"
#include "terminal/result_line.h"
#include "terminal/results.h"

#define PAGE_LINES 10000u
#define PAUSE_MS 1000u
#define RUN_BYTES (256u << 10) /* are written at once */
#define PIECE_BYTES (256u << 10)

struct following {
	struct remote *remote;
	const struct results_options *o;
	struct questions *q;
	struct download_place answers, rest;
	uint64_t after, failed;
	bool moved;
	bool checks;        /* the next line is the last one of an earlier call */
	bool misfit;        /* and it was another one */
	struct buf last[2]; /* custom_id of the parts' last lines, raw */
	struct line_feed feed;
	struct buf run; /* lines on their way to one place */
	struct download_place *run_to;
};

static bool flush(struct following *f, struct error *err)
{
	bool good = f->run.n == 0 || place_write(f->run_to, buf_slice(&f->run), err);

	buf_clear(&f->run);
	return good;
}

static bool line_check(struct following *f, struct slice custom_id, struct error *err)
{
	f->checks = false;
	f->misfit = !slice_eq(custom_id, buf_slice(&f->last[0])) &&
		    !slice_eq(custom_id, buf_slice(&f->last[1]));
	return !f->misfit || fail(err, ERR_CONFLICT, "the unfinished files are not of one call");
}

static bool on_line(void *ctx, struct slice line, struct error *err)
{
	struct following *f = ctx;
	struct result_line l;

	if (!result_line_read(line, &l))
		return fail(err, ERR_UPSTREAM,
			    "a line of the results is no JSON object: is it a lowtide server? "
			    "(LOWTIDE_URL)");
	f->after++;
	f->moved = true;
	if (f->checks)
		return line_check(f, l.custom_id, err);
	f->failed += !l.answered;
	struct download_place *to = l.answered ? &f->answers : &f->rest;
	if (to != f->run_to && !flush(f, err))
		return false;
	f->run_to = to;
	if (to->fd < 0)
		return true; /* nobody wants it */
	if (f->q != NULL) {
		if (!questions_merge(f->q, line, &f->run, err))
			return false;
	} else {
		buf_add(&f->run, line);
	}
	buf_char(&f->run, '\n');
	if (f->run.failed)
		return fail_memory(err);
	return f->run.n < RUN_BYTES || flush(f, err);
}

static enum remote_taken on_piece(void *ctx, struct slice piece, struct error *err)
{
	struct following *f = ctx;

	return line_feed_add(&f->feed, piece, err) ? REMOTE_MORE : REMOTE_FAULT;
}

/* ---- pages ---- */

static bool begin_anew(struct following *f, struct error *err)
{
	fprintf(stderr, "lowtide: what is unfinished of %s is not of this call: all comes anew\n",
		f->o->output);
	f->misfit = false;
	f->after = f->failed = 0;
	return place_cut(&f->answers, 0, err) && place_cut(&f->rest, 0, err);
}

/* *ret_again: the page broke, and what is left of it can be asked for. */
static bool page_get(struct following *f, bool *ret_again, struct error *err)
{
	AUTO(auto_free)
	char *path = remote_path("/batches/%s/results?after=%llu&limit=%u", f->o->id,
				 (unsigned long long)f->after, PAGE_LINES);
	struct remote_request q = { .method = "GET", .path = path };
	struct error why;

	if (path == NULL)
		return fail_memory(err);
	f->moved = false;
	bool whole = remote_bytes(f->remote, &q, on_piece, f, &why);
	line_feed_free(&f->feed); /* half a line comes again */
	if (f->misfit) {
		*ret_again = true;
		return begin_anew(f, err);
	}
	*ret_again = !whole && f->moved && remote_may_pass(f->remote);
	if (!whole)
		*err = why;
	return flush(f, err) && (whole || *ret_again);
}

/* *ret_over: nothing follows what has been read. */
static bool page_judge(const struct following *f, bool *ret_over, struct error *err)
{
	struct slice incomplete = remote_header(f->remote, "X-Incomplete");
	struct slice last = remote_header(f->remote, "X-Last-Line");
	char text[24];

	if (incomplete.n == 0 || !slice_copy(last, text, sizeof(text)))
		return fail(err, ERR_UPSTREAM,
			    "the server does not say how far its results go: it is older than this "
			    "command, or no lowtide server (LOWTIDE_URL)");
	if (strtoull(text, NULL, 10) != f->after)
		return fail(err, ERR_UPSTREAM,
			    "the server's results do not go on where these stop, at line %" PRIu64
			    ": remove the unfinished files, and call again",
			    f->after);
	*ret_over = slice_is(incomplete, "false");
	return true;
}

static bool pages(struct following *f, struct error *err)
{
	bool over = false, again = false;

	while (!over) {
		if (!page_get(f, &again, err) || (!again && !page_judge(f, &over, err)))
			return false;
		if (!over && !f->moved)
			remote_wait(f->remote, PAUSE_MS);
	}
	return true;
}

/* ---- where an earlier call stopped ---- */

/* Whole lines of a part: how many, and where the last one begins. Half of one behind them is cut
 * off. */
static bool lines_count(struct download_place *p, uint64_t *ret, uint64_t *ret_last,
			struct error *err)
{
	AUTO(auto_free) char *piece = malloc(PIECE_BYTES);
	uint64_t at = 0, whole = 0;
	ssize_t n;

	if (piece == NULL)
		return fail_memory(err);
	*ret = *ret_last = 0;
	while ((n = pread(p->fd, piece, PIECE_BYTES, (off_t)at)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (piece[i] == '\n') {
				++*ret;
				*ret_last = whole;
				whole = at + (uint64_t)i + 1;
			}
		at += (uint64_t)n;
	}
	if (n < 0)
		return fail_sys(err, errno, "reading %s", p->part);
	return whole == p->at || place_cut(p, whole, err);
}

/* *ret: the lines of a part; `id`: the custom_id of the last one. What is no result line has none,
 * and fits nothing. */
static bool part_look(struct download_place *p, uint64_t *ret, struct buf *id, struct error *err)
{
	AUTO(buf_free) struct buf line = BUF(LINE_FEED_BYTES_MAX);
	struct result_line l;
	uint64_t last = 0;

	if (!lines_count(p, ret, &last, err))
		return false;
	size_t n = (size_t)(p->at - last);
	if (!buf_reserve(&line, n))
		return fail_memory(err);
	if (!sys_pread_all(p->fd, line.p, n, (off_t)last))
		return fail_sys(err, errno, "reading %s", p->part);
	if (n > 0 && result_line_read((struct slice){ line.p, n - 1 }, &l))
		buf_add(id, l.custom_id);
	return !id->failed || fail_memory(err);
}

/* Without --errors the lines without an answer are kept until the end all the same: they count. */
static bool rest_open(struct following *f, const char *id, bool keeps, struct error *err)
{
	AUTO(auto_free) char *hidden = NULL;

	if (f->o->errors != NULL)
		return place_open(&f->rest, f->o->errors, id, keeps, err);
	if (f->answers.part == NULL)
		return true;
	if (asprintf(&hidden, "%s-errors", id) < 0)
		return fail_memory(err);
	return place_open(&f->rest, f->o->output, hidden, keeps, err);
}

static bool places_open(struct following *f, struct error *err)
{
	const struct results_options *o = f->o;
	bool keeps = o->output != NULL && (o->errors == NULL || strcmp(o->errors, "-") != 0);
	AUTO(auto_free) char *id = NULL;

	/* what was merged is no stream as it came, but has as many lines */
	if (asprintf(&id, "%s%s", o->id, f->q != NULL ? "-merged" : "") < 0)
		return fail_memory(err);
	keeps = keeps && strcmp(o->output, "-") != 0;
	if (!place_open(&f->answers, o->output, id, keeps, err) || !rest_open(f, id, keeps, err))
		return false;
	if (f->answers.part == NULL || f->rest.part == NULL)
		return place_cut(&f->answers, 0, err) && place_cut(&f->rest, 0, err);
	uint64_t answered;
	if (!part_look(&f->answers, &answered, &f->last[0], err) ||
	    !part_look(&f->rest, &f->failed, &f->last[1], err))
		return false;
	f->after = answered + f->failed;
	f->checks = f->after > 0;
	f->after -= f->checks;
	return true;
}

static bool places_finish(struct following *f, struct error *err)
{
	if (f->o->errors == NULL)
		place_drop(&f->rest);
	else if (!place_finish(&f->rest, err))
		return false;
	return place_finish(&f->answers, err);
}

bool results_follow(struct remote *r, const struct results_options *o, struct questions *q,
		    uint64_t *ret_failed, struct error *err)
{
	struct following f = {
		.remote = r,
		.o = o,
		.q = q,
		.answers = PLACE_CLOSED,
		.rest = PLACE_CLOSED,
		.feed = LINE_FEED(on_line, &f),
		.run = BUF(2 * (size_t)LINE_FEED_BYTES_MAX),
		.last = { BUF(LINE_FEED_BYTES_MAX), BUF(LINE_FEED_BYTES_MAX) },
	};
	bool good = places_open(&f, err) && pages(&f, err) && places_finish(&f, err);

	*ret_failed = f.failed;
	line_feed_free(&f.feed);
	buf_free(&f.run);
	buf_free(&f.last[0]);
	buf_free(&f.last[1]);
	place_close(&f.answers);
	place_close(&f.rest);
	return good;
}

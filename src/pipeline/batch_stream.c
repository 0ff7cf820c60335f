/* batch_stream.c: see batch_stream.h.
 *
 *	running            files of the coordinator, by their paths: batches/X.order, batches/X.journal
 *	(it ends)          they move and go, one after the other; the row says final before
 *	final              the blobs: output and error file, and beside one of them the order
 *
 * While nodes run it, the parts of spans that are finished (span_stream.h): other records are spread over
 * chunks, and some are in other nodes' memory.
 *
 * Whoever finds a file of a running batch gone looks at the row again. */
#include "pipeline/batch_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/sys.h"
#include "pipeline/span_stream.h"
#include "results/order.h"
#include "results/stream.h"

#define LOOKS_MAX 8 /* each finds the batch one step further, but for a disk that has lost a file */

struct look {
	uint32_t after;
	struct coordinator_stream found;
};

static void on_stream(void *ctx, struct coordinator *c)
{
	struct look *look = ctx;

	coordinator_stream(c, look->after, &look->found);
}

static bool file_open(const char *path, struct blob_reader **ret, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail_sys(err, errno, "opening %s", path);
	return blob_reader_of_file(fd, path, ret, err);
}

static void path_make(const char *data_dir, const struct batch *b, const char *suffix,
		      char to[static 512])
{
	snprintf(to, 512, "%s/batches/%s%s", data_dir, b->id, suffix);
}

/* ---- while it runs ---- */

static bool running_open(const struct batch_stream_call *call, const struct batch *b,
			 const struct coordinator_stream *now, struct stream_sources *s,
			 struct error *err)
{
	char path[512];

	s->last = now->last;
	s->output_bytes = now->output_bytes;
	s->error_bytes = now->error_bytes;
	s->journal_at = now->journal_at;
	s->journal_end = now->journal_end;
	s->records = b->counts.total;
	path_make(call->data_dir, b, ".order", path);
	if (now->output_bytes + now->error_bytes > 0 && !file_open(path, &s->order, err))
		return false; /* before the first merge there may be none */
	path_make(call->data_dir, b, ".journal", path);
	return (now->journal_at == 0 ||
		journal_open_to_read(path, now->journal_end, &s->journal, err)) &&
	       (now->output_bytes == 0 ||
		blob_open(call->blobs, b->output_file_id, BLOB_DATA, &s->output, err)) &&
	       (now->error_bytes == 0 ||
		blob_open(call->blobs, b->error_file_id, BLOB_DATA, &s->error, err));
}

/* ---- when it is final ---- */

static bool fail_gone(const struct batch *b, const char *file_id, struct error *err)
{
	return fail(err, ERR_NOT_FOUND,
		    "The results of batch '%s' are gone: its file '%s' was deleted or has expired.",
		    b->id, file_id);
}

static bool result_open(const struct batch_stream_call *call, const struct batch *b, const char *id,
			struct blob_reader **ret, uint64_t *ret_bytes, struct error *err)
{
	struct file f;

	if (id[0] == '\0')
		return true;
	if (!store_file_get(call->store, NULL, id, sys.now_s(), &f, err) ||
	    !blob_open(call->blobs, id, BLOB_DATA, ret, err))
		return err->kind == ERR_NOT_FOUND ? fail_gone(b, id, err) : false;
	*ret_bytes = f.bytes;
	return true;
}

/* NOT_FOUND: with neither file. */
static bool home_open(struct blobs *blobs, const struct batch *b, struct blob_reader **ret,
		      struct error *err)
{
	const struct order_homes homes = order_homes(b);
	const char *const of[] = { homes.output, homes.error };

	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		if (of[i] == NULL)
			continue;
		if (blob_open(blobs, of[i], BLOB_INDEX, ret, err))
			return true;
		if (err->kind != ERR_NOT_FOUND)
			return false;
	}
	return fail(err, ERR_NOT_FOUND,
		    "The order in which the lines of batch '%s' ended is not known: an earlier "
		    "version ran it. Its result files have all lines.",
		    b->id);
}

bool final_order_open(const char *data_dir, struct blobs *blobs, const struct batch *b,
		      struct blob_reader **ret, struct error *err)
{
	char path[512];

	if (home_open(blobs, b, ret, err))
		return true;
	if (err->kind != ERR_NOT_FOUND)
		return false;
	path_make(data_dir, b, ".order", path);
	if (file_open(path, ret, err))
		return true;
	return err->sys == ENOENT && home_open(blobs, b, ret, err); /* moved in between */
}

static bool final_open(const struct batch_stream_call *call, const struct batch *b,
		       struct stream_sources *s, struct error *err)
{
	if (!result_open(call, b, b->output_file_id, &s->output, &s->output_bytes, err) ||
	    !result_open(call, b, b->error_file_id, &s->error, &s->error_bytes, err))
		return false;
	return (b->output_file_id[0] == '\0' && b->error_file_id[0] == '\0') ||
	       (final_order_open(call->data_dir, call->blobs, b, &s->order, err) &&
		order_last(s->order, &s->last, err));
}

/* ---- either ---- */

/* *ret_again: the batch has moved on meanwhile. */
static bool sources_open(const struct batch_stream_call *call, const struct batch *b,
			 struct stream_sources *s, bool *ret_again, struct error *err)
{
	struct look look = { .after = (uint32_t)call->after };

	*ret_again = false;
	if (batch_is_final(b->status))
		return final_open(call, b, s, err);
	if (call->cluster != NULL)
		return b->status == BATCH_VALIDATING ||
		       span_stream_open(call->cluster, call->blobs, b->id, call->after, s,
					ret_again, err);
	if (!batch_table_with(call->table, b->id, on_stream, &look)) {
		*ret_again = true;
		return true;
	}
	if (look.found.last <= call->after || running_open(call, b, &look.found, s, err))
		return true;
	*ret_again = err->kind == ERR_NOT_FOUND || err->sys == ENOENT;
	return *ret_again;
}

static bool page_make(const struct batch_stream_call *call, bool final, struct stream_sources *s,
		      struct pipeline_page *ret, struct error *err)
{
	uint32_t all = s->last;

	*ret = (struct pipeline_page){ .last = call->after, .incomplete = !final };
	if (all <= call->after) {
		stream_sources_close(s);
		return true;
	}
	if (!stream_open(s, (uint32_t)call->after, call->limit, call->memory, &ret->stream, err))
		return false;
	ret->last = stream_last(ret->stream);
	ret->incomplete = !final || ret->last < all;
	return true;
}

static bool look_again(const struct batch_stream_call *call, struct batch *b, struct error *err)
{
	struct batch newer;

	if (!store_batch_get(call->store, NULL, b->id, &newer, err))
		return false;
	batch_done(b);
	*b = newer;
	return true;
}

bool batch_stream(const struct batch_stream_call *call, struct batch *b, struct pipeline_page *ret,
		  struct error *err)
{
	struct stream_sources s = { 0 };
	bool again = true;

	for (unsigned looks = 0; again && looks < LOOKS_MAX; looks++) {
		stream_sources_close(&s);
		if ((looks > 0 && !look_again(call, b, err)) ||
		    !sources_open(call, b, &s, &again, err)) {
			stream_sources_close(&s);
			return false;
		}
	}
	if (again)
		stream_sources_close(&s);
	return page_make(call, batch_is_final(b->status), &s, ret, err);
}

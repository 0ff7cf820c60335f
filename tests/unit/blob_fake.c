/* blob_fake.c: see blob_fake.h. */
#include "blob_fake.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/id.h"
#include "blob/backend.h"

#define BYTES_MAX (64u << 20)

struct fake_blob {
	struct fake_blob *next;
	char id[ID_SIZE];
	enum blob_kind kind;
	struct buf bytes;
	uint64_t durable; /* so many of them */
};

struct fake {
	struct blobs blobs; /* first */
	struct fake_blob *first;
	size_t read_most;
	unsigned calls, fail_nth; /* 0: none */
	int error;
	bool failed;
	unsigned writers;
};

static struct fake *fake_of(const struct blobs *blobs)
{
	return (struct fake *)blobs;
}

/* Whether this call is the one to fail. Readers and writers may be in threads of their own. */
static bool fails(struct fake *f, const char *what, struct error *err)
{
	if (__atomic_add_fetch(&f->calls, 1, __ATOMIC_RELAXED) != f->fail_nth)
		return false;
	__atomic_store_n(&f->failed, true, __ATOMIC_RELAXED);
	(void)!fail_sys(err, f->error, "%s a fake", what);
	return true;
}

static void put_at(struct buf *to, uint64_t at, struct slice bytes)
{
	assert(at <= to->n);
	if (at + bytes.n > to->n) {
		bool room = buf_reserve(to, at + bytes.n - to->n);
		assert(room);
		to->n = at + bytes.n;
	}
	if (bytes.n > 0)
		memcpy(to->p + at, bytes.p, bytes.n);
}

static struct slice half_of(struct slice bytes)
{
	return (struct slice){ bytes.p, bytes.n / 2 };
}

/* ---- reading ---- */

struct fake_reader {
	struct blob_reader reader; /* first */
	struct fake *fake;
	struct buf bytes;
};

static bool reader_read(const struct blob_reader *r, uint64_t at, void *to, size_t n, size_t *ret_n,
			struct error *err)
{
	const struct fake_reader *fr = (const struct fake_reader *)r;
	size_t most = fr->fake->read_most;

	assert(n > 0);
	if (fails(fr->fake, "reading", err))
		return false;
	uint64_t left = at < fr->bytes.n ? fr->bytes.n - at : 0;
	n = left < n ? (size_t)left : n;
	n = most > 0 && most < n ? most : n;
	if (n > 0)
		memcpy(to, fr->bytes.p + at, n);
	*ret_n = n;
	return true;
}

static void reader_close(struct blob_reader *r)
{
	buf_free(&((struct fake_reader *)r)->bytes);
	free(r);
}

static const struct blob_reader_ops reader_ops = { .read = reader_read, .close = reader_close };

static struct fake_reader *reader_new(struct fake *f, struct slice bytes)
{
	struct fake_reader *fr = calloc(1, sizeof(*fr));

	assert(fr != NULL);
	fr->reader = (struct blob_reader){ &reader_ops, "a fake", bytes.n };
	fr->fake = f;
	fr->bytes = BUF(BYTES_MAX);
	put_at(&fr->bytes, 0, bytes);
	return fr;
}

struct blob_reader *blob_fake_reader(struct blobs *blobs, struct slice bytes)
{
	return &reader_new(fake_of(blobs), bytes)->reader;
}

/* ---- names ---- */

static struct fake_blob **blob_find(const struct fake *f, const char *id, enum blob_kind kind)
{
	struct fake_blob **at = &((struct fake *)f)->first;

	while (*at != NULL && (strcmp((*at)->id, id) != 0 || (*at)->kind != kind))
		at = &(*at)->next;
	return at;
}

static struct fake_blob *blob_make(struct fake *f, const char *id, enum blob_kind kind)
{
	struct fake_blob **at = blob_find(f, id, kind);

	if (*at == NULL) {
		*at = calloc(1, sizeof(**at));
		assert(*at != NULL);
		snprintf((*at)->id, sizeof((*at)->id), "%s", id);
		(*at)->kind = kind;
		(*at)->bytes = BUF(BYTES_MAX);
	}
	return *at;
}

static void blob_drop(struct fake *f, const char *id, enum blob_kind kind)
{
	struct fake_blob **at = blob_find(f, id, kind), *gone = *at;

	if (gone == NULL)
		return;
	*at = gone->next;
	buf_free(&gone->bytes);
	free(gone);
}

static bool fake_open(struct blobs *blobs, const char *id, enum blob_kind kind,
		      struct blob_reader **ret, struct error *err)
{
	const struct fake_blob *blob = *blob_find(fake_of(blobs), id, kind);

	if (fails(fake_of(blobs), "opening", err))
		return false;
	if (blob == NULL)
		return fail(err, ERR_NOT_FOUND, "No such File object: %s", id);
	*ret = blob_fake_reader(blobs, buf_slice(&blob->bytes));
	return true;
}

static bool fake_remove(struct blobs *blobs, const char *id, struct error *err)
{
	if (fails(fake_of(blobs), "removing", err))
		return false;
	blob_drop(fake_of(blobs), id, BLOB_DATA);
	blob_drop(fake_of(blobs), id, BLOB_INDEX);
	return true;
}

static bool fake_lose(struct blobs *blobs, const char *id, int64_t at, struct error *err)
{
	(void)at;
	if (fails(fake_of(blobs), "losing", err))
		return false;
	blob_drop(fake_of(blobs), id, BLOB_DATA);
	return true;
}

/* ---- writing once ---- */

struct fake_writer {
	struct blob_writer writer; /* first; the bytes are those of `back` */
	struct fake *fake;
};

static struct buf *writer_bytes(struct blob_writer *w)
{
	return &((struct fake_reader *)w->back)->bytes;
}

static struct fake *writer_fake(struct blob_writer *w)
{
	return ((struct fake_writer *)w)->fake;
}

static bool writer_write_at(struct blob_writer *w, uint64_t at, struct slice bytes,
			    struct error *err)
{
	bool fault = fails(writer_fake(w), "writing", err);

	put_at(writer_bytes(w), at, fault ? half_of(bytes) : bytes);
	return !fault;
}

static bool writer_sync(struct blob_writer *w, struct error *err)
{
	return !fails(writer_fake(w), "syncing", err);
}

static bool writer_give_name(struct blob_writer *w, const char *id, enum blob_kind kind,
			     struct error *err)
{
	if (fails(writer_fake(w), "naming", err))
		return false;
	struct fake_blob *blob = blob_make(writer_fake(w), id, kind);
	buf_clear(&blob->bytes);
	put_at(&blob->bytes, 0, (struct slice){ writer_bytes(w)->p, w->back->bytes });
	blob->durable = blob->bytes.n;
	return true;
}

static void writer_close(struct blob_writer *w, bool named)
{
	(void)named;
	writer_fake(w)->writers--;
	free(w);
}

static const struct blob_writer_ops writer_ops = { writer_write_at, writer_sync, writer_give_name,
						   writer_close };

static bool fake_create(struct blobs *blobs, struct blob_writer **ret, struct error *err)
{
	if (fails(fake_of(blobs), "creating", err))
		return false;
	struct fake_writer *fw = calloc(1, sizeof(*fw));
	assert(fw != NULL);
	fw->fake = fake_of(blobs);
	fw->fake->writers++;
	fw->writer.ops = &writer_ops;
	fw->writer.back = &reader_new(fw->fake, SLICE(""))->reader;
	*ret = &fw->writer;
	return true;
}

/* ---- appending ---- */

struct fake_appender {
	struct blob_appender appender; /* first */
	struct fake *fake;
	struct fake_blob *blob;
};

static bool appender_append(struct blob_appender *a, struct slice bytes, struct error *err)
{
	struct fake_appender *fa = (struct fake_appender *)a;
	bool fault = fails(fa->fake, "appending to", err);

	assert(a->bytes >= a->kept);
	put_at(&fa->blob->bytes, a->bytes, fault ? half_of(bytes) : bytes);
	return !fault;
}

static bool appender_sync(struct blob_appender *a, struct error *err)
{
	struct fake_appender *fa = (struct fake_appender *)a;

	if (fails(fa->fake, "syncing", err))
		return false;
	fa->blob->bytes.n = a->bytes;
	fa->blob->durable = a->bytes;
	return true;
}

static void appender_close(struct blob_appender *a)
{
	free(a);
}

static const struct blob_appender_ops appender_ops = { appender_append, appender_sync,
						       appender_close };

static bool fake_append(struct blobs *blobs, const char *id, uint64_t keep_bytes,
			struct blob_appender **ret, struct error *err)
{
	struct fake *f = fake_of(blobs);

	if (fails(f, "opening", err))
		return false;
	if (keep_bytes > 0 && *blob_find(f, id, BLOB_DATA) == NULL)
		return fail_sys(err, ENOENT, "opening %s", id);
	struct fake_blob *blob = blob_make(f, id, BLOB_DATA);
	if (blob->bytes.n < keep_bytes)
		return fail_sys(err, EBADMSG, "%s is shorter", id);
	blob->bytes.n = keep_bytes;
	struct fake_appender *fa = calloc(1, sizeof(*fa));
	assert(fa != NULL);
	fa->appender = (struct blob_appender){ .ops = &appender_ops, .bytes = keep_bytes };
	fa->fake = f;
	fa->blob = blob;
	*ret = &fa->appender;
	return true;
}

/* ---- the store ---- */

static bool fake_sweep(struct blobs *blobs, blob_standing_fn standing, void *ctx, int64_t at,
		       struct error *err)
{
	(void)standing;
	(void)ctx;
	(void)at;
	return !fails(fake_of(blobs), "sweeping", err);
}

static bool fake_sync(struct blobs *blobs, struct error *err)
{
	return !fails(fake_of(blobs), "syncing", err);
}

static void fake_close(struct blobs *blobs)
{
	struct fake *f = fake_of(blobs);

	while (f->first != NULL)
		blob_drop(f, f->first->id, f->first->kind);
	free(f);
}

/* Of a small file. */
static bool fake_take(struct blobs *blobs, const char *path, const char *id, enum blob_kind kind,
		      struct error *err)
{
	char bytes[65536];
	FILE *file = fopen(path, "r");

	if (fails(fake_of(blobs), "taking", err))
		return false;
	assert(file != NULL);
	struct fake_blob *blob = blob_make(fake_of(blobs), id, kind);
	buf_clear(&blob->bytes);
	put_at(&blob->bytes, 0, (struct slice){ bytes, fread(bytes, 1, sizeof(bytes), file) });
	blob->durable = blob->bytes.n;
	fclose(file);
	return remove(path) == 0;
}

static const struct blobs_ops fake_ops = {
	fake_open, fake_create, fake_append, fake_take,  fake_remove,
	fake_lose, fake_sweep,  fake_sync,   fake_close,
};

struct blobs *blob_fake_new(void)
{
	struct fake *f = calloc(1, sizeof(*f));

	assert(f != NULL);
	f->blobs.ops = &fake_ops;
	return &f->blobs;
}

void blob_fake_read_most(struct blobs *blobs, size_t bytes)
{
	fake_of(blobs)->read_most = bytes;
}

void blob_fake_fail_nth(struct blobs *blobs, unsigned nth, int error)
{
	struct fake *f = fake_of(blobs);

	f->calls = 0;
	f->fail_nth = nth;
	f->error = error;
	f->failed = false;
}

bool blob_fake_restore(struct blobs *blobs)
{
	fake_of(blobs)->fail_nth = 0;
	return fake_of(blobs)->failed;
}

unsigned blob_fake_count(const struct blobs *blobs)
{
	unsigned n = 0;

	for (const struct fake_blob *b = fake_of(blobs)->first; b != NULL; b = b->next)
		n++;
	return n;
}

unsigned blob_fake_writers(const struct blobs *blobs)
{
	return fake_of(blobs)->writers;
}

struct slice blob_fake_durable(const struct blobs *blobs, const char *id, enum blob_kind kind)
{
	const struct fake_blob *blob = *blob_find(fake_of(blobs), id, kind);

	return blob != NULL ? (struct slice){ blob->bytes.p, blob->durable }
			    : (struct slice){ NULL, 0 };
}

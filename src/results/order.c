/* order.c: see order.h. */
#include "results/order.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/sys.h"

#define MAGIC "LTORDER\0"
#define VERSION 1u
#define HEADER_BYTES ORDER_ENTRY_BYTES
#define AT_ONCE 4096u /* entries */
#define ZEROS 256u    /* likewise, that are cleared at once */

struct order {
	int fd;
	const char *path; /* the owner's */
};

static off_t offset_of(uint32_t number)
{
	return (off_t)number * ORDER_ENTRY_BYTES; /* the header is that of number 0 */
}

static void header_make(char to[static HEADER_BYTES])
{
	const uint32_t version = VERSION;

	memset(to, 0, HEADER_BYTES);
	memcpy(to, MAGIC, 8);
	memcpy(to + 8, &version, sizeof(version));
}

static void header_mark_lost(char to[static HEADER_BYTES])
{
	const uint32_t lost = 1;

	memcpy(to + 12, &lost, sizeof(lost));
}

static bool header_is_ours(const char *bytes)
{
	char ours[HEADER_BYTES];

	header_make(ours);
	if (memcmp(bytes, ours, HEADER_BYTES) == 0)
		return true;
	header_mark_lost(ours);
	return memcmp(bytes, ours, HEADER_BYTES) == 0;
}

/* crash, after this: an empty file, or one with a header: of a batch of which nothing is merged it
 * is begun anew. */
static bool begin(const struct order *o, struct error *err)
{
	char header[HEADER_BYTES];

	header_make(header);
	if (sys.ftruncate(o->fd, 0) != 0 || !sys_pwrite_all(o->fd, header, sizeof(header), 0))
		return fail_sys(err, errno, "beginning %s", o->path);
	return true;
}

static bool header_check(const struct order *o, struct error *err)
{
	char header[HEADER_BYTES];
	struct stat st;

	if (fstat(o->fd, &st) != 0)
		return fail_sys(err, errno, "opening %s", o->path);
	if (st.st_size < (off_t)sizeof(header))
		return fail_sys(err, EBADMSG, "%s is no order of lines", o->path);
	if (!sys_pread_all(o->fd, header, sizeof(header), 0))
		return fail_sys(err, errno, "reading %s", o->path);
	return header_is_ours(header) || fail_sys(err, EBADMSG, "%s is no order of lines", o->path);
}

bool order_open(const char *path, bool begins, struct order **ret, bool *ret_created,
		struct error *err)
{
	struct order *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return fail_memory(err);
	o->path = path;
	o->fd = open(path, O_RDWR | O_CLOEXEC);
	*ret_created = o->fd < 0 && errno == ENOENT && begins;
	if (*ret_created)
		o->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	bool ok = o->fd >= 0 || fail_sys(err, errno, "opening %s", path);
	ok = ok && (begins ? begin(o, err) : header_check(o, err));
	if (!ok) {
		order_close(o);
		return false;
	}
	*ret = o;
	return true;
}

void order_close(struct order *o)
{
	if (o == NULL)
		return;
	if (o->fd >= 0)
		close(o->fd);
	free(o);
}

/* ---- at the end ---- */

static const char *id_or_null(const char *id)
{
	return id[0] != '\0' ? id : NULL;
}

struct order_homes order_homes(const struct batch *b)
{
	return (struct order_homes){ id_or_null(b->output_file_id), id_or_null(b->error_file_id) };
}

/* One more name of the file at `path`, which is durable, becomes a blob. A file system without links
 * has it once. A crash in here leaves a name that the next call takes away. */
static bool order_share(struct blobs *blobs, const char *path, const char *home, struct error *err)
{
	char link_path[600];

	snprintf(link_path, sizeof(link_path), "%s.link", path);
	(void)unlink(link_path);
	if (link(path, link_path) != 0)
		return true;
	bool ok = blob_take(blobs, link_path, home, BLOB_INDEX, err);
	(void)unlink(link_path); /* rename() leaves it where the blob is this file already */
	return ok;
}

bool order_move_home(struct blobs *blobs, const char *path, const struct order_homes *homes,
		     struct error *err)
{
	const char *home = homes->output != NULL ? homes->output : homes->error;

	if (home == NULL)
		return unlink(path) == 0 || errno == ENOENT ||
		       fail_sys(err, errno, "removing %s", path);
	if (homes->output != NULL && homes->error != NULL &&
	    !order_share(blobs, path, homes->error, err))
		return false;
	(void)failpoint("order.between_homes");
	return blob_take(blobs, path, home, BLOB_INDEX, err) || err->kind == ERR_NOT_FOUND;
}

/* ---- writing ---- */

static int by_number(const void *a, const void *b)
{
	const struct order_note *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

bool order_put(struct order *o, struct order_note *notes, size_t n, struct error *err)
{
	AUTO(auto_free) struct order_entry *run = malloc(n * sizeof(*run) + 1);
	size_t held = 0;

	if (run == NULL)
		return fail_memory(err);
	int injected = failpoint("order.write");
	if (injected != 0)
		return fail_sys(err, injected, "writing %s", o->path);
	qsort(notes, n, sizeof(*notes), by_number);
	for (size_t i = 0; i < n; i++) {
		run[held++] = notes[i].entry;
		if (i + 1 < n && notes[i + 1].number == notes[i].number + 1)
			continue;
		uint32_t first = notes[i].number - (uint32_t)(held - 1);
		if (!sys_pwrite_all(o->fd, run, held * sizeof(*run), offset_of(first)))
			return fail_sys(err, errno, "writing %s", o->path);
		held = 0;
	}
	return true;
}

bool order_format(struct order_note *notes, size_t n, struct buf *to)
{
	static const struct order_entry hole;
	char header[HEADER_BYTES];
	uint32_t number = 1;

	header_make(header);
	qsort(notes, n, sizeof(*notes), by_number);
	buf_clear(to);
	buf_append(to, header, sizeof(header));
	for (size_t i = 0; i < n && !to->failed; i++) {
		for (; number < notes[i].number && !to->failed; number++)
			buf_append(to, &hole, sizeof(hole));
		buf_append(to, &notes[i].entry, sizeof(notes[i].entry));
		number++;
	}
	bool ok = !to->failed;
	if (!ok)
		buf_clear(to);
	return ok;
}

bool order_sync(struct order *o, struct error *err)
{
	(void)failpoint("order.before_sync");
	int injected = failpoint("order.sync");
	if (injected != 0)
		return fail_sys(err, injected, "syncing %s", o->path);
	if (sys.fdatasync(o->fd) != 0)
		return fail_sys(err, errno, "syncing %s", o->path);
	(void)failpoint("order.after_sync");
	return true;
}

bool order_clear(struct order *o, uint32_t first, uint32_t last, struct error *err)
{
	static const struct order_entry none[ZEROS];

	for (uint64_t at = first; at <= last; at += ZEROS) {
		uint64_t left = last - at + 1;
		size_t n = left < ZEROS ? (size_t)left : ZEROS;
		if (!sys_pwrite_all(o->fd, none, n * sizeof(none[0]), offset_of((uint32_t)at)))
			return fail_sys(err, errno, "clearing %s", o->path);
	}
	return true;
}

/* ---- after a restart ---- */

/* crash: unmarked, as before, and lost again at the next start. */
bool order_mark_lost(struct order *o, struct error *err)
{
	char header[HEADER_BYTES];

	header_make(header);
	header_mark_lost(header);
	if (!sys_pwrite_all(o->fd, header, sizeof(header), 0) || sys.fdatasync(o->fd) != 0)
		return fail_sys(err, errno, "marking %s", o->path);
	return true;
}

static bool is_lost(const struct order *o, bool *ret, struct error *err)
{
	char header[HEADER_BYTES], lost[HEADER_BYTES];

	header_make(lost);
	header_mark_lost(lost);
	if (!sys_pread_all(o->fd, header, sizeof(header), 0))
		return fail_sys(err, errno, "reading %s", o->path);
	*ret = memcmp(header, lost, sizeof(header)) == 0;
	return true;
}

bool order_counts(const struct order_entry *e, uint64_t output_bytes, uint64_t error_bytes)
{
	uint64_t at = e->place & ~ORDER_ERROR;
	uint64_t bytes = e->place & ORDER_ERROR ? error_bytes : output_bytes;

	return e->length > 0 && at < bytes && e->length <= bytes - at;
}

struct recovery {
	struct order *o;
	const struct merge_state *m;
	order_fn each;
	void *ctx;
	uint64_t found;
	uint32_t last;
	bool cleared;
};

/* What was written and does not count is cleared: lengths grow, and it would count some day. */
static bool block_recover(struct recovery *r, struct order_entry *block, uint32_t first, size_t n,
			  struct error *err)
{
	static const struct order_entry none = { 0 };
	bool cleared = false;

	for (size_t i = 0; i < n; i++) {
		if (order_counts(&block[i], r->m->output_bytes, r->m->error_bytes)) {
			r->found++;
			r->last = first + (uint32_t)i;
			if (r->each != NULL)
				r->each(r->ctx, r->last, &block[i]);
		} else if (memcmp(&block[i], &none, sizeof(none)) != 0) {
			block[i] = none;
			cleared = true;
		}
	}
	r->cleared |= cleared;
	if (cleared && !sys_pwrite_all(r->o->fd, block, n * sizeof(*block), offset_of(first)))
		return fail_sys(err, errno, "clearing %s", r->o->path);
	return true;
}

static bool blocks_recover(struct recovery *r, uint32_t entries, struct error *err)
{
	AUTO(auto_free) struct order_entry *block = malloc(AT_ONCE * sizeof(*block));

	if (block == NULL)
		return fail_memory(err);
	for (uint32_t done = 0; done < entries;) {
		uint32_t n = entries - done < AT_ONCE ? entries - done : AT_ONCE;
		if (!sys_pread_all(r->o->fd, block, n * sizeof(*block), offset_of(done + 1)))
			return fail_sys(err, errno, "reading %s", r->o->path);
		if (!block_recover(r, block, done + 1, n, err))
			return false;
		done += n;
	}
	return true;
}

bool order_recover(struct order *o, const struct merge_state *m, order_fn each, void *ctx,
		   uint32_t *ret_last, struct error *err)
{
	struct recovery r = { o, m, each, ctx, .found = 0 };
	struct stat st;

	if (fstat(o->fd, &st) != 0)
		return fail_sys(err, errno, "reading %s", o->path);
	if (!blocks_recover(&r, (uint32_t)(st.st_size / ORDER_ENTRY_BYTES) - 1, err))
		return false;
	/* Behind the last there is nothing that counts; a torn entry is cut off with it. */
	if (sys.ftruncate(o->fd, offset_of(r.last + 1)) != 0)
		return fail_sys(err, errno, "cutting %s", o->path);
	if ((r.cleared || st.st_size != offset_of(r.last + 1)) && sys.fdatasync(o->fd) != 0)
		return fail_sys(err, errno, "syncing %s", o->path);
	*ret_last = r.last;
	bool lost = false;
	if (!is_lost(o, &lost, err))
		return false;
	if (r.found == m->output_lines + m->error_lines ||
	    (lost && r.found < m->output_lines + m->error_lines))
		return true;
	return fail_sys(err, EBADMSG, "%s has %llu lines where %llu are merged", o->path,
			(unsigned long long)r.found,
			(unsigned long long)(m->output_lines + m->error_lines));
}

/* ---- reading ---- */

bool order_read(const struct blob_reader *from, uint32_t number, struct order_entry *to, size_t n,
		size_t *ret_n, struct error *err)
{
	char header[HEADER_BYTES];
	size_t got;

	if (!blob_read_upto(from, 0, header, sizeof(header), &got, err))
		return false;
	*ret_n = 0;
	if (got < sizeof(header))
		return true; /* it is just begun */
	if (!header_is_ours(header))
		return fail_sys(err, EBADMSG, "the order of the lines is damaged");
	if (!blob_read_upto(from, (uint64_t)offset_of(number), to, n * sizeof(*to), &got, err))
		return false;
	*ret_n = got / sizeof(*to);
	return true;
}

bool order_last(const struct blob_reader *from, uint32_t *ret, struct error *err)
{
	uint64_t entries = blob_bytes(from) / ORDER_ENTRY_BYTES;

	if (entries == 0)
		return fail_sys(err, EBADMSG, "the order of the lines is damaged");
	*ret = (uint32_t)(entries - 1);
	return true;
}

/* redo_replay.c: what is in the log at a start. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/id.h"
#include "base/log.h"
#include "base/sys.h"
#include "redo/redo_format.h"
#include "redo/redo_impl.h"

/* ---- which kernel has the files ---- */

static bool boot_id(char *to, size_t size)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	ssize_t n = read(fd, to, size);
	close(fd);
	return n == (ssize_t)size;
}

uint64_t redo_kernel(const char *data_dir)
{
	struct {
		char boot[36];
		uint64_t mount, device;
	} is;
	struct statx st;

	memset(&is, 0, sizeof(is));
	if (failpoint("redo.kernel") != 0 || !boot_id(is.boot, sizeof(is.boot)) ||
	    statx(AT_FDCWD, data_dir, 0, STATX_BASIC_STATS | STATX_MNT_ID, &st) != 0)
		random_bytes(&is,
			     sizeof(is)); /* another one each time: what is logged is written */
	else {
		is.mount = (st.stx_mask & STATX_MNT_ID) != 0 ? st.stx_mnt_id : 0;
		is.device = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
	}
	return XXH3_64bits(&is, sizeof(is));
}

/* ---- an entry, to its file ---- */

static bool entry_write(int fd, const struct redo_entry *e, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail_sys(err, errno, "looking at %s", e->name);
	/* It has been removed, or cut, since: what stood before these bytes is gone. */
	if (e->head.kind == REDO_WRITE && (uint64_t)st.st_size < e->head.at)
		return true;
	if (e->head.kind == REDO_PUT && st.st_size > (off_t)e->bytes.n &&
	    sys.ftruncate(fd, (off_t)e->bytes.n) != 0)
		return fail_sys(err, errno, "cutting %s", e->name);
	return sys_pwrite_all(fd, e->bytes.p, e->bytes.n, (off_t)e->head.at) ||
	       fail_sys(err, errno, "writing %s", e->name);
}

/* crash: some entries are written, and all are once more at the next start. */
static bool entry_redo(const struct redo *r, const struct redo_entry *e, struct error *err)
{
	bool begins = e->head.kind == REDO_PUT || e->head.at == 0;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", r->data_dir, e->name);
	if (e->head.kind == REDO_GONE)
		return unlink(path) == 0 || errno == ENOENT ||
		       fail_sys(err, errno, "removing %s", path);
	AUTO(auto_close) int fd = open(path, O_WRONLY | O_CLOEXEC | (begins ? O_CREAT : 0), 0600);
	if (fd < 0 && errno == ENOENT)
		return true; /* it is gone since; or the directory is, which its owner tells */
	if (fd < 0)
		return fail_sys(err, errno, "opening %s", path);
	return entry_write(fd, e, err);
}

/* The file's owner has it, and has perhaps removed it: it is not made, nor removed, for him. */
bool redo_entry_again(const struct redo *r, const struct redo_entry *e, struct error *err)
{
	char path[PATH_MAX];

	if (e->head.kind == REDO_GONE)
		return true;
	snprintf(path, sizeof(path), "%s/%s", r->data_dir, e->name);
	AUTO(auto_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || fail_sys(err, errno, "opening %s", path);
	return entry_write(fd, e, err);
}

/* ---- the entries of a generation ---- */

struct redo_scan {
	struct redo *r;
	const struct redo_file *f;
	char *bytes;       /* REDO_ENTRY_MOST */
	uint64_t sequence; /* of the last entry */
	uint64_t at, size, entries;
	bool searches; /* for entries behind what is none */
	redo_entry_fn each;
};

static bool log_read(const struct redo_scan *s, uint64_t at, void *to, size_t n, struct error *err)
{
	return sys_pread_all(s->f->fd, to, n, (off_t)at) ||
	       fail_sys(err, errno, "reading the redo log");
}

/* Whether an entry stands at `at`; then s->at is behind it. */
static bool entry_at(struct redo_scan *s, uint64_t at, struct redo_entry *ret, bool *ret_found,
		     struct error *err)
{
	struct redo_head head;

	*ret_found = false;
	if (s->size - at < sizeof(head))
		return true;
	if (!log_read(s, at, &head, sizeof(head), err))
		return false;
	size_t n = redo_entry_size(&head);
	if (n == 0 || n > s->size - at || head.generation != s->f->generation)
		return true;
	if (!log_read(s, at, s->bytes, n, err))
		return false;
	*ret_found = redo_entry_read((struct slice){ s->bytes, n }, s->f->generation, s->sequence,
				     ret);
	s->at = *ret_found ? at + n : s->at;
	return true;
}

#define SEARCH_BYTES (64u << 10)

/* The first place from *at on where the generation's number stands as in the head of an entry. *at is
 * s->size: nowhere. */
static bool head_search(const struct redo_scan *s, uint64_t *at, struct error *err)
{
	const size_t before = offsetof(struct redo_head, generation);
	const uint64_t wanted = s->f->generation;
	char window[SEARCH_BYTES];

	while (s->size - *at >= sizeof(struct redo_head)) {
		uint64_t left = s->size - *at - before;
		size_t n = left < sizeof(window) ? (size_t)left : sizeof(window);
		if (!log_read(s, *at + before, window, n, err))
			return false;
		const char *found = memmem(window, n, &wanted, sizeof(wanted));
		if (found != NULL) {
			*at += (uint64_t)(found - window);
			return true;
		}
		*at += n - sizeof(wanted) + 1;
	}
	*at = s->size;
	return true;
}

/* Behind what is no entry: the next one that is. What a power cut tore was nobody's yet, and is none; but
 * entries behind a damaged one may be. */
static bool entry_search(struct redo_scan *s, struct redo_entry *ret, bool *ret_found,
			 struct error *err)
{
	uint64_t begin = s->at;

	for (uint64_t at = begin + 1; at < s->size; at++) {
		if (!head_search(s, &at, err) ||
		    (at < s->size && !entry_at(s, at, ret, ret_found, err)))
			return false;
		if (!*ret_found)
			continue;
		log_warn("redo.damaged", kv_u64("generation", s->f->generation),
			 kv_u64("at", begin), kv_u64("bytes", at - begin));
		return true;
	}
	return true;
}

/* *ret_found false: here the generation ends. */
static bool entry_next(struct redo_scan *s, struct redo_entry *ret, bool *ret_found,
		       struct error *err)
{
	if (!entry_at(s, s->at, ret, ret_found, err))
		return false;
	return *ret_found || !s->searches || entry_search(s, ret, ret_found, err);
}

static bool generation_read(struct redo_scan *s, struct error *err)
{
	struct redo_entry *e = malloc(sizeof(*e));
	bool found = true, ok = e != NULL || fail_memory(err);

	while (ok && found) {
		ok = entry_next(s, e, &found, err);
		if (!ok || !found)
			break;
		s->sequence = e->head.sequence;
		s->entries++;
		ok = s->each(s->r, e, err);
	}
	free(e);
	return ok;
}

bool redo_each(struct redo *r, const struct redo_file *f, bool searches, redo_entry_fn each,
	       uint64_t *sequence, uint64_t *entries, struct error *err)
{
	AUTO(auto_free) char *bytes = malloc(REDO_ENTRY_MOST);
	struct redo_scan s = { .r = r,
			       .f = f,
			       .bytes = bytes,
			       .sequence = *sequence,
			       .searches = searches,
			       .each = each };
	struct stat st;

	if (bytes == NULL)
		return fail_memory(err);
	if (fstat(f->fd, &st) != 0)
		return fail_sys(err, errno, "reading the redo log");
	s.at = sizeof(struct redo_header);
	s.size = (uint64_t)st.st_size;
	bool ok = generation_read(&s, err);
	*sequence = s.sequence;
	*entries += s.entries;
	return ok;
}

/* ---- both files ---- */

/* *ret_kernel: which one wrote it. */
static bool header_find(struct redo *r, struct redo_file *f, uint64_t *ret_kernel,
			struct error *err)
{
	struct redo_header h;

	f->generation = 0;
	if (!sys_pread_all(f->fd, &h, sizeof(h), 0))
		return errno == ENODATA || fail_sys(err, errno, "reading the redo log");
	enum redo_header_kind kind = redo_header_look(&h);
	if (kind == REDO_HEADER_OF_ANOTHER_VERSION)
		return fail_sys(err, ENOTSUP, "the redo log is of another version of lowtide");
	if (kind == REDO_HEADER_DAMAGED)
		log_warn("redo.damaged", kv_u64("at", 0), kv_u64("bytes", sizeof(h)));
	if (kind != REDO_HEADER_OURS)
		return true;
	f->generation = h.done ? 0 : h.generation;
	*ret_kernel = h.done ? r->kernel : h.kernel;
	r->generation = h.generation > r->generation ? h.generation : r->generation;
	return true;
}

static bool entry_note(struct redo *r, const struct redo_entry *e, struct error *err)
{
	return redo_names_note(&r->names, e->name, e->head.sequence) || fail_memory(err);
}

static bool entry_redo_note(struct redo *r, const struct redo_entry *e, struct error *err)
{
	return entry_redo(r, e, err) && entry_note(r, e, err);
}

bool redo_replay(struct redo *r, struct error *err)
{
	uint64_t kernels[REDO_FILES] = { r->kernel, r->kernel }, entries = 0;

	for (unsigned i = 0; i < REDO_FILES; i++)
		if (!header_find(r, &r->files[i], &kernels[i], err))
			return false;
	/* One generation that another kernel wrote has the next one's entries written, too: they come
	 * behind it. */
	bool writes = kernels[0] != r->kernel || kernels[1] != r->kernel;
	for (unsigned i = 0; i < REDO_FILES; i++) {
		struct redo_file *f = &r->files[(redo_first(r) + i) % REDO_FILES];
		if (f->generation == 0)
			continue;
		if (!redo_each(r, f, writes, writes ? entry_redo_note : entry_note, &r->added,
			       &entries, err))
			return false;
		f->last = r->added;
	}
	if (writes)
		log_info("redo.written", kv_u64("entries", entries));
	return true;
}

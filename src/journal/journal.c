/* journal.c: see journal.h for the layout.
 *
 * To change the record: raise VERSION, teach journal_open() to read the old one, keep the old
 * struct for it, and add a file of the old version to tests/unit/journal/. */
#include "journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/sys.h"

#define MAGIC "LTJOURNL"
#define VERSION 1u
#define SCAN_BYTES (256u << 10)

struct journal {
	int fd;
	uint64_t end;        /* where the next record goes */
	uint64_t synced_end; /* everything below is durable */
	char path[512];
};

struct journal_check {
	XXH3_state_t *state;
};

struct journal_check *journal_check_new(void)
{
	struct journal_check *c = malloc(sizeof(*c));
	if (c == NULL)
		return NULL;
	c->state = XXH3_createState();
	if (c->state == NULL) {
		free(c);
		return NULL;
	}
	return c;
}

void journal_check_free(struct journal_check *c)
{
	if (c == NULL)
		return;
	XXH3_freeState(c->state);
	free(c);
}

#define CHECK_SKIP sizeof(uint64_t) /* the check itself */

void journal_check_start(struct journal_check *c, const struct journal_head *head)
{
	XXH3_64bits_reset(c->state);
	XXH3_64bits_update(c->state, (const char *)head + CHECK_SKIP, sizeof(*head) - CHECK_SKIP);
}

void journal_check_feed(struct journal_check *c, const void *p, size_t n)
{
	XXH3_64bits_update(c->state, p, n);
}

bool journal_check_ok(const struct journal_check *c, const struct journal_head *head)
{
	return XXH3_64bits_digest(c->state) == head->check;
}

/* ---- opening ---- */

/* A window of the file that moves forward as the scan does. */
struct scan {
	int fd;
	uint64_t at, size; /* of the file: where the window starts, and the end */
	size_t n;          /* bytes in the window */
	char *window;
};

/* `n` bytes at `at` in the window, or NULL at the end of the file or on an error (errno set). */
static const char *scan_at(struct scan *s, uint64_t at, size_t n)
{
	if (at + n > s->size) {
		errno = 0;
		return NULL;
	}
	if (at < s->at || at + n > s->at + s->n) {
		size_t want = SCAN_BYTES;
		if (at + want > s->size)
			want = (size_t)(s->size - at);
		if (!sys_pread_all(s->fd, s->window, want, (off_t)at))
			return NULL;
		s->at = at;
		s->n = want;
	}
	return s->window + (at - s->at);
}

static bool head_plausible(const struct journal_head *h)
{
	return (h->kind == JOURNAL_OUTPUT || h->kind == JOURNAL_ERROR) && h->zero == 0 &&
	       h->zero2 == 0 && h->length > 0;
}

/* Whether the line behind `head` at `at` checks; *ret_io is errno of a failed read. */
static bool record_checks(struct scan *s, struct journal_check *c, const struct journal_head *head,
			  uint64_t at, int *ret_io)
{
	uint64_t p = at + sizeof(*head), end = p + head->length;
	*ret_io = 0;
	if (end > s->size)
		return false;
	journal_check_start(c, head);
	while (p < end) {
		size_t n = end - p < SCAN_BYTES ? (size_t)(end - p) : SCAN_BYTES;
		const char *bytes = scan_at(s, p, n);
		if (bytes == NULL) {
			*ret_io = errno;
			return false;
		}
		journal_check_feed(c, bytes, n);
		p += n;
	}
	return journal_check_ok(c, head);
}

/* Replays from `from`; *ret_end is behind the last whole record. */
static bool journal_replay(struct scan *s, struct journal_check *c, uint64_t from, journal_fn each,
			   void *ctx, const char *path, uint64_t *ret_end, struct error *err)
{
	uint64_t at = from;
	for (;;) {
		struct journal_head head;
		int io = 0;
		const char *bytes = scan_at(s, at, sizeof(head));
		if (bytes == NULL) {
			if (errno != 0)
				return fail_sys(err, errno, "reading %s", path);
			break;
		}
		memcpy(&head, bytes, sizeof(head));
		if (!head_plausible(&head))
			break;
		if (!record_checks(s, c, &head, at, &io)) {
			if (io != 0)
				return fail_sys(err, io, "reading %s", path);
			break;
		}
		each(ctx, &head, at);
		at += sizeof(head) + head.length;
	}
	*ret_end = at;
	return true;
}

/* A new journal: its 16 bytes and its name are durable before anything counts on it. A crash before
 * leaves no file, an empty one or a torn header: all three are begun anew here. */
static bool journal_begin(struct journal *j, struct error *err)
{
	char header[JOURNAL_START] = MAGIC;
	uint32_t version = VERSION;
	memcpy(header + 8, &version, sizeof(version));
	char dir[sizeof(j->path)];
	memcpy(dir, j->path, sizeof(dir));
	if (sys.ftruncate(j->fd, 0) != 0 || !sys_pwrite_all(j->fd, header, sizeof(header), 0) ||
	    sys.fdatasync(j->fd) != 0 || !sys_sync_dir(dirname(dir)))
		return fail_sys(err, errno, "beginning %s", j->path);
	j->end = j->synced_end = JOURNAL_START;
	return true;
}

static bool journal_recover(struct journal *j, uint64_t size, uint64_t from, journal_fn each,
			    void *ctx, uint64_t *ret_cut, struct error *err)
{
	char header[JOURNAL_START];
	uint32_t version;
	if (!sys_pread_all(j->fd, header, sizeof(header), 0))
		return fail_sys(err, errno, "reading %s", j->path);
	memcpy(&version, header + 8, sizeof(version));
	if (memcmp(header, MAGIC, 8) != 0 || version != VERSION)
		return fail_sys(err, EBADMSG, "%s is no journal of version %u", j->path, VERSION);
	if (from < JOURNAL_START || from > size)
		return fail_sys(err, EBADMSG, "%s: %llu bytes, expected at least %llu", j->path,
				(unsigned long long)size, (unsigned long long)from);

	struct scan s = { .fd = j->fd, .size = size, .window = malloc(SCAN_BYTES) };
	struct journal_check *c = journal_check_new();
	bool ok = s.window != NULL && c != NULL;
	if (!ok)
		fail_memory(err);
	uint64_t end = 0;
	ok = ok && journal_replay(&s, c, from, each, ctx, j->path, &end, err);
	journal_check_free(c);
	free(s.window);
	if (!ok)
		return false;
	/* What was replayed may have been written but not yet synced when the process died (the page
	 * cache outlives a kill): from here on it counts as durable, so make it so. */
	if ((end < size && sys.ftruncate(j->fd, (off_t)end) != 0) || sys.fdatasync(j->fd) != 0)
		return fail_sys(err, errno, "cutting %s", j->path);
	*ret_cut = size - end;
	j->end = j->synced_end = end;
	return true;
}

bool journal_open(const char *path, uint64_t from, journal_fn each, void *ctx, struct journal **ret,
		  uint64_t *ret_cut, struct error *err)
{
	struct journal *j = calloc(1, sizeof(*j));
	if (j == NULL)
		return fail_memory(err);
	j->fd = -1;
	*ret_cut = 0;
	struct stat st = { 0 };
	if (!slice_copy(slice_of(path), j->path, sizeof(j->path))) {
		journal_close(j);
		return fail_sys(err, ENAMETOOLONG, "opening %s", path);
	}
	j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (j->fd < 0 || fstat(j->fd, &st) != 0) {
		int saved = errno;
		journal_close(j);
		return fail_sys(err, saved, "opening %s", path);
	}
	uint64_t size = (uint64_t)st.st_size;
	bool fresh = size < JOURNAL_START && from <= JOURNAL_START;
	bool ok = fresh ? journal_begin(j, err)
			: journal_recover(j, size, from, each, ctx, ret_cut, err);
	if (!ok) {
		journal_close(j);
		return false;
	}
	*ret = j;
	return true;
}

void journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	if (j->fd >= 0)
		close(j->fd);
	free(j);
}

void journal_let_go(struct journal *j)
{
	if (j == NULL)
		return;
	auto_close(&j->fd);
	j->fd = -1;
}

bool journal_take_up(struct journal *j, struct error *err)
{
	if (j->fd >= 0)
		return true;
	j->fd = open(j->path, O_RDWR | O_CLOEXEC);
	return j->fd >= 0 || fail_sys(err, errno, "opening %s again", j->path);
}

/* ---- writing ---- */

static uint32_t clamp_u32(uint64_t n)
{
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* Completes the record that begins at `start` with a blank head and goes to the end of `to`. */
static bool record_seal(struct journal_head *head, size_t start, struct buf *to)
{
	size_t length = to->n - start - sizeof(*head);
	if (to->failed || length > INT32_MAX) {
		to->n = start;
		to->failed = false;
		return false;
	}
	head->length = (uint32_t)length;
	memcpy(to->p + start, head, sizeof(*head));
	head->check = XXH3_64bits(to->p + start + CHECK_SKIP, sizeof(*head) - CHECK_SKIP + length);
	memcpy(to->p + start, head, sizeof(*head));
	return true;
}

bool journal_encode(struct outcome *o, struct buf *to)
{
	size_t start = to->n;
	struct journal_head head = { 0 };
	buf_append(to, &head, sizeof(head));
	outcome_line(o, to);
	head.record = (uint32_t)o->record;
	head.http_status = (uint16_t)o->http_status;
	head.kind = o->success ? JOURNAL_OUTPUT : JOURNAL_ERROR;
	head.attempts = o->attempts;
	/* what is counted now is what a restart will count */
	o->usage = (struct usage){ clamp_u32(o->usage.input), clamp_u32(o->usage.cached),
				   clamp_u32(o->usage.output), clamp_u32(o->usage.reasoning),
				   clamp_u32(o->usage.total) };
	head.input = (uint32_t)o->usage.input;
	head.cached = (uint32_t)o->usage.cached;
	head.output = (uint32_t)o->usage.output;
	head.reasoning = (uint32_t)o->usage.reasoning;
	head.total = (uint32_t)o->usage.total;
	return record_seal(&head, start, to);
}

bool journal_encode_line(const struct journal_head *about, struct slice line, struct buf *to)
{
	size_t start = to->n;
	struct journal_head head = *about;
	buf_append(to, &head, sizeof(head));
	buf_add(to, line);
	return record_seal(&head, start, to);
}

bool journal_append(struct journal *j, struct slice records, struct error *err)
{
	/* A crash in here, or before journal_sync() returns, leaves whole records, or a torn one at
	 * the end that the next open cuts off; their lines run again. */
	int injected = failpoint("journal.write");
	if (injected != 0)
		return fail_sys(err, injected, "writing %s", j->path);
	(void)failpoint("journal.before_write");
#ifdef LOWTIDE_FAILPOINTS
	/* Half of it, then perhaps the kill: just what a power cut may leave. */
	if (!sys_pwrite_all(j->fd, records.p, records.n / 2 + 1, (off_t)j->end))
		return fail_sys(err, errno, "writing %s", j->path);
	(void)failpoint("journal.torn_write");
#endif
	if (!sys_pwrite_all(j->fd, records.p, records.n, (off_t)j->end))
		return fail_sys(err, errno, "writing %s", j->path);
	j->end += records.n;
	return true;
}

bool journal_sync(struct journal *j, struct error *err)
{
	if (j->end == j->synced_end)
		return true;
	(void)failpoint("journal.before_sync");
	if (sys.fdatasync(j->fd) != 0)
		return fail_sys(err, errno, "syncing %s", j->path);
	(void)failpoint("journal.after_sync");
	j->synced_end = j->end;
	return true;
}

void journal_rewind(struct journal *j)
{
	j->end = j->synced_end;
	/* Only tidies up: what stands behind the end is overwritten by the next append, and a crash
	 * before that leaves whole records (of lines that really ended) or a torn one. */
	if (sys.ftruncate(j->fd, (off_t)j->end) != 0)
		return;
}

uint64_t journal_end(const struct journal *j)
{
	return j->end;
}

bool journal_read(const struct journal *j, uint64_t at, void *to, size_t n, struct error *err)
{
	if (!sys_pread_all(j->fd, to, n, (off_t)at))
		return fail_sys(err, errno, "reading %s", j->path);
	return true;
}

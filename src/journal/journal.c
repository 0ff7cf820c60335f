/* journal.c: see journal.h for the layout.
 *
 * To change the record: raise VERSION, teach journal_open() to read the old one, keep the old
 * struct for it, and add a file of the old version to tests/unit/journal/. */
#include "journal/journal.h"

#include "batch/causes.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/sys.h"
#include "redo/redo.h"

#define MAGIC "LTJOURNL"
#define VERSION 2u
#define VERSION_WITHOUT_NUMBERS 1u /* else the same: the number is 0 */
#define SCAN_BYTES (256u << 10)
#define BESIDE_BYTES (64u << 10)

struct journal {
	int fd;
	uint64_t end;            /* where the next record goes */
	uint64_t synced_end;     /* everything below is durable */
	_Atomic uint32_t number; /* the last one that was taken */
	struct redo *redo;       /* NULL: what is appended is synced in the file itself */
	uint64_t redo_last;      /* its last entry there; 0: it has none */
	bool beside;             /* something that is not synced is in no entry */
	bool unnamed;            /* nor is its name durable but by an entry */
	bool is_scratch;         /* nothing of it is synced */
	bool rewound;            /* entries name places that others have been written to since */
	char path[];
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

/* ---- from record to record ---- */

struct journal_scan {
	const struct journal *j;
	struct journal_check *check;
	uint64_t next, end; /* where the next record should stand; where all ends */
	uint64_t records;
	uint64_t at; /* the window: a stretch of the file that moves forward as the scan does */
	size_t n;
	char window[]; /* SCAN_BYTES, or as many as there are: most journals of a start are short */
};

struct journal_scan *journal_scan_new(const struct journal *j, uint64_t from, uint64_t end,
				      uint64_t records)
{
	uint64_t first = from < end ? from : end;
	size_t room = end - first < SCAN_BYTES ? (size_t)(end - first) : SCAN_BYTES;
	struct journal_scan *s = malloc(sizeof(*s) + room);

	if (s == NULL)
		return NULL;
	s->j = j;
	s->next = first;
	s->end = end;
	s->records = records;
	s->at = 0;
	s->n = 0;
	s->check = journal_check_new();
	if (s->check == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void journal_scan_free(struct journal_scan *s)
{
	if (s == NULL)
		return;
	journal_check_free(s->check);
	free(s);
}

/* Brings `n` bytes at `at`, which end before the scan's end, into the window; NULL with errno. */
static const char *scan_at(struct journal_scan *s, uint64_t at, size_t n)
{
	if (at < s->at || at + n > s->at + s->n) {
		uint64_t left = s->end - at;
		size_t want = left < SCAN_BYTES ? (size_t)left : SCAN_BYTES;
		s->n = 0;
		if (!sys_pread_all(s->j->fd, s->window, want, (off_t)at))
			return NULL;
		s->at = at;
		s->n = want;
	}
	return s->window + (at - s->at);
}

#define LINE_START '{'                                 /* of every result line */
#define RECORD_LEAST (sizeof(struct journal_head) + 1) /* what a record is recognised by */

/* Whether a record may begin at `bytes`, which stand at `at` and are RECORD_LEAST. */
static bool may_be_record(const struct journal_scan *s, const char *bytes, uint64_t at)
{
	struct journal_head h;

	if (bytes[sizeof(h)] != LINE_START)
		return false;
	memcpy(&h, bytes, sizeof(h));
	return (h.kind == JOURNAL_OUTPUT || h.kind == JOURNAL_ERROR) && h.zero == 0 &&
	       h.length > 0 && h.record < s->records && h.length <= s->end - at - sizeof(h);
}

/* Moves *at on to where a record may begin; *ret_found false at the end. */
static bool candidate_find(struct journal_scan *s, uint64_t *at, bool *ret_found)
{
	*ret_found = false;
	while (s->end - *at >= RECORD_LEAST) {
		const char *bytes = scan_at(s, *at, RECORD_LEAST);
		if (bytes == NULL)
			return false;
		const char *last = s->window + s->n - RECORD_LEAST;
		for (; bytes <= last; bytes++, ++*at) {
			if (may_be_record(s, bytes, *at)) {
				*ret_found = true;
				return true;
			}
		}
	}
	return true;
}

/* Whether the record that may begin at `at` checks. */
static bool record_check(struct journal_scan *s, uint64_t at, struct journal_head *ret,
			 bool *ret_good)
{
	const char *bytes = scan_at(s, at, sizeof(*ret));

	if (bytes == NULL)
		return false;
	memcpy(ret, bytes, sizeof(*ret));
	uint64_t p = at + sizeof(*ret), end = p + ret->length;
	journal_check_start(s->check, ret);
	while (p < end) {
		size_t n = end - p < SCAN_BYTES ? (size_t)(end - p) : SCAN_BYTES;
		bytes = scan_at(s, p, n);
		if (bytes == NULL)
			return false;
		journal_check_feed(s->check, bytes, n);
		p += n;
	}
	*ret_good = journal_check_ok(s->check, ret);
	return true;
}

bool journal_scan_next(struct journal_scan *s, struct journal_head *ret, uint64_t *ret_at,
		       bool *ret_found, struct error *err)
{
	bool good = false;
	uint64_t at = s->next;

	for (;; at++) {
		if (!candidate_find(s, &at, ret_found) ||
		    (*ret_found && !record_check(s, at, ret, &good)))
			return fail_sys(err, errno, "reading %s", s->j->path);
		if (!*ret_found)
			return true;
		if (good)
			break;
	}
	*ret_at = at;
	s->next = at + sizeof(*ret) + ret->length;
	return true;
}

/* ---- opening ---- */

/* Replays from `from` on; *ret_end is behind the last whole record. */
static bool replay(struct journal *j, struct journal_scan *s, uint64_t from, journal_fn each,
		   void *ctx, struct journal_found *found, uint64_t *ret_end, struct error *err)
{
	struct journal_head head;
	uint64_t at;
	bool more;

	*ret_end = from;
	for (;;) {
		if (!journal_scan_next(s, &head, &at, &more, err))
			return false;
		if (!more)
			return true;
		if (at > *ret_end && found->damaged_bytes == 0)
			found->damaged_at = *ret_end;
		found->damaged_bytes += at - *ret_end;
		journal_number_raise(j, head.number);
		each(ctx, &head, at);
		*ret_end = at + sizeof(head) + head.length;
	}
}

const char *journal_log_name(const char *path)
{
	const char *at = strrchr(path, '/');

	while (at > path && at[-1] != '/')
		at--;
	return at;
}

static void header_make(char to[static JOURNAL_START])
{
	uint32_t version = VERSION;

	memset(to, 0, JOURNAL_START);
	memcpy(to, MAGIC, 8);
	memcpy(to + 8, &version, sizeof(version));
}

static bool header_write(struct journal *j, struct error *err)
{
	char header[JOURNAL_START];

	header_make(header);
	if (!sys_pwrite_all(j->fd, header, sizeof(header), 0) || sys.fdatasync(j->fd) != 0)
		return fail_sys(err, errno, "beginning %s", j->path);
	return true;
}

/* crash, after this: no journal, or one without records; nothing has ended. The entry is durable with
 * that of the first records; it leaves alone what is written beside the log. */
static bool header_log(struct journal *j, struct error *err)
{
	char header[JOURNAL_START];

	header_make(header);
	redo_begin(j->redo);
	bool ok = sys_pwrite_all(j->fd, header, sizeof(header), 0)
			  ? redo_write(j->redo, journal_log_name(j->path), 0,
				       (struct slice){ header, sizeof(header) }, err)
			  : fail_sys(err, errno, "beginning %s", j->path);
	redo_end(j->redo);
	if (!ok)
		return false;
	j->unnamed = true;
	j->redo_last = redo_last(j->redo);
	return true;
}

/* HEADER_ZERO: of a logged one, after a power cut before the first sync of the log: the file has its
 * length, and not its bytes. */
enum header { HEADER_OURS, HEADER_OLD, HEADER_ZERO, HEADER_NONE, HEADER_OF_ANOTHER_VERSION };

static bool header_read(const struct journal *j, uint64_t size, enum header *ret, struct error *err)
{
	static const char zero[JOURNAL_START];
	char header[JOURNAL_START];
	uint32_t version;

	*ret = HEADER_NONE;
	if (size < sizeof(header))
		return true;
	if (!sys_pread_all(j->fd, header, sizeof(header), 0))
		return fail_sys(err, errno, "reading %s", j->path);
	memcpy(&version, header + 8, sizeof(version));
	if (memcmp(header, MAGIC, 8) == 0)
		*ret = version == VERSION                   ? HEADER_OURS
		       : version == VERSION_WITHOUT_NUMBERS ? HEADER_OLD
							    : HEADER_OF_ANOTHER_VERSION;
	else if (j->redo != NULL && memcmp(header, zero, sizeof(zero)) == 0)
		*ret = HEADER_ZERO;
	return true;
}

static bool name_sync(struct journal *j, struct error *err)
{
	AUTO(auto_free) char *dir = strdup(j->path);

	if (dir == NULL)
		return fail_memory(err);
	if (!sys_sync_dir(dirname(dir)))
		return fail_sys(err, errno, "syncing the directory of %s", j->path);
	j->unnamed = false;
	return true;
}

/* A new journal: its header and its name are durable before anything counts on it. A crash before
 * leaves no file, an empty one, or one with a header that is torn in its length or its content (16
 * zero bytes): a file no longer than a header never held a record, and is begun anew here. */
static bool journal_begin(struct journal *j, uint64_t size, struct error *err)
{
	if (size > 0 && sys.ftruncate(j->fd, 0) != 0)
		return fail_sys(err, errno, "beginning %s", j->path);
	if (j->redo != NULL)
		return header_log(j, err);
	return header_write(j, err) && name_sync(j, err);
}

/* Records go where the store expects them, also in a journal that is shorter. A crash after this
 * leaves a hole that is never read, or the short file, which is lengthened again. */
static bool lengthen(struct journal *j, uint64_t size, uint64_t from, struct journal_found *found,
		     struct error *err)
{
	if (sys.ftruncate(j->fd, (off_t)from) != 0 || !redo_file_sync(j->redo, j->fd))
		return fail_sys(err, errno, "lengthening %s", j->path);
	if (j->unnamed && !name_sync(j, err)) /* no entry has its length */
		return false;
	found->missing_bytes = from - size;
	j->end = j->synced_end = from;
	return true;
}

/* What was replayed may have been written but not yet synced when the process died (the page cache
 * outlives a kill): from here on it counts as durable, so make it so. */
static bool cut(struct journal *j, uint64_t size, uint64_t end, struct journal_found *found,
		struct error *err)
{
	bool is_synced = found->is_synced && end == size;

	if ((end < size && sys.ftruncate(j->fd, (off_t)end) != 0) ||
	    (!is_synced && !redo_file_sync(j->redo, j->fd)))
		return fail_sys(err, errno, "cutting %s", j->path);
	found->torn_bytes = size - end;
	j->end = j->synced_end = end;
	return true;
}

/* One in which there is nothing, or nothing behind `from` any more. */
static bool journal_anew(struct journal *j, uint64_t size, uint64_t from,
			 struct journal_found *found, struct error *err)
{
	if (!journal_begin(j, size, err))
		return false;
	j->end = j->synced_end = JOURNAL_START;
	size = size < JOURNAL_START ? size : JOURNAL_START;
	return from == JOURNAL_START || lengthen(j, size, from, found, err);
}

/* A file that may hold records behind `from`. */
static bool journal_recover(struct journal *j, uint64_t size, uint64_t from, uint64_t records,
			    enum header header, journal_fn each, void *ctx,
			    struct journal_found *found, struct error *err)
{
	struct journal_scan *s = journal_scan_new(j, from, size, records);
	uint64_t end;

	if (s == NULL)
		return fail_memory(err);
	bool ok = replay(j, s, from, each, ctx, found, &end, err);
	journal_scan_free(s);
	if (!ok)
		return false;
	if (header == HEADER_NONE && end == from)
		return fail_sys(err, EBADMSG, "%s is no journal", j->path);
	if (header == HEADER_ZERO && end == from) {
		found->torn_bytes = size - JOURNAL_START;
		return journal_anew(j, size, from, found, err);
	}
	if (header == HEADER_NONE || header == HEADER_ZERO) {
		found->damaged_at = 0;
		found->damaged_bytes += JOURNAL_START;
		if (!header_write(j, err))
			return false;
	}
	return cut(j, size, end, found, err);
}

static bool journal_start(struct journal *j, uint64_t from, uint64_t records, journal_fn each,
			  void *ctx, struct journal_found *found, struct error *err)
{
	enum header header;
	struct stat st;

	if (fstat(j->fd, &st) != 0)
		return fail_sys(err, errno, "opening %s", j->path);
	uint64_t size = (uint64_t)st.st_size;
	if (!header_read(j, size, &header, err))
		return false;
	if (header == HEADER_OF_ANOTHER_VERSION)
		return fail_sys(err, ENOTSUP, "%s is of another version of lowtide", j->path);
	/* A crash in here leaves either version, and both read the same. */
	if (header == HEADER_OLD && !header_write(j, err))
		return false;
	if ((header == HEADER_NONE || header == HEADER_ZERO) &&
	    (size <= JOURNAL_START || size <= from))
		return journal_anew(j, size, from, found, err);
	if (size < from)
		return lengthen(j, size, from, found, err);
	return journal_recover(j, size, from, records, header, each, ctx, found, err);
}

static bool file_open(const char *path, int flags, struct journal **ret, struct error *err)
{
	size_t bytes = strlen(path) + 1;
	struct journal *j = calloc(1, sizeof(*j) + bytes);

	if (j == NULL)
		return fail_memory(err);
	memcpy(j->path, path, bytes);
	j->fd = open(path, flags | O_CLOEXEC, 0600);
	if (j->fd < 0) {
		(void)fail_sys(err, errno, "opening %s", path);
		journal_close(j);
		return false;
	}
	*ret = j;
	return true;
}

bool journal_open(const char *path, uint64_t from, uint64_t records, journal_fn each, void *ctx,
		  struct journal **ret, struct journal_found *ret_found, struct error *err)
{
	const struct journal_log none = { NULL, false };

	return journal_open_logged(path, from, records, each, ctx, &none, ret, ret_found, err);
}

bool journal_open_logged(const char *path, uint64_t from, uint64_t records, journal_fn each,
			 void *ctx, const struct journal_log *log, struct journal **ret,
			 struct journal_found *ret_found, struct error *err)
{
	struct journal *j;

	*ret_found = (struct journal_found){ .is_synced = log->is_synced };
	/* Of one that was open before what opening cuts would come back, and its name is in no entry. */
	if (!redo_leave(log->redo, journal_log_name(path), err))
		return false;
	if (!file_open(path, O_RDWR | O_CREAT, &j, err))
		return false;
	j->redo = log->redo;
	j->is_scratch = log->is_scratch;
	if (from < JOURNAL_START)
		from = JOURNAL_START;
	if (!journal_start(j, from, records, each, ctx, ret_found, err)) {
		journal_close(j);
		return false;
	}
	*ret = j;
	return true;
}

bool journal_open_to_read(const char *path, uint64_t end, struct journal **ret, struct error *err)
{
	if (!file_open(path, O_RDONLY, ret, err))
		return false;
	(*ret)->end = (*ret)->synced_end = end;
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

/* ---- numbers ---- */

uint32_t journal_number_take(struct journal *j)
{
	return ++j->number;
}

uint32_t journal_number_last(const struct journal *j)
{
	return j->number;
}

void journal_number_raise(struct journal *j, uint32_t last)
{
	uint32_t now = j->number;

	while (now < last && !atomic_compare_exchange_weak(&j->number, &now, last))
		;
}

void journal_number_back(struct journal *j, uint32_t taken, uint32_t last)
{
	(void)atomic_compare_exchange_strong(&j->number, &taken, last);
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
	head.http_status = cause_code(o->fault, o->http_status);
	head.kind = o->success ? JOURNAL_OUTPUT : JOURNAL_ERROR;
	head.attempts = o->attempts;
	head.number = o->number;
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

static bool records_write(struct journal *j, struct slice records, struct error *err)
{
	(void)failpoint("journal.before_write");
#ifdef LOWTIDE_FAILPOINTS
	/* Half of it, then perhaps the kill: just what a power cut may leave. */
	if (!sys_pwrite_all(j->fd, records.p, records.n / 2 + 1, (off_t)j->end))
		return fail_sys(err, errno, "writing %s", j->path);
	(void)failpoint("journal.torn_write");
#endif
	return sys_pwrite_all(j->fd, records.p, records.n, (off_t)j->end) ||
	       fail_sys(err, errno, "writing %s", j->path);
}

/* Many bytes are better synced in the file itself; but not where an entry could be written over them
 * after a power cut. */
static bool is_beside(const struct journal *j, struct slice records)
{
	return j->redo == NULL || (records.n > BESIDE_BYTES && !j->rewound);
}

static bool records_log(struct journal *j, struct slice records, struct error *err)
{
	for (size_t at = 0, n; at < records.n; at += n) {
		n = records.n - at < REDO_MOST ? records.n - at : REDO_MOST;
		if (!redo_write(j->redo, journal_log_name(j->path), j->end + at,
				(struct slice){ records.p + at, n }, err))
			return false;
	}
	j->redo_last = redo_last(j->redo);
	return true;
}

bool journal_append(struct journal *j, struct slice records, struct error *err)
{
	/* A crash in here, or before journal_sync() returns, leaves whole records, or a torn one at
	 * the end that the next open cuts off; their lines run again. */
	int injected = failpoint("journal.write");

	if (injected != 0)
		return fail_sys(err, injected, "writing %s", j->path);
	redo_begin(j->redo);
	bool ok = records_write(j, records, err) &&
		  (is_beside(j, records) || records_log(j, records, err));
	redo_end(j->redo);
	if (!ok)
		return false;
	j->beside |= is_beside(j, records);
	j->end += records.n;
	return true;
}

/* crash, between the two: records that are durable, perhaps with others before them that are not: what
 * is no record is passed over, and those lines run again. */
static bool bytes_sync(struct journal *j, struct error *err)
{
	if (j->redo_last != 0 && !redo_sync(j->redo, j->redo_last, err))
		return false;
	if (!j->beside || j->is_scratch)
		return true;
	if (j->unnamed && !name_sync(j, err))
		return false;
	if (!redo_file_sync(j->redo, j->fd))
		return fail_sys(err, errno, "syncing %s", j->path);
	j->beside = false;
	return true;
}

bool journal_sync(struct journal *j, struct error *err)
{
	if (j->end == j->synced_end)
		return true;
	(void)failpoint("journal.before_sync");
	if (!bytes_sync(j, err))
		return false;
	(void)failpoint("journal.after_sync");
	j->synced_end = j->end;
	return true;
}

void journal_rewind(struct journal *j)
{
	j->end = j->synced_end;
	j->rewound = true;
	/* Only tidies up: what stands behind the end is overwritten by the next append, and a crash
	 * before that leaves whole records (of lines that really ended) or a torn one. */
	redo_begin(j->redo);
	(void)!sys.ftruncate(j->fd, (off_t)j->end);
	redo_end(j->redo);
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

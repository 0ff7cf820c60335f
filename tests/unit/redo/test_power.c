/* The redo log, journals and blobs together, through kills and power cuts at any call, and calls that
 * fail: what was told to be durable is there at each start, byte for byte. */
#include "machine.h"

#include "base/buf.h"
#include "base/id.h"
#include "base/log.h"
#include "blob/blob.h"
#include "journal/journal.h"
#include "redo/redo.h"
#include "redo/redo_impl.h"

#define SEEDS 25u /* POWER_SEEDS=300 for more; POWER_SEED=7 for one */
#define LIVES 4u
#define STEPS 50u
#define BATCHES 5u
#define LINES 200u
#define BLOBS 400u

/* What somebody was told. */
struct batch_told {
	char id[ID_SIZE];
	bool lines[LINES]; /* are durable */
	unsigned size[LINES];
	unsigned appended; /* lines that were tried */
	struct journal *j; /* of this life; NULL: not open */
};

/* Bytes by what they are made of. */
struct bytes {
	unsigned seed;
	size_t n;
};

enum blob_state { BLOB_ANY, BLOB_TOLD };

struct blob_told {
	char id[ID_SIZE];
	enum blob_kind kind;
	enum blob_state state;
	struct bytes is;
	size_t extra; /* bytes behind `is.n` that nobody was told of */
};

static struct batch_told batches[BATCHES];
static struct blob_told blobs_told[BLOBS];
static unsigned blob_n;
static struct redo *redo;
static struct blobs *blobs;
static struct error err;
static unsigned ids, lives_seed;

static void id_new(char to[static ID_SIZE], const char *what)
{
	snprintf(to, ID_SIZE, "%s-%06u", what, ids++);
}

static char byte_of(unsigned seed, size_t at)
{
	return (char)('a' + (seed * 31 + at * 7 + at / 13) % 26);
}

static char *bytes_make(struct bytes b)
{
	char *p = malloc(b.n + 1);

	assert_non_null(p);
	for (size_t i = 0; i < b.n; i++)
		p[i] = byte_of(b.seed, i);
	return p;
}

static size_t size_by_chance(void)
{
	static const size_t most[] = { 50, 700, 700, 700, 3000, 3000, 40u << 10, 100u << 10 };

	return 1 + chance((unsigned)most[chance(ARRAY_LEN(most))]);
}

/* ---- journals ---- */

static void batch_path(const struct batch_told *b, char to[static PATH_MAX])
{
	snprintf(to, PATH_MAX, "%s/batches/%s.journal", machine.dir, b->id);
}

static bool found_lines[LINES];
static const struct batch_told *finding;

static void on_record(void *ctx, const struct journal_head *head, uint64_t at)
{
	(void)ctx;
	(void)at;
	assert_in_range(head->record, 0, LINES - 1);
	if (head->length != finding->size[head->record])
		fail_msg("seed %u: a record of %u bytes, not %u", lives_seed, head->length,
			 finding->size[head->record]);
	found_lines[head->record] = true;
}

/* False: a call failed. */
static bool batch_open(struct batch_told *b, bool at_start)
{
	struct journal_log log = { redo, at_start };
	struct journal_found found;
	char path[PATH_MAX];

	memset(found_lines, 0, sizeof(found_lines));
	finding = b;
	batch_path(b, path);
	if (!journal_open_logged(path, JOURNAL_START, LINES, on_record, NULL, &log, &b->j, &found,
				 &err)) {
		assert_int_not_equal(err.sys, EBADMSG);
		return false;
	}
	for (unsigned i = 0; i < LINES; i++) {
		if (b->lines[i] && !found_lines[i])
			fail_msg("seed %u: line %u of %s had ended, and is lost", lives_seed, i,
				 b->id);
		/* From now on it counts. (Where a sync had failed and the process was killed before it wrote
		 * again, the kernel takes for synced what it shows: that is not found out.) */
		b->lines[i] = b->lines[i] || (found_lines[i] && machine.faults == 0);
	}
	return true;
}

static void batch_end(struct batch_told *b)
{
	char path[PATH_MAX];

	batch_path(b, path);
	if (b->j != NULL) {
		redo_gone(redo, journal_log_name(path));
		if (!machine.is_out)
			unlink(path);
	}
	journal_close(b->j);
	memset(b, 0, sizeof(*b));
	id_new(b->id, "batch");
}

static void record_add(struct batch_told *b, unsigned line, struct buf *to)
{
	size_t n = b->size[line] > 0 ? b->size[line] : size_by_chance() + 3; /* the same again */
	char *text = bytes_make((struct bytes){ line, n });
	const struct journal_head about = { .record = line,
					    .kind = JOURNAL_OUTPUT,
					    .http_status = 200,
					    .number = journal_number_take(b->j) };

	text[0] = '{';
	text[n - 1] = '\n';
	b->size[line] = (unsigned)n;
	assert_true(journal_encode_line(&about, (struct slice){ text, n }, to));
	free(text);
}

struct part {
	struct batch_told *b;
	unsigned first, n;
	bool written;
};

static bool part_append(struct part *p)
{
	struct buf records = BUF(64u << 20);

	for (unsigned i = 0; i < p->n; i++)
		record_add(p->b, p->first + i, &records);
	bool ok = journal_append(p->b->j, buf_slice(&records), &err);
	buf_free(&records);
	if (!ok)
		journal_rewind(p->b->j);
	return ok;
}

static bool part_sync(struct part *p)
{
	if (journal_sync(p->b->j, &err))
		return true;
	journal_rewind(p->b->j);
	return false;
}

/* As the recorder does: some owners' records are written, then synced, and again after a failure. */
static void group_record(void)
{
	struct part parts[3];
	unsigned n = 0, first = chance(BATCHES);

	for (unsigned i = 0; i < 1 + chance(3); i++) {
		struct batch_told *b = &batches[(first + i) % BATCHES];
		unsigned lines = 1 + chance(4);
		if (b->j == NULL || b->appended + lines > LINES)
			continue;
		parts[n] = (struct part){ b, b->appended, lines, false };
		b->appended += lines;
		parts[n].written = part_append(&parts[n]);
		n++;
	}
	for (unsigned i = 0; i < n; i++)
		for (unsigned tries = 0; tries < 3 && !machine.is_out; tries++) {
			parts[i].written = parts[i].written || part_append(&parts[i]);
			if (parts[i].written && part_sync(&parts[i])) {
				memset(parts[i].b->lines + parts[i].first, true, parts[i].n);
				break;
			}
			parts[i].written = false;
		}
}

static void batch_reopen(struct batch_told *b)
{
	journal_close(TAKE(b->j));
	(void)!batch_open(b, false);
}

/* ---- blobs ---- */

static struct blob_told *blob_new(enum blob_kind kind)
{
	assert_true(blob_n < BLOBS);
	struct blob_told *t = &blobs_told[blob_n++];
	*t = (struct blob_told){ .kind = kind, .state = BLOB_ANY };
	id_new(t->id, "file");
	return t;
}

/* An old one, or a new one. */
static struct blob_told *blob_some(enum blob_kind kind)
{
	struct blob_told *t = blob_n > 0 ? &blobs_told[chance(blob_n)] : NULL;

	return t != NULL && t->kind == kind && t->id[0] != '\0' && chance(2) == 0 ? t
										  : blob_new(kind);
}

static void blob_told_as(struct blob_told *t, struct bytes is)
{
	t->is = is;
	t->extra = 0;
	t->state = BLOB_TOLD;
}

/* An index, or a file: written in pieces, in place of what is there. */
static void blob_upload(enum blob_kind kind)
{
	struct blob_told *t = blob_some(kind);
	struct bytes is = { chance(1000), size_by_chance() };
	char *p = bytes_make(is);
	struct blob_writer *w;

	t->state = BLOB_ANY;
	bool ok = blob_create(blobs, &w, &err);
	for (size_t at = 0, n; ok && at < is.n; at += n) {
		n = 1 + chance(30000);
		n = n < is.n - at ? n : is.n - at;
		ok = blob_write(w, (struct slice){ p + at, n }, &err);
		if (!ok)
			blob_abort(w);
	}
	if (ok && blob_commit(w, t->id, kind, &err) && blobs_sync(blobs, &err))
		blob_told_as(t, is);
	free(p);
}

static void blob_put_whole(void)
{
	struct blob_told *t = blob_some(BLOB_DATA);
	struct bytes is = { chance(1000), 1 + chance(60000) };
	char *p = bytes_make(is);

	t->state = BLOB_ANY;
	if (blob_put(blobs, t->id, BLOB_DATA, (struct slice){ p, is.n }, &err) &&
	    blobs_sync(blobs, &err))
		blob_told_as(t, is);
	free(p);
}

/* What is there stays, and more comes behind it: result files, uploads in parts. */
static void blob_grow(void)
{
	struct blob_told *t = blob_some(BLOB_DATA);
	struct blob_appender *a;

	if (t->state == BLOB_ANY)
		t->is = (struct bytes){ chance(1000), 0 };
	struct bytes is = { t->is.seed, t->is.n + size_by_chance() };
	char *p = bytes_make(is);
	if (blob_append_open(blobs, t->id, t->is.n, &a, &err)) {
		size_t extra = is.n - t->is.n;
		t->extra = t->extra > extra ? t->extra : extra;
		bool ok = blob_append(a, (struct slice){ p + t->is.n, is.n - t->is.n }, &err) &&
			  blob_append_sync(a, &err) && blobs_sync(blobs, &err);
		blob_append_close(a);
		if (ok)
			blob_told_as(t, is);
	}
	free(p);
}

/* A file that was written beside the store gets its name there: the order of a batch. */
static void blob_taken(void)
{
	struct blob_told *t = blob_some(BLOB_INDEX);
	struct bytes is = { chance(1000), size_by_chance() };
	char *p = bytes_make(is), path[PATH_MAX + 32], dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/batches", machine.dir);
	snprintf(path, sizeof(path), "%s/order-%u.order", dir, ids++);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	bool ok = sys_pwrite_all(fd, p, is.n, 0) && sys.fdatasync(fd) == 0 && sys_sync_dir(dir);
	close(fd);
	if (ok) {
		t->state = BLOB_ANY;
		if (blob_take(blobs, path, t->id, BLOB_INDEX, &err) && blobs_sync(blobs, &err))
			blob_told_as(t, is);
	}
	free(p);
}

static void blob_gone(void)
{
	struct blob_told *t = blob_n > 0 ? &blobs_told[chance(blob_n)] : NULL;

	if (t == NULL || t->id[0] == '\0' || machine.is_out)
		return;
	(void)!blob_remove(blobs, t->id, &err);
	t->state = BLOB_ANY;
	t->id[0] = '\0'; /* nothing gets that id again */
}

static void blob_check(const struct blob_told *t)
{
	struct blob_reader *r;

	if (t->state == BLOB_ANY || t->id[0] == '\0')
		return;
	if (!blob_open(blobs, t->id, t->kind, &r, &err))
		fail_msg("seed %u: %s is lost: %s", lives_seed, t->id, err.detail);
	if (blob_bytes(r) < t->is.n || blob_bytes(r) > t->is.n + t->extra)
		fail_msg("seed %u: %s has %llu bytes, not %zu", lives_seed, t->id,
			 (unsigned long long)blob_bytes(r), t->is.n);
	char *is = malloc(t->is.n + 1), *want = bytes_make(t->is);
	assert_non_null(is);
	assert_true(blob_read_at(r, 0, is, t->is.n, &err));
	for (size_t i = 0; i < t->is.n; i++)
		if (is[i] != want[i])
			fail_msg("seed %u: %s differs at byte %zu of %zu", lives_seed, t->id, i,
				 t->is.n);
	free(is);
	free(want);
	blob_reader_close(r);
}

/* ---- a life of the server ---- */

/* False: the disk refuses, or the power is out; the server does not start. */
static bool life_begin(void)
{
	if (!redo_open(machine.dir, &redo, &err))
		return false;
	redo->generation_bytes = 2000 + chance(200000);
	if (!blobs_open(machine.dir, redo, &blobs, &err) || !redo_settle(redo, &err))
		return false;
	for (unsigned i = 0; i < blob_n; i++)
		blob_check(&blobs_told[i]);
	for (unsigned i = 0; i < BATCHES; i++)
		if (!batch_open(&batches[i], true))
			return false;
	return true;
}

static void step(void)
{
	struct batch_told *b = &batches[chance(BATCHES)];

	switch (chance(12)) {
	case 0:
		blob_upload(BLOB_DATA);
		break;
	case 1:
		blob_upload(BLOB_INDEX);
		break;
	case 2:
		blob_put_whole();
		break;
	case 3:
		blob_grow();
		break;
	case 4:
		blob_taken();
		break;
	case 5:
		blob_gone();
		break;
	case 6:
		if (chance(4) == 0)
			(void)!redo_settle(redo, &err);
		break;
	case 7:
		if (b->j == NULL || chance(3) == 0)
			batch_reopen(b);
		break;
	case 8:
		if (b->appended > LINES / 2 && !machine.is_out)
			batch_end(b);
		break;
	default:
		group_record();
	}
}

static void life_end(void)
{
	for (unsigned i = 0; i < BATCHES; i++)
		journal_close(TAKE(batches[i].j));
	blobs_close(TAKE(blobs));
	redo_close(TAKE(redo));
}

static void live(unsigned faults, int calls)
{
	machine_on(faults, calls);
	if (life_begin())
		for (unsigned i = 0; i < STEPS && !machine.is_out; i++)
			step();
	/* After a kill what the kernel takes for synced, and is not, is not found out (as above). */
	bool cut = machine.is_out || faults > 0 || chance(2) == 0;
	if (chance(3) > 0) /* else it is stopped in good order, and the power goes then */
		machine_kill();
	life_end();
	machine_off();
	if (cut)
		machine_restart();
}

static void lives(unsigned seed, unsigned faults)
{
	machine_begin(seed);
	memset(batches, 0, sizeof(batches));
	for (unsigned i = 0; i < BATCHES; i++)
		id_new(batches[i].id, "batch");
	blob_n = 0;
	for (unsigned i = 0; i < LIVES; i++)
		live(faults, chance(3) == 0 ? -1 : (int)(1 + chance(200)));
	live(0, -1);
	machine_end();
}

static unsigned number_of(const char *variable, unsigned otherwise)
{
	const char *text = getenv(variable);

	return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void seeds_live(unsigned faults)
{
	unsigned first = number_of("POWER_SEED", 0);
	unsigned n = getenv("POWER_SEED") != NULL ? 1 : number_of("POWER_SEEDS", SEEDS);

	log_set_level(LOG_OFF);
	for (lives_seed = first; lives_seed < first + n; lives_seed++)
		lives(lives_seed, faults);
}

static void what_was_told_survives_power_cuts(void **state)
{
	(void)state;
	seeds_live(0);
}

/* One call in so many as well. */
static void and_calls_that_fail(void **state)
{
	(void)state;
	seeds_live(number_of("POWER_FAULTS", 40));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_told_survives_power_cuts),
		cmocka_unit_test(and_calls_that_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The redo log under power cuts: after each the files are those that were on the disk when the file system
 * was synced last, and the log has what it was given up to its last sync. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>

#include "base/buf.h"
#include "base/log.h"
#include "redo/redo.h"
#include "redo/redo_format.h"

static char *dir;
static struct redo *redo;
static struct error err;
static _Atomic unsigned syncs, settles;
static _Atomic bool syncs_fail, settles_fail;
static _Atomic unsigned syncs_fail_from = UINT_MAX;

#define MUST(call)                                                               \
	do {                                                                     \
		if (!(call))                                                     \
			fail_msg("%s: %s (%s)", #call, err.message, err.detail); \
	} while (0)

/* ---- the machine ---- */

PRINTF_LIKE(1, 2) static void run(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_int_equal(system(command), 0); // NOLINT(cert-env33-c)
}

static int model_fdatasync(int fd)
{
	(void)fd;
	syncs++;
	errno = EIO;
	return syncs_fail || syncs >= syncs_fail_from ? -1 : 0;
}

static pthread_mutex_t machine = PTHREAD_MUTEX_INITIALIZER; /* one change of the files at a time */

/* What stands in the files now is on the disk. */
static int model_syncfs(int fd)
{
	(void)fd;
	settles++;
	errno = EIO;
	if (settles_fail)
		return -1;
	pthread_mutex_lock(&machine);
	run("rm -rf %s/disk && mkdir %s/disk && cp -a %s/files %s/batches %s/disk", dir, dir, dir,
	    dir, dir);
	pthread_mutex_unlock(&machine);
	return 0;
}

static int no_sync(int fd)
{
	(void)fd;
	return 0;
}

/* The log is one that another kernel wrote. */
static void kernel_change(void)
{
	for (unsigned i = 0; i < 2; i++) {
		char path[PATH_MAX];
		struct redo_header h;
		snprintf(path, sizeof(path), "%s/redo/%u", dir, i);
		FILE *f = fopen(path, "r+");
		assert_non_null(f);
		if (fread(&h, sizeof(h), 1, f) == 1 && redo_header_look(&h) == REDO_HEADER_OURS) {
			h = redo_header_make(h.generation, h.kernel + 1, h.done);
			rewind(f);
			assert_int_equal(fwrite(&h, sizeof(h), 1, f), 1);
		}
		fclose(f);
	}
}

/* The process dies at this moment: what it does at its end is not done. */
static void killed(void)
{
	run("rm -rf %s/kept && cp -a %s/redo %s/kept", dir, dir, dir);
	redo_close(redo);
	redo = NULL;
	run("rm -rf %s/redo && mv %s/kept %s/redo", dir, dir, dir);
}

static void power_cut(void)
{
	killed();
	run("rm -rf %s/files %s/batches && cp -a %s/disk/files %s/disk/batches %s", dir, dir, dir,
	    dir, dir);
	kernel_change();
	MUST(redo_open(dir, &redo, &err));
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	dir = scratch_dir_new();
	run("mkdir %s/files %s/batches %s/disk", dir, dir, dir);
	sys.fdatasync = model_fdatasync;
	sys.syncfs = model_syncfs;
	sys.fsync = no_sync;
	syncs_fail = settles_fail = false;
	(void)model_syncfs(0);
	MUST(redo_open(dir, &redo, &err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	redo_close(redo);
	redo = NULL;
	scratch_dir_remove(dir);
	return 0;
}

#define WITH_LOG(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* ---- files, as their owners write them ---- */

static void file_write(const char *name, const char *mode, uint64_t at, struct slice bytes)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	pthread_mutex_lock(&machine);
	FILE *f = fopen(path, mode);
	assert_non_null(f);
	assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
	assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
	fclose(f);
	pthread_mutex_unlock(&machine);
}

static void put(const char *name, const char *text)
{
	file_write(name, "w", 0, slice_of(text));
	MUST(redo_put(redo, name, slice_of(text), &err));
}

static void write_at(const char *name, uint64_t at, const char *text)
{
	file_write(name, "r+", at, slice_of(text));
	MUST(redo_write(redo, name, at, slice_of(text), &err));
}

/* What the name may have held before is not to be written over what it holds now. */
static void begin(const char *name, const char *text)
{
	MUST(redo_leave(redo, name, &err));
	file_write(name, "w", 0, slice_of(text));
	MUST(redo_write(redo, name, 0, slice_of(text), &err));
}

static void gone(const char *name)
{
	char path[PATH_MAX];

	redo_gone(redo, name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	pthread_mutex_lock(&machine);
	assert_int_equal(unlink(path), 0);
	pthread_mutex_unlock(&machine);
}

static void sync_all(void)
{
	MUST(redo_sync(redo, redo_last(redo), &err));
}

/* "" and false: there is no such file. */
static bool content(const char *name, char to[static 4096])
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "r");
	to[0] = '\0';
	if (f == NULL)
		return false;
	to[fread(to, 1, 4095, f)] = '\0';
	fclose(f);
	return true;
}

static void assert_content(const char *name, const char *text)
{
	char is[4096];

	assert_true(content(name, is));
	assert_string_equal(is, text);
}

static void assert_no_file(const char *name)
{
	char is[4096];

	assert_false(content(name, is));
}

/* ---- tests ---- */

static void what_was_synced_is_there_after_a_power_cut(void **state)
{
	(void)state;
	put("files/a.jsonl", "first");
	put("files/a.jsonl", "one");
	put("batches/b.journal", "head");
	write_at("batches/b.journal", 4, " one");
	write_at("batches/b.journal", 8, " two");
	put("files/c.index", "gone soon");
	gone("files/c.index");
	sync_all();
	put("files/late.jsonl", "not synced");
	write_at("batches/b.journal", 12, " three");
	power_cut();
	assert_content("files/a.jsonl", "one");
	assert_content("batches/b.journal", "head one two");
	assert_no_file("files/c.index");
	assert_no_file("files/late.jsonl");
	power_cut(); /* it is in the log still */
	assert_content("batches/b.journal", "head one two");
	write_at("batches/b.journal", 12, " three");
	sync_all();
	power_cut();
	assert_content("batches/b.journal", "head one two three");
}

/* The kernel still has what was written: nothing is written over it. */
static void a_kill_changes_no_file(void **state)
{
	(void)state;
	put("files/a.jsonl", "one");
	sync_all();
	killed();
	file_write("files/a.jsonl", "w", 0, SLICE("changed by somebody"));
	MUST(redo_open(dir, &redo, &err));
	assert_content("files/a.jsonl", "changed by somebody");
	put("files/a.jsonl", "two");
	sync_all();
	power_cut();
	assert_content("files/a.jsonl", "two");
}

/* Behind its last whole entry a log may be cut anywhere. */
static void a_torn_end_is_no_entry(void **state)
{
	char path[PATH_MAX];
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/redo/0", dir);
	put("files/a.jsonl", "one");
	sync_all();
	assert_int_equal(stat(path, &st), 0);
	off_t whole = st.st_size;
	put("files/b.jsonl", "two");
	sync_all();
	assert_int_equal(stat(path, &st), 0);
	killed();
	run("cp %s/redo/0 %s/whole", dir, dir);
	for (off_t size = whole; size <= st.st_size; size++) {
		run("rm -rf %s/files/* && cp %s/whole %s/redo/0 && : > %s/redo/1", dir, dir, dir,
		    dir);
		assert_int_equal(truncate(path, size), 0);
		kernel_change();
		MUST(redo_open(dir, &redo, &err));
		assert_content("files/a.jsonl", "one");
		if (size == st.st_size)
			assert_content("files/b.jsonl", "two");
		else
			assert_no_file("files/b.jsonl");
		killed();
	}
	MUST(redo_open(dir, &redo, &err));
}

/* Nobody is told that it is durable; and what is written again later counts, not what was there first. */
static void a_sync_that_fails_is_told_and_made_up_for(void **state)
{
	(void)state;
	put("files/a.jsonl", "one");
	put("files/b.jsonl", "a longer one than the other");
	syncs_fail = true;
	assert_false(redo_sync(redo, redo_last(redo), &err));
	put("files/a.jsonl", "two");
	assert_false(redo_sync(redo, redo_last(redo), &err));
	syncs_fail = false;
	sync_all();
	power_cut();
	assert_content("files/a.jsonl", "two");
	assert_content("files/b.jsonl", "a longer one than the other");
}

static void a_disk_that_refuses_has_no_log_that_grows_for_ever(void **state)
{
	char *much = calloc(1, REDO_MOST);
	unsigned taken = 0;

	(void)state;
	assert_non_null(much);
	syncs_fail = true;
	while (taken < 1000 &&
	       redo_put(redo, "files/a.jsonl", (struct slice){ much, REDO_MOST }, &err))
		taken++;
	assert_in_range(taken, 4, 40);
	assert_int_equal(err.sys, EIO);
	syncs_fail = false;
	put("files/a.jsonl", "one");
	sync_all();
	power_cut();
	assert_content("files/a.jsonl", "one");
	free(much);
}

/* After redo_settle() a file may be written without the log: no entry is written over it. */
static void what_is_settled_is_in_the_log_no_more(void **state)
{
	(void)state;
	put("files/a.jsonl", "one");
	sync_all();
	put("files/b.jsonl", "never synced by anybody");
	MUST(redo_settle(redo, &err));
	file_write("files/a.jsonl", "w", 0, SLICE("by itself"));
	(void)model_syncfs(0); /* as fsync() would */
	put("files/c.jsonl", "later");
	sync_all();
	power_cut();
	assert_content("files/a.jsonl", "by itself");
	assert_content("files/b.jsonl", "never synced by anybody");
	assert_content("files/c.jsonl", "later");
}

static void log_flip(off_t at)
{
	char path[PATH_MAX];
	char c;

	snprintf(path, sizeof(path), "%s/redo/0", dir);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c = (char)(c ^ 1);
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

/* The disk refuses when the header is to say that all is done with: what comes then is in the log. */
static void a_settle_that_fails_leaves_a_log(void **state)
{
	(void)state;
	put("files/a.jsonl", "one");
	sync_all();
	for (unsigned fails_at = 1; fails_at < 4; fails_at++) {
		syncs_fail_from = syncs + fails_at;
		settles_fail = fails_at == 3;
		bool settled = redo_settle(redo, &err);
		settles_fail = false;
		syncs_fail_from = UINT_MAX;
		put("files/b.jsonl", settled ? "settled" : "not settled");
		sync_all();
		power_cut();
		assert_content("files/a.jsonl", "one");
		assert_content("files/b.jsonl", settled ? "settled" : "not settled");
		put("files/a.jsonl", "one");
		sync_all();
	}
}

/* The kernel takes for written what it could not write, and would write it no more. That the log writes it
 * again shows by what another has put in its place meanwhile. */
static void what_a_file_s_own_sync_has_lost_is_written_again(void **state)
{
	(void)state;
	for (int fails = 0; fails < 2; fails++) {
		put("files/a.jsonl", "logged");
		sync_all();
		syncs_fail = fails == 1;
		assert_int_equal(redo_file_sync(redo, -1), fails == 0);
		syncs_fail = false;
		file_write("files/a.jsonl", "r+", 0, SLICE("LOGGED"));
		MUST(redo_settle(redo, &err));
		assert_content("files/a.jsonl", fails == 1 ? "logged" : "LOGGED");
	}
}

/* A log that is empty at a start begins where another began: what stood behind is no entry of its own. */
static void entries_of_a_generation_that_has_ended_stay_none(void **state)
{
	(void)state;
	put("files/a.jsonl", "one");
	put("files/b.jsonl", "two");
	MUST(redo_settle(redo, &err));
	gone("files/b.jsonl");
	MUST(redo_settle(redo, &err));
	for (unsigned i = 0; i < 3; i++) {
		killed();
		MUST(redo_open(dir, &redo, &err));
		put("files/c.jsonl", "one");
		sync_all();
		power_cut();
		assert_content("files/c.jsonl", "one");
		assert_no_file("files/b.jsonl");
		MUST(redo_settle(redo, &err));
	}
}

/* An older program would lose what a later one has logged. */
static void a_log_of_another_version_is_refused(void **state)
{
	(void)state;
	put("files/a.jsonl", "one");
	sync_all();
	killed();
	log_flip(offsetof(struct redo_header, version) + 1);
	assert_false(redo_open(dir, &redo, &err));
	assert_int_equal(err.sys, ENOTSUP);
	log_flip(offsetof(struct redo_header, version) + 1);
	MUST(redo_open(dir, &redo, &err));
}

/* Damage costs the entry that it hit. */
static void entries_behind_a_damaged_one_are_found(void **state)
{
	size_t entry = sizeof(struct redo_head) + strlen("files/a.jsonl") + 3;

	(void)state;
	put("files/a.jsonl", "one");
	put("files/b.jsonl", "two");
	put("files/c.jsonl", "six");
	sync_all();
	put("files/d.jsonl", "ten");
	sync_all();
	killed();
	log_flip((off_t)(sizeof(struct redo_header) + entry + 20)); /* in the second one's head */
	run("rm -f %s/files/*", dir);
	kernel_change();
	MUST(redo_open(dir, &redo, &err));
	assert_content("files/a.jsonl", "one");
	assert_no_file("files/b.jsonl");
	assert_content("files/c.jsonl", "six");
	assert_content("files/d.jsonl", "ten");
}

/* Who writes to a file without the log has it leave; who has nothing there pays nothing. */
static void a_file_that_has_left_is_written_by_nobody_else(void **state)
{
	(void)state;
	put("files/a.jsonl", "one");
	gone("files/a.jsonl");
	put("files/b.jsonl", "two");
	sync_all();
	unsigned before = settles;
	MUST(redo_leave(redo, "files/other.jsonl", &err));
	assert_int_equal(settles, before);
	MUST(redo_leave(redo, "files/a.jsonl", &err));
	assert_true(settles > before);
	file_write("files/a.jsonl", "w", 0, SLICE("by itself"));
	file_write("files/b.jsonl", "w", 0, SLICE("longer than it was"));
	(void)model_syncfs(0);
	before = settles;
	MUST(redo_leave(redo, "files/b.jsonl", &err));
	assert_int_equal(settles, before);
	put("files/c.jsonl", "later");
	sync_all();
	power_cut();
	assert_content("files/a.jsonl", "by itself");
	assert_content("files/b.jsonl", "longer than it was");
	MUST(redo_leave(redo, "files/b.jsonl", &err));
	before = settles;
	MUST(redo_leave(redo, "files/c.jsonl", &err)); /* it is known after a start */
	assert_true(settles > before);
}

/* More than both files of the log hold, with and without a file system that can be synced. */
static void a_generation_ends_when_its_files_are_durable(void **state)
{
	char *much = malloc(REDO_MOST), name[64];
	const unsigned n = 450; /* 112 MiB */

	(void)state;
	assert_non_null(much);
	memset(much, 'x', REDO_MOST);
	for (unsigned i = 0; i < n; i++) {
		settles_fail = i > n / 3;
		snprintf(name, sizeof(name), "files/%u.jsonl", i % 50);
		much[0] = (char)('a' + i % 26);
		struct slice bytes = { much, 1 + i * 37 % REDO_MOST };
		if (bytes.n < REDO_MOST / 2)
			bytes.n = REDO_MOST;
		file_write(name, "w", 0, bytes);
		MUST(redo_put(redo, name, bytes, &err));
		sync_all();
	}
	settles_fail = false;
	assert_true(settles > 1);
	power_cut();
	for (unsigned i = n - 50; i < n; i++) {
		char is[4096];
		snprintf(name, sizeof(name), "files/%u.jsonl", i % 50);
		assert_true(content(name, is));
		assert_int_equal(is[0], 'a' + i % 26);
		assert_int_equal(is[1], 'x');
	}
	free(much);
}

/* A file was removed, and its name is not in the log yet: what comes behind its beginning makes no file
 * with a hole. */
static void bytes_behind_the_end_of_a_file_make_no_hole(void **state)
{
	(void)state;
	put("batches/b.journal", "head");
	MUST(redo_settle(redo, &err));
	write_at("batches/b.journal", 4, " one");
	sync_all();
	gone("batches/b.journal");
	(void)model_syncfs(0);
	power_cut();
	assert_no_file("batches/b.journal");
}

/* ---- together ---- */

static int slow_fdatasync(int fd)
{
	usleep(5000);
	return model_fdatasync(fd);
}

static void *putter(void *arg)
{
	struct error mine;
	char name[64];

	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "files/%s-%u.jsonl", (char *)arg, i);
		file_write(name, "w", 0, SLICE("text"));
		if (!redo_put(redo, name, SLICE("text"), &mine) ||
		    !redo_sync(redo, redo_last(redo), &mine))
			return arg;
	}
	return NULL;
}

static void one_sync_does_for_all_who_wait(void **state)
{
	static char names[][2] = { "a", "b", "c", "d", "e", "f", "g", "h" };
	pthread_t threads[ARRAY_LEN(names)];
	void *failed;

	(void)state;
	sys.fdatasync = slow_fdatasync;
	unsigned before = syncs;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, putter, names[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_true(syncs - before < 80); /* one by one: 160 */
	power_cut();
	assert_content("files/h-19.jsonl", "text");
	assert_content("files/a-0.jsonl", "text");
}

/* ---- at random ---- */

#define NAMES 6
#define STATES 64

/* What a file may hold after a power cut: as it was at the last sync, or at any time since. */
static struct {
	char of[STATES][256];
	bool there[STATES];
	unsigned n;
} may[NAMES];

static const char *const names[NAMES] = {
	"files/a.jsonl",     "files/b.index",     "files/c.jsonl",
	"batches/d.journal", "batches/e.journal", "files/f.jsonl"
};

static void states_note(bool synced)
{
	char is[4096];

	for (unsigned i = 0; i < NAMES; i++) {
		if (synced || may[i].n == STATES)
			may[i].n = 0;
		may[i].there[may[i].n] = content(names[i], is);
		assert_true(slice_copy(slice_of(is), may[i].of[may[i].n++], 256));
	}
}

static void assert_states(void)
{
	char is[4096];

	for (unsigned i = 0; i < NAMES; i++) {
		bool there = content(names[i], is), found = false;
		for (unsigned s = 0; s < may[i].n; s++)
			found |= may[i].there[s] == there && strcmp(may[i].of[s], is) == 0;
		if (!found)
			fail_msg("%s holds '%s'", names[i], is);
	}
}

static void random_change(unsigned *seed)
{
	const char *name = names[(unsigned)rand_r(seed) % NAMES];
	char is[4096], text[64];
	bool there = content(name, is);

	snprintf(text, sizeof(text), "%.*s%u", rand_r(seed) % 20, "....................",
		 (unsigned)rand_r(seed) % 100);
	if (there && rand_r(seed) % 4 == 0)
		gone(name);
	else if (strncmp(name, "files/", 6) == 0)
		put(name, text);
	else if (there && strlen(is) < 200)
		write_at(name, strlen(is), text);
	else if (!there)
		begin(name, text);
}

static void random_changes_survive_power_cuts(void **state)
{
	(void)state;
	for (unsigned seed = 1, round = 0; round < 12; round++) {
		states_note(true);
		for (unsigned i = 0; i < 40; i++) {
			random_change(&seed);
			states_note(false);
			if (rand_r(&seed) % 5 == 0) {
				sync_all();
				states_note(true);
			}
			if (rand_r(&seed) % 15 == 0) {
				MUST(redo_settle(redo, &err));
				states_note(true);
			}
			if (rand_r(&seed) % 20 == 0)
				(void)model_syncfs(0); /* the kernel writes when it likes */
		}
		if (rand_r(&seed) % 3 == 0) {
			killed();
			MUST(redo_open(dir, &redo, &err));
			MUST(redo_settle(redo, &err)); /* as every start does */
		} else {
			power_cut();
		}
		assert_states();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LOG(what_was_synced_is_there_after_a_power_cut),
		WITH_LOG(a_kill_changes_no_file),
		WITH_LOG(a_torn_end_is_no_entry),
		WITH_LOG(a_sync_that_fails_is_told_and_made_up_for),
		WITH_LOG(a_disk_that_refuses_has_no_log_that_grows_for_ever),
		WITH_LOG(what_is_settled_is_in_the_log_no_more),
		WITH_LOG(a_settle_that_fails_leaves_a_log),
		WITH_LOG(what_a_file_s_own_sync_has_lost_is_written_again),
		WITH_LOG(entries_of_a_generation_that_has_ended_stay_none),
		WITH_LOG(a_log_of_another_version_is_refused),
		WITH_LOG(entries_behind_a_damaged_one_are_found),
		WITH_LOG(a_file_that_has_left_is_written_by_nobody_else),
		WITH_LOG(a_generation_ends_when_its_files_are_durable),
		WITH_LOG(bytes_behind_the_end_of_a_file_make_no_hole),
		WITH_LOG(one_sync_does_for_all_who_wait),
		WITH_LOG(random_changes_survive_power_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* machine.h: a machine whose power fails. What is written is in the kernel's memory, which is a scratch
 * directory; what is synced is on the disk. When the power comes back the files are what was on the disk,
 * and of what was not, some sectors, sizes and names, whichever chance takes. After a sync that failed the
 * kernel believes some sectors to be on the disk which are not, and no later sync writes them.
 *
 * Names: a removal or a rename counts as any change of its directory. For one test program: it includes
 * this file, and is single-threaded but for the threads of what it tests. */
#pragma once

#include <fcntl.h>
#include <pthread.h>

#include "base/attr.h"
#include "redo/redo_format.h"
#include "unit.h"

#define SECTOR 512u
#define INODES_MOST 4096u
#define NAMES_MOST 4096u

struct inode {
	ino_t ino;
	char *synced;
	size_t synced_n;
	bool *lost; /* sectors that are clean, and not on the disk */
	bool dirty; /* it may be other than it was synced */
	bool unheard; /* a sync of the file system failed at it: one of the file tells that once, too */
	size_t sectors;
};

struct name {
	char path[80];
	ino_t synced; /* 0: the disk has no such name */
	ino_t now;
};

static const char *const machine_dirs[] = { "files", "batches", "redo", "tmp" };

static struct {
	struct sys real;
	pthread_mutex_t lock;
	char *dir;
	unsigned seed, disk_seed;
	_Atomic bool is_out; /* of power, or the process is dead: nothing is done any more */
	int calls_left;      /* then the power fails; < 0: it does not */
	bool unheard;        /* a sync of one file failed: the file system tells it once, too */
	unsigned faults;     /* one call in so many fails; 0: none */
	struct inode inodes[INODES_MOST];
	unsigned inode_n;
	struct name names[NAMES_MOST];
	unsigned name_n;
} machine = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Of the test's thread. */
static unsigned chance(unsigned n)
{
	return (unsigned)rand_r(&machine.seed) % n;
}

/* Under the lock. */
static unsigned disk_chance(unsigned n)
{
	return (unsigned)rand_r(&machine.disk_seed) % n;
}

/* ---- what is on the disk ---- */

static struct inode *inode_of(ino_t ino)
{
	for (unsigned i = 0; i < machine.inode_n; i++)
		if (machine.inodes[i].ino == ino)
			return &machine.inodes[i];
	assert_true(machine.inode_n < INODES_MOST);
	struct inode *inode = &machine.inodes[machine.inode_n++];
	*inode = (struct inode){ .ino = ino };
	return inode;
}

static void sectors_widen(struct inode *inode, size_t bytes)
{
	size_t sectors = bytes / SECTOR + 1;

	if (sectors <= inode->sectors)
		return;
	inode->lost = realloc(inode->lost, sectors * sizeof(bool));
	assert_non_null(inode->lost);
	memset(inode->lost + inode->sectors, 0, (sectors - inode->sectors) * sizeof(bool));
	inode->sectors = sectors;
}

/* The caller's to free. */
static char *bytes_read(int fd, size_t *ret_n)
{
	char path[64];
	struct stat st = { 0 };

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int own = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(own >= 0 && fstat(own, &st) == 0);
	char *bytes = calloc(1, (size_t)st.st_size + SECTOR);
	assert_non_null(bytes);
	ssize_t n = pread(own, bytes, (size_t)st.st_size, 0); /* less: it is emptied meanwhile */
	close(own);
	*ret_n = n < 0 ? 0 : (size_t)n;
	return bytes;
}

/* A sync of one file; one that `fails` leaves sectors clean that are not on the disk. */
static void file_sync(int fd, ino_t ino, bool fails)
{
	struct inode *inode = inode_of(ino);
	size_t n;

	if (!inode->dirty && inode->synced != NULL)
		return;
	char *now = bytes_read(fd, &n);
	char *after = calloc(1, n + SECTOR);

	assert_non_null(after);
	sectors_widen(inode, n);
	memcpy(after, inode->synced != NULL ? inode->synced : "",
	       inode->synced_n < n ? inode->synced_n : n);
	for (size_t at = 0; at < n; at += SECTOR) {
		size_t size = n - at < SECTOR ? n - at : SECTOR;
		bool dirty = memcmp(now + at, after + at, size) != 0;
		if (fails && dirty && disk_chance(2) == 0)
			inode->lost[at / SECTOR] = true;
		if (!fails && !inode->lost[at / SECTOR])
			memcpy(after + at, now + at, size);
	}
	free(now);
	if (fails) {
		free(after);
		inode->unheard = true;
		return;
	}
	free(inode->synced);
	inode->synced = after;
	inode->synced_n = n;
	inode->dirty = false;
}

static struct name *name_of(const char *path)
{
	for (unsigned i = 0; i < machine.name_n; i++)
		if (strcmp(machine.names[i].path, path) == 0)
			return &machine.names[i];
	assert_true(machine.name_n < NAMES_MOST);
	struct name *name = &machine.names[machine.name_n++];
	*name = (struct name){ 0 };
	snprintf(name->path, sizeof(name->path), "%s", path);
	return name;
}

/* What names there are now. */
static void names_look(void)
{
	char path[PATH_MAX], below[80];

	for (unsigned i = 0; i < machine.name_n; i++)
		machine.names[i].now = 0;
	for (unsigned i = 0; i < ARRAY_LEN(machine_dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", machine.dir, machine_dirs[i]);
		DIR *d = opendir(path);
		for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
			if (e->d_name[0] == '.')
				continue;
			snprintf(below, sizeof(below), "%s/%.60s", machine_dirs[i], e->d_name);
			name_of(below)->now = e->d_ino;
		}
		if (d != NULL)
			closedir(d);
	}
}

static void names_sync(const char *dir)
{
	size_t n = strlen(dir);

	names_look();
	for (unsigned i = 0; i < machine.name_n; i++)
		if (strncmp(machine.names[i].path, dir, n) == 0)
			machine.names[i].synced = machine.names[i].now;
}

/* All that is in one of the directories. */
static void everything_sync(bool fails)
{
	char path[PATH_MAX];

	names_sync("");
	for (unsigned i = 0; i < machine.name_n; i++) {
		const struct name *name = &machine.names[i];
		if (name->now == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", machine.dir, name->path);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue; /* it is removed meanwhile */
		file_sync(fd, name->now, fails);
		close(fd);
	}
}

/* ---- the calls ---- */

/* Under the lock. */
static bool call_fails(void)
{
	if (machine.calls_left > 0 && --machine.calls_left == 0)
		machine.is_out = true;
	errno = EIO;
	return machine.is_out || (machine.faults > 0 && disk_chance(machine.faults) == 0);
}

static ssize_t machine_pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct stat st;

	pthread_mutex_lock(&machine.lock);
	bool fails = call_fails();
	size_t some = fails ? n / 2 : n;
	if (!machine.is_out && some > 0 && fstat(fd, &st) == 0) {
		struct inode *inode = inode_of(st.st_ino);
		inode->dirty = true;
		sectors_widen(inode, (size_t)at + n);
		assert_int_equal(machine.real.pwrite(fd, p, some, at), some);
		for (size_t s = (size_t)at / SECTOR; s <= ((size_t)at + some - 1) / SECTOR; s++)
			inode->lost[s] = false;
	}
	errno = disk_chance(2) == 0 ? ENOSPC : EIO;
	pthread_mutex_unlock(&machine.lock);
	return fails ? -1 : (ssize_t)n;
}

static int machine_ftruncate(int fd, off_t size)
{
	struct stat st;

	pthread_mutex_lock(&machine.lock);
	bool fails = call_fails();
	if (fstat(fd, &st) == 0)
		inode_of(st.st_ino)->dirty = true;
	int rc = fails ? -1 : machine.real.ftruncate(fd, size);
	pthread_mutex_unlock(&machine.lock);
	return rc;
}

static int machine_rename(const char *from, const char *to)
{
	pthread_mutex_lock(&machine.lock);
	bool fails = call_fails();
	int rc = fails ? -1 : machine.real.rename(from, to);
	pthread_mutex_unlock(&machine.lock);
	return rc;
}

static int machine_fsync(int fd)
{
	char link[64], path[PATH_MAX];
	struct stat st;

	pthread_mutex_lock(&machine.lock);
	bool fails = call_fails();
	assert_int_equal(fstat(fd, &st), 0);
	if (!machine.is_out && !S_ISDIR(st.st_mode)) {
		bool unheard = inode_of(st.st_ino)->unheard;
		file_sync(fd, st.st_ino, fails);
		inode_of(st.st_ino)->unheard = false;
		machine.unheard |= fails;
		fails |= unheard;
	}
	if (!fails && S_ISDIR(st.st_mode)) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, path, sizeof(path) - 1);
		assert_true(n > 0);
		path[n] = '\0';
		if (strrchr(path, '/') > path + strlen(machine.dir) - 1)
			names_sync(strrchr(path, '/') + 1);
	}
	errno = EIO;
	pthread_mutex_unlock(&machine.lock);
	return fails ? -1 : 0;
}

static int machine_syncfs(int fd)
{
	(void)fd;
	pthread_mutex_lock(&machine.lock);
	bool fails = call_fails(), unheard = machine.unheard;
	machine.unheard = false;
	if (!machine.is_out)
		everything_sync(fails);
	errno = EIO;
	pthread_mutex_unlock(&machine.lock);
	return fails || unheard ? -1 : 0;
}

/* ---- on and off ---- */

static void machine_on(unsigned faults, int calls_left)
{
	machine.real = sys;
	machine.is_out = machine.unheard = false;
	machine.faults = faults;
	machine.calls_left = calls_left;
	sys.pwrite = machine_pwrite;
	sys.ftruncate = machine_ftruncate;
	sys.rename = machine_rename;
	sys.fsync = sys.fdatasync = machine_fsync;
	sys.syncfs = machine_syncfs;
}

/* The process dies now: what it does from here on is not done. */
static void machine_kill(void)
{
	pthread_mutex_lock(&machine.lock);
	machine.is_out = true;
	pthread_mutex_unlock(&machine.lock);
}

/* No thread uses the calls any more. */
static void machine_off(void)
{
	sys = machine.real;
}

static void inodes_forget(void)
{
	for (unsigned i = 0; i < machine.inode_n; i++) {
		free(machine.inodes[i].synced);
		free(machine.inodes[i].lost);
	}
	machine.inode_n = 0;
}

struct saved {
	char path[80];
	char *bytes;
	size_t n;
};

/* What the name has when the power is back. */
static void name_restore(const struct name *name, struct saved *ret)
{
	ino_t ino = disk_chance(2) == 0 ? name->now : name->synced;
	struct inode *inode = inode_of(ino);
	char path[PATH_MAX], *now = NULL;
	size_t now_n = 0;

	*ret = (struct saved){ .n = 0 };
	if (ino == 0)
		return;
	snprintf(path, sizeof(path), "%s/%s", machine.dir, name->path);
	int fd = ino == name->now ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		now = bytes_read(fd, &now_n);
		close(fd);
	} else {
		now = calloc(1, inode->synced_n + SECTOR);
		assert_non_null(now);
		memcpy(now, inode->synced != NULL ? inode->synced : "", inode->synced_n);
		now_n = inode->synced_n;
	}
	snprintf(ret->path, sizeof(ret->path), "%s", name->path);
	ret->n = disk_chance(2) == 0 ? now_n : inode->synced_n;
	ret->bytes = calloc(1, (now_n > ret->n ? now_n : ret->n) + SECTOR);
	assert_non_null(ret->bytes);
	sectors_widen(inode, now_n > ret->n ? now_n : ret->n);
	for (size_t at = 0; at < ret->n; at += SECTOR) {
		bool take_now = disk_chance(2) == 0 && !inode->lost[at / SECTOR] && at < now_n;
		const char *from = take_now ? now : inode->synced;
		size_t from_n = take_now ? now_n : inode->synced_n;
		size_t end = at + SECTOR < from_n ? at + SECTOR : from_n;
		if (from != NULL && at < end)
			memcpy(ret->bytes + at, from + at, end - at);
	}
	free(now);
}

static void file_make(const struct saved *file)
{
	char path[PATH_MAX];

	if (file->bytes == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%s", machine.dir, file->path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, file->bytes, file->n), file->n);
	close(fd);
}

/* The log is one that another kernel wrote. */
static void kernel_change(void)
{
	for (unsigned i = 0; i < 2; i++) {
		char path[PATH_MAX];
		struct redo_header h;
		snprintf(path, sizeof(path), "%s/redo/%u", machine.dir, i);
		int fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (pread(fd, &h, sizeof(h), 0) == sizeof(h) &&
		    redo_header_look(&h) == REDO_HEADER_OURS) {
			h = redo_header_make(h.generation, h.kernel + 1, h.done);
			assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
		}
		close(fd);
	}
}

/* The power is back. The machine is off, and what was on the disk is there. */
static void machine_restart(void)
{
	static struct saved files[NAMES_MOST];
	char path[PATH_MAX];

	names_look();
	for (unsigned i = 0; i < machine.name_n; i++)
		name_restore(&machine.names[i], &files[i]);
	for (unsigned i = 0; i < machine.name_n; i++) {
		snprintf(path, sizeof(path), "%s/%s", machine.dir, machine.names[i].path);
		(void)unlink(path);
	}
	for (unsigned i = 0; i < machine.name_n; i++) {
		file_make(&files[i]);
		free(files[i].bytes);
	}
	kernel_change();
	inodes_forget();
	machine.name_n = 0;
	everything_sync(false);
}

static void machine_begin(unsigned seed)
{
	char path[PATH_MAX];

	setenv("TMPDIR", "/dev/shm", 0); /* where a number of a file is not given twice */
	machine.dir = scratch_dir_new();
	machine.seed = seed;
	machine.disk_seed = seed + 1000;
	machine.name_n = 0;
	for (unsigned i = 0; i < ARRAY_LEN(machine_dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", machine.dir, machine_dirs[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
}

static void machine_end(void)
{
	inodes_forget();
	scratch_dir_remove(machine.dir);
}

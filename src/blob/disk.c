/* disk.c: blobs in a directory of this machine.
 *
 * A blob becomes visible by a rename of synced bytes, so that no crash leaves a half under a real
 * name. The comment "crash:" says at each step what a kill or a power cut right after it leaves
 * behind, and what puts it right: "tmp" is the clearing of DATA/tmp in blobs_open(), "sweep" is
 * blobs_sweep(), both at the next start. The sweep removes what the database says was deleted; what
 * it does not know goes to DATA/lost. */
#include "blob/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/log.h"
#include "base/sys.h"
#include "blob/lost.h"

/* ---- the directories ---- */

static void close_dir(DIR **dir)
{
	if (*dir != NULL)
		closedir(*dir);
}

/* Steps to the next name but "." and "..". True and *ret NULL at the end. */
static bool dir_next(DIR *dir, const char *path, const struct dirent **ret, struct error *err)
{
	do {
		errno = 0;
		*ret = readdir(dir);
	} while (*ret != NULL &&
		 (strcmp((*ret)->d_name, ".") == 0 || strcmp((*ret)->d_name, "..") == 0));
	if (*ret == NULL && errno != 0)
		return fail_sys(err, errno, "reading %s", path);
	return true;
}

/* What is in tmp belongs to uploads that a crash cut off: no client was told that they succeeded.
 * Stopping half-way is harmless, the next start goes on. */
static bool clear_tmp(const char *path, struct error *err)
{
	AUTO(close_dir) DIR *dir = opendir(path);
	const struct dirent *entry;

	if (dir == NULL)
		return fail_sys(err, errno, "opening %s", path);
	for (;;) {
		if (!dir_next(dir, path, &entry, err))
			return false;
		if (entry == NULL)
			return true;
		/* A directory is not of our making: it stays. */
		if (unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT &&
		    errno != EISDIR)
			return fail_sys(err, errno, "removing %s/%s", path, entry->d_name);
	}
}

static void disk_close(struct blobs *blobs)
{
	struct disk *disk = (struct disk *)blobs;

	pthread_cond_destroy(&disk->synced);
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

/* crash: either name, durably (the directories are not synced): the owner takes it again. */
static bool disk_take(struct blobs *blobs, const char *path, const char *id, enum blob_kind kind,
		      struct error *err)
{
	const struct disk *disk = (struct disk *)blobs;
	char name[PATH_MAX];

	if (!disk_path(disk, id, kind, name, err) ||
	    !redo_leave(disk->redo, disk_logged_name(disk, name), err))
		return false;
	if (sys.rename(path, name) == 0) {
		disk_named((struct disk *)blobs);
		return true;
	}
	return errno == ENOENT ? blob_not_found(id, err)
			       : fail_sys(err, errno, "renaming %s to %s", path, name);
}

/* ---- removing ---- */

static bool disk_remove(struct blobs *blobs, const char *id, struct error *err)
{
	static const enum blob_kind order[] = { BLOB_INDEX, BLOB_DATA };
	struct disk *disk = (struct disk *)blobs;
	char path[PATH_MAX];

	if (!blob_id_is_plain(id))
		return true; /* there is none of that name */
	/* crash: data without its index, or (the directory is not synced) either of them back
	 * again. The row went before the blob, so both are without a row: sweep. */
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (!disk_path(disk, id, order[i], path, err))
			return false;
		if (unlink(path) == 0) {
			disk_named(disk);
			redo_gone(disk->redo, disk_logged_name(disk, path));
		} else if (errno != ENOENT) {
			return fail_sys(err, errno, "removing %s", path);
		}
	}
	return true;
}

/* ---- sweep ---- */

static bool disk_lose(struct blobs *blobs, const char *id, int64_t at, struct error *err)
{
	const struct disk *disk = (struct disk *)blobs;
	char path[PATH_MAX];

	if (!disk_path(disk, id, BLOB_DATA, path, err))
		return false;
	if (access(path, F_OK) != 0)
		return errno == ENOENT || fail_sys(err, errno, "looking for %s", path);
	/* Not redo_gone(): where the renaming is undone by a power cut it would be removed. */
	return redo_leave(disk->redo, disk_logged_name(disk, path), err) &&
	       lost_take(disk->data_dir, at, "files", strrchr(path, '/') + 1, err);
}

struct disk_sweep {
	const struct disk *disk;
	DIR *dir;
	int64_t at;
	uint64_t removed, lost;
};

static bool is_empty_data(const struct disk_sweep *s, const char *name)
{
	struct stat st;

	return disk_name_is_data(name) &&
	       fstatat(dirfd(s->dir), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == 0;
}

static bool sweep_one(struct disk_sweep *s, const char *name, enum blob_standing standing,
		      struct error *err)
{
	/* crash: some are left, or back: the next start sweeps again. */
	if (standing == BLOB_DELETED || is_empty_data(s, name)) {
		if (unlinkat(dirfd(s->dir), name, 0) != 0 && errno != ENOENT)
			return fail_sys(err, errno, "removing %s/%s", s->disk->files, name);
		s->removed++;
		return true;
	}
	s->lost++;
	return lost_take(s->disk->data_dir, s->at, "files", name, err);
}

static bool disk_sweep(struct blobs *blobs, blob_standing_fn standing, void *ctx, int64_t at,
		       struct error *err)
{
	const struct disk *disk = (struct disk *)blobs;
	AUTO(close_dir) DIR *dir = opendir(disk->files);
	struct disk_sweep s = { .disk = disk, .dir = dir, .at = at };
	const struct dirent *entry;
	char id[ID_SIZE];

	if (dir == NULL)
		return fail_sys(err, errno, "opening %s", disk->files);
	for (;;) {
		if (!dir_next(dir, disk->files, &entry, err))
			return false;
		if (entry == NULL)
			break;
		if (!disk_id_of_name(entry->d_name, id)) {
			/* Not ours to move. */
			log_warn("blob.unknown_name", kv_str("name", entry->d_name));
			continue;
		}
		enum blob_standing is = standing(ctx, id);
		if (is != BLOB_KNOWN && !sweep_one(&s, entry->d_name, is, err))
			return false;
	}
	if (s.removed > 0)
		log_info("blob.swept", kv_u64("files", s.removed));
	if (s.lost > 0)
		log_warn("blob.lost", kv_u64("files", s.lost), kv_str("moved_to", "lost/"));
	return true;
}

/* ---- opening ---- */

static const struct blobs_ops disk_ops = {
	.open = disk_open,
	.create = disk_create,
	.put = disk_put,
	.append = disk_append,
	.take = disk_take,
	.remove = disk_remove,
	.lose = disk_lose,
	.sweep = disk_sweep,
	.sync = disk_sync,
	.close = disk_close,
};

bool blobs_open(const char *data_dir, struct redo *redo, struct blobs **ret, struct error *err)
{
	AUTO(auto_free) struct disk *disk = calloc(1, sizeof(*disk));

	if (disk == NULL)
		return fail_memory(err);
	if (strlen(data_dir) + sizeof("/files") > DISK_DIR_SIZE)
		return fail_sys(err, ENAMETOOLONG, "opening %.100s...", data_dir);
	disk->blobs.ops = &disk_ops;
	snprintf(disk->data_dir, DISK_DIR_SIZE, "%s", data_dir);
	snprintf(disk->files, DISK_DIR_SIZE, "%s/files", data_dir);
	snprintf(disk->tmp, DISK_DIR_SIZE, "%s/tmp", data_dir);
	/* crash: one or both may be missing or empty; the next start makes them. */
	if (!sys_make_dir(disk->files) || !sys_make_dir(disk->tmp))
		return fail_sys(err, errno, "creating files/ and tmp/ in %s", data_dir);
	if (!clear_tmp(disk->tmp, err))
		return false;
	disk->redo = redo;
	disk->blobs.shares_syncs = redo != NULL;
	disk->names = 1; /* those of the process before */
	pthread_mutex_init(&disk->lock, NULL);
	pthread_cond_init(&disk->synced, NULL);
	*ret = &disk->blobs;
	(void)TAKE(disk);
	return true;
}

/* disk_sync.c: what makes names and small blobs durable, once for all who wait. */
#include <errno.h>

#include "base/sys.h"
#include "blob/disk.h"

void disk_named(struct disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	disk->names++;
	pthread_mutex_unlock(&disk->lock);
}

void disk_logged(struct disk *disk)
{
	uint64_t last = redo_last(disk->redo);

	pthread_mutex_lock(&disk->lock);
	disk->logged = last > disk->logged ? last : disk->logged;
	pthread_mutex_unlock(&disk->lock);
}

/* Under the lock, which it gives back meanwhile. */
static bool names_sync_once(struct disk *disk, struct error *err)
{
	uint64_t names = disk->names;

	disk->syncing = true;
	pthread_mutex_unlock(&disk->lock);
	bool ok = sys_sync_dir(disk->files) || fail_sys(err, errno, "syncing %s", disk->files);
	pthread_mutex_lock(&disk->lock);
	if (ok)
		disk->names_synced = names;
	disk->syncing = false;
	pthread_cond_broadcast(&disk->synced);
	return ok;
}

/* One sync of the directory does for all who wait for it. */
bool disk_sync(struct blobs *blobs, struct error *err)
{
	struct disk *disk = (struct disk *)blobs;
	bool ok = true;

	pthread_mutex_lock(&disk->lock);
	uint64_t names = disk->names, logged = disk->logged;
	while (ok && disk->names_synced < names)
		if (disk->syncing)
			pthread_cond_wait(&disk->synced, &disk->lock);
		else
			ok = names_sync_once(disk, err);
	pthread_mutex_unlock(&disk->lock);
	return ok && (logged == 0 || redo_sync(disk->redo, logged, err));
}

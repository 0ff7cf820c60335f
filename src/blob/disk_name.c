/* disk_name.c: the names of the directory's files: an id and what it holds, or one of chance in
 * tmp. */
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/sys.h"
#include "blob/disk.h"

static const char *const suffixes[] = { [BLOB_DATA] = ".jsonl", [BLOB_INDEX] = ".index" };

bool disk_path(const struct disk *disk, const char *id, enum blob_kind kind,
	       char ret[static PATH_MAX], struct error *err)
{
	if (!blob_id_is_plain(id))
		return blob_not_found(id, err);
	snprintf(ret, PATH_MAX, "%s/%s%s", disk->files, id, suffixes[kind]);
	return true;
}

const char *disk_logged_name(const struct disk *disk, const char *path)
{
	return path + strlen(disk->data_dir) + 1;
}

void disk_temporary_path(const struct disk *disk, char ret[static PATH_MAX])
{
	unsigned char bytes[16];
	char name[2 * sizeof(bytes) + 1];

	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(name + 2 * i, 3, "%02x", bytes[i]);
	snprintf(ret, PATH_MAX, "%s/%s", disk->tmp, name);
}

/* True only of names that have more than the suffix. */
static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), suffix_n = strlen(suffix);

	return n > suffix_n && strcmp(name + n - suffix_n, suffix) == 0;
}

bool disk_name_is_data(const char *name)
{
	return has_suffix(name, suffixes[BLOB_DATA]);
}

bool disk_id_of_name(const char *name, char ret[static ID_SIZE])
{
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		if (!has_suffix(name, suffixes[i]))
			continue;
		struct slice id = { name, strlen(name) - strlen(suffixes[i]) };
		return slice_copy(id, ret, ID_SIZE) && blob_id_is_plain(ret);
	}
	return false;
}

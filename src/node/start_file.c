#include "node/start_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"

#define TEXT "lowtide node\nid %016" PRIx64 "\n"
#define ID_AT 16 /* in it */
#define TEXT_SIZE 64

static bool path_make(const char *data_dir, const char *name, char to[static PATH_MAX],
		      struct error *err)
{
	int n = snprintf(to, PATH_MAX, "%s/%s", data_dir, name);

	return (n > 0 && n < PATH_MAX) || fail_sys(err, ENAMETOOLONG, "%s/%s", data_dir, name);
}

/* Only a text that is written the same again. */
static bool text_read(const char *text, uint64_t *ret)
{
	char again[TEXT_SIZE];

	*ret = strlen(text) > ID_AT ? strtoull(text + ID_AT, NULL, 16) : 0;
	snprintf(again, sizeof(again), TEXT, *ret);
	return strcmp(text, again) == 0 && *ret <= INT64_MAX;
}

bool start_file_read(const char *data_dir, uint64_t *ret, struct error *err)
{
	char path[PATH_MAX], text[TEXT_SIZE];
	AUTO(auto_close) int fd = -1;

	*ret = 0;
	if (!path_make(data_dir, "node", path, err))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || fail_sys(err, errno, "opening %s", path);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return fail_sys(err, errno, "reading %s", path);
	text[n] = '\0';
	if (!text_read(text, ret)) {
		*ret = 0;
		log_warn("node.file_damaged", kv_str("path", path),
			 kv_str("why", "what the start before had is free once its lease is over"));
	}
	return true;
}

static bool text_write(const char *path, uint64_t id, struct error *err)
{
	char text[TEXT_SIZE];
	AUTO(auto_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int n = snprintf(text, sizeof(text), TEXT, id);

	if (fd < 0 || !sys_write_all(fd, text, (size_t)n) || sys.fsync(fd) != 0)
		return fail_sys(err, errno, "writing %s", path);
	return true;
}

/* crash: the file as it was, or the new one, perhaps with a node.new beside it, which the next start
 * writes anew. The start that is not named is found dead by its lease. */
bool start_file_write(const char *data_dir, uint64_t id, struct error *err)
{
	char path[PATH_MAX], temporary[PATH_MAX];

	if (!path_make(data_dir, "node", path, err) ||
	    !path_make(data_dir, "node.new", temporary, err) || !text_write(temporary, id, err))
		return false;
	if (sys.rename(temporary, path) != 0 || !sys_sync_dir(data_dir))
		return fail_sys(err, errno, "renaming %s", temporary);
	return true;
}

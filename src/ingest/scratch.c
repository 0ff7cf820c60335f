/* scratch.c: files that may come to nothing. */
#include "ingest/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/sys.h"

/* A file without a name: nothing to remove, whatever happens to us. Of the directories for such
 * files /var/tmp is on a disk, where /tmp may be memory. */
static bool unnamed_open(int *ret_fd, struct error *err)
{
	const char *dirs[] = { getenv("TMPDIR"), "/var/tmp", "/tmp" };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		if (dirs[i] == NULL)
			continue;
		*ret_fd = open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (*ret_fd >= 0)
			return true;
	}
	return fail_sys(err, errno, "creating a temporary file in /tmp");
}

bool scratch_open(struct blobs *blobs, struct scratch *ret, struct error *err)
{
	struct scratch s = SCRATCH_NONE;

	if (blobs != NULL) {
		if (!blob_create(blobs, &s.writer, err))
			return false;
		s.fd = blob_writer_fd(s.writer);
	} else if (!unnamed_open(&s.fd, err)) {
		return false;
	}
	*ret = s;
	return true;
}

bool scratch_append(struct scratch *s, struct slice bytes, struct error *err)
{
	if (s->writer != NULL)
		return blob_write(s->writer, bytes, err);
	if (!sys_write_all(s->fd, bytes.p, bytes.n))
		return fail_sys(err, errno, "writing a temporary file");
	return true;
}

bool scratch_overwrite(struct scratch *s, uint64_t at, struct slice bytes, struct error *err)
{
	if (!sys_pwrite_all(s->fd, bytes.p, bytes.n, (off_t)at))
		return fail_sys(err, errno, "changing a temporary file");
	return true;
}

bool scratch_read(const struct scratch *s, uint64_t at, void *to, size_t n, struct error *err)
{
	if (!sys_pread_all(s->fd, to, n, (off_t)at))
		return fail_sys(err, errno, "reading a temporary file");
	return true;
}

void scratch_close(struct scratch *s)
{
	if (s->writer != NULL)
		blob_abort(s->writer);
	else if (s->fd >= 0)
		close(s->fd);
	*s = SCRATCH_NONE;
}

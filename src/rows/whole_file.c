/* whole_file.c */
#include "rows/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/part.h"
#include "base/sys.h"

#define HELD_BYTES (1u << 20)
#define HELD_BYTES_MAX (2u << 30) /* of one row with its answer */

bool whole_file_is_stream(const char *path)
{
	struct stat st;

	return strcmp(path, "-") == 0 ||
	       (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

static bool place_check(const char *path, bool force, struct error *err)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return true;
	if (S_ISDIR(st.st_mode))
		return fail(err, ERR_INVALID, "-o: %s is a directory; name the file in it", path);
	return force || fail(err, ERR_INVALID,
			     "%s is there already: take another name with -o, or overwrite it with "
			     "--force",
			     path);
}

/* Nothing can stand where the user wants it. */
static bool fail_place(const char *path, int saved_errno, struct error *err)
{
	return fail(err, ERR_INVALID, "%s: %s", path, strerrordesc_np(saved_errno));
}

static bool file_open(struct whole_file *o, const char *path, bool force, struct error *err)
{
	if (!place_check(path, force, err))
		return false;
	o->path = strdup(path);
	if (o->path == NULL || asprintf(&o->temporary, "%s.new", path) < 0) {
		o->temporary = NULL;
		return fail_memory(err);
	}
	if (!part_open(o->temporary, &o->fd, err)) {
		if (err->sys != 0)
			fail_place(o->temporary, err->sys, err);
		return false;
	}
	/* By a call that ended meanwhile. */
	if (!place_check(path, force, err))
		return false;
	/* Of a call that was killed. */
	return sys.ftruncate(o->fd, 0) == 0 || fail_sys(err, errno, "emptying %s", o->temporary);
}

static bool stream_open(struct whole_file *o, const char *path, struct error *err)
{
	o->path = strdup(path);
	if (o->path == NULL)
		return fail_memory(err);
	o->fd = strcmp(path, "-") == 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
				       : open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return o->fd >= 0 || fail_place(path, errno, err);
}

bool whole_file_open(struct whole_file *o, const char *path, bool force, struct error *err)
{
	*o = (struct whole_file){ .fd = -1, .held = BUF(HELD_BYTES_MAX) };
	if (path[0] == '\0')
		return fail(err, ERR_INVALID, "-o: the name is empty");
	if (whole_file_is_stream(path) ? stream_open(o, path, err) : file_open(o, path, force, err))
		return true;
	whole_file_close(o);
	return false;
}

static bool held_write(struct whole_file *o, struct error *err)
{
	const char *name = o->temporary != NULL ? o->temporary : o->path;

	if (o->held.failed)
		return fail_memory(err);
	if (o->held.n > 0 && !sys_write_all(o->fd, o->held.p, o->held.n))
		return fail_sys(err, errno, "writing %s", name);
	buf_clear(&o->held);
	return true;
}

bool whole_file_flush(struct whole_file *o, struct error *err)
{
	return (o->held.n < HELD_BYTES && !o->held.failed) || held_write(o, err);
}

bool whole_file_write(struct whole_file *o, struct slice bytes, struct error *err)
{
	buf_add(&o->held, bytes);
	return whole_file_flush(o, err);
}

/* A crash before the rename leaves OUT.new, which the next call for OUT empties and writes anew. */
bool whole_file_commit(struct whole_file *o, struct error *err)
{
	return held_write(o, err) &&
	       (o->temporary == NULL || part_finish(o->fd, o->temporary, o->path, err));
}

void whole_file_close(struct whole_file *o)
{
	if (o->fd >= 0 && o->temporary != NULL)
		part_drop(o->fd, o->temporary);
	if (o->fd >= 0)
		close(o->fd);
	free(o->temporary);
	free(o->path);
	buf_free(&o->held);
	*o = (struct whole_file){ .fd = -1 };
}

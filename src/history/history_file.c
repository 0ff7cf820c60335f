/* history_file.c: see history_file.h. */
#include "history/history_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/sys.h"

#define MAGIC UINT64_C(0x000054534948544c) /* "LTHIST"; on a big-endian machine another */
#define VERSION 1

struct file_head {
	uint64_t magic;
	uint32_t version, orgs;
	uint64_t ticks, replaced;
	int64_t at;
	uint8_t hour_known[HOUR_STEPS], day_known[DAY_STEPS];
};
_Static_assert(sizeof(struct file_head) == 688, "the head has no gaps");
_Static_assert(sizeof(struct org_rings) == 10432, "an organization has no gaps");

_Static_assert(sizeof(struct file_head) + (1 + RINGS_ORGS) * sizeof(struct org_rings) <
		       HISTORY_FILE_MAX,
	       "it fits");

/* ---- bytes ---- */

void history_encode(const struct rings *r, int64_t at, struct buf *to)
{
	struct file_head head = { .magic = MAGIC,
				  .version = VERSION,
				  .orgs = r->count,
				  .ticks = r->ticks,
				  .replaced = r->replaced,
				  .at = at };

	memcpy(head.hour_known, r->hour_known, sizeof(head.hour_known));
	memcpy(head.day_known, r->day_known, sizeof(head.day_known));
	buf_append(to, &head, sizeof(head));
	for (unsigned i = 0; i < r->count; i++)
		buf_append(to, r->orgs[i], sizeof(*r->orgs[i]));
	uint64_t check = to->failed ? 0 : XXH3_64bits(to->p, to->n);
	buf_append(to, &check, sizeof(check));
}

static bool fail_damaged(struct error *err, const char *what)
{
	return fail_sys(err, EBADMSG, "history: %s", what);
}

/* Whether the file is what history_encode() made. */
static bool file_check(struct slice file, struct file_head *head, struct error *err)
{
	uint64_t check;

	if (file.n < sizeof(*head) + sizeof(check))
		return fail_damaged(err, "it is cut off");
	memcpy(head, file.p, sizeof(*head));
	memcpy(&check, file.p + file.n - sizeof(check), sizeof(check));
	if (head->magic != MAGIC || head->version != VERSION)
		return fail_damaged(err, "it is of another version of the program");
	if (head->orgs < 1 || head->orgs > 1 + RINGS_ORGS ||
	    file.n != sizeof(*head) + head->orgs * sizeof(struct org_rings) + sizeof(check))
		return fail_damaged(err, "its size is not what its head says");
	if (XXH3_64bits(file.p, file.n - sizeof(check)) != check)
		return fail_damaged(err, "its bytes are not those that were written");
	return true;
}

bool history_decode(struct slice file, struct rings *r, int64_t *ret_at, struct error *err)
{
	struct file_head head;

	if (!file_check(file, &head, err))
		return false;
	for (unsigned i = 0; i < head.orgs; i++) {
		if (i == r->count) {
			r->orgs[i] = malloc(sizeof(*r->orgs[i]));
			if (r->orgs[i] == NULL)
				return fail_memory(err);
			r->count++;
		}
		memcpy(r->orgs[i], file.p + sizeof(head) + i * sizeof(*r->orgs[i]),
		       sizeof(*r->orgs[i]));
		r->orgs[i]->org[sizeof(r->orgs[i]->org) - 1] = '\0';
		r->hashes[i] = id_hash(r->orgs[i]->org);
	}
	r->ticks = head.ticks;
	r->replaced = head.replaced;
	memcpy(r->hour_known, head.hour_known, sizeof(head.hour_known));
	memcpy(r->day_known, head.day_known, sizeof(head.day_known));
	*ret_at = head.at;
	return true;
}

/* ---- the file ---- */

static bool path_make(const char *dir, const char *name, char ret[static PATH_MAX],
		      struct error *err)
{
	return snprintf(ret, PATH_MAX, "%s/%s", dir, name) < PATH_MAX ||
	       fail_sys(err, ENAMETOOLONG, "%.100s.../%s", dir, name);
}

static bool bytes_write(const char *path, struct slice file, struct error *err)
{
	AUTO(auto_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0 && sys_write_all(fd, file.p, file.n) && sys.fsync(fd) == 0)
		return true;
	(void)fail_sys(err, errno, "writing %s", path);
	(void)unlink(path); /* a full disk has other uses for its room */
	return false;
}

/* A crash leaves the file of a minute ago, and perhaps half a history.new beside it, which the next
 * call writes over; a failure leaves the file of a minute ago. */
bool history_save(const char *data_dir, struct slice file, struct error *err)
{
	char path[PATH_MAX], temporary[PATH_MAX];

	if (!path_make(data_dir, "history", path, err) ||
	    !path_make(data_dir, "history.new", temporary, err) ||
	    !bytes_write(temporary, file, err))
		return false;
	(void)failpoint("history.before_rename");
	if (sys.rename(temporary, path) != 0 || !sys_sync_dir(data_dir))
		return fail_sys(err, errno, "renaming %s", temporary);
	return true;
}

bool history_load(const char *data_dir, struct rings *r, int64_t *ret_at, bool *ret_found,
		  struct error *err)
{
	AUTO(buf_free) struct buf file = BUF(HISTORY_FILE_MAX);
	char path[PATH_MAX];
	struct stat st;

	*ret_found = false;
	if (!path_make(data_dir, "history", path, err))
		return false;
	AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || fail_sys(err, errno, "opening %s", path);
	if (fstat(fd, &st) != 0)
		return fail_sys(err, errno, "looking at %s", path);
	if (st.st_size > HISTORY_FILE_MAX)
		return fail_damaged(err, "it is longer than any");
	if (!buf_reserve(&file, (size_t)st.st_size))
		return fail_memory(err);
	if (!sys_pread_all(fd, file.p, (size_t)st.st_size, 0))
		return fail_sys(err, errno, "reading %s", path);
	file.n = (size_t)st.st_size;
	*ret_found = true;
	return history_decode(buf_slice(&file), r, ret_at, err);
}

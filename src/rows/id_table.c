/* id_table.c: open addressing, linear probing; slots in the order of the hash, so that a table
 * of twice the size is filled from the old one from front to back. */
#include "rows/id_table.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/attr.h"
#include "base/sys.h"

#define SLOT_BYTES sizeof(struct id_entry)
#define PROBE_SLOTS 16u /* read at once */
#define BITS_LEAST 10u
#define BITS_MOST 40u
#define GROW_SLOTS 4096u

struct id_table {
	char directory[PATH_MAX];
	int fd;
	unsigned bits; /* 2^bits slots; what is pushed out of the last stands behind */
	uint64_t count;
	uint64_t seed;

	uint64_t slot; /* of the entry found or added last */
	struct id_entry probe[PROBE_SLOTS];
};

static bool file_make(const char *directory, int *ret_fd, struct error *err)
{
	char path[PATH_MAX];

	*ret_fd = open(directory, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (*ret_fd >= 0)
		return true;
	/* A file system without O_TMPFILE. */
	if (snprintf(path, sizeof(path), "%s/lowtide-XXXXXX", directory) >= PATH_MAX)
		return fail_sys(err, ENAMETOOLONG, "%s", directory);
	*ret_fd = mkostemp(path, O_CLOEXEC);
	if (*ret_fd < 0)
		return fail_sys(err, errno, "making a file in %s", directory);
	(void)unlink(path);
	return true;
}

static uint64_t slots_of(unsigned bits)
{
	return UINT64_C(1) << bits;
}

bool id_table_open(const char *directory, uint64_t expected, struct id_table **ret,
		   struct error *err)
{
	struct id_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return fail_memory(err);
	t->fd = -1;
	t->bits = BITS_LEAST;
	while (t->bits < BITS_MOST && slots_of(t->bits) / 3 * 2 < expected)
		t->bits++;
	if (!slice_copy(slice_of(directory), t->directory, sizeof(t->directory)))
		fail_sys(err, ENAMETOOLONG, "%.100s", directory);
	else if (getrandom(&t->seed, sizeof(t->seed), 0) != (ssize_t)sizeof(t->seed))
		fail_sys(err, errno, "reading random bytes");
	else if (file_make(directory, &t->fd, err)) {
		*ret = t;
		return true;
	}
	id_table_close(t);
	return false;
}

void id_table_close(struct id_table *t)
{
	if (t == NULL)
		return;
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

/* ---- slots ---- */

static void hash_of(const struct id_table *t, struct slice id, uint64_t ret[static 2])
{
	XXH128_hash_t h = XXH3_128bits_withSeed(id.p, id.n, t->seed);

	ret[0] = h.high64;
	ret[1] = h.low64 | 1; /* an empty slot has 0 */
}

static bool is_empty(const struct id_entry *e)
{
	return e->hash[1] == 0;
}

static bool fail_file(const struct id_table *t, const char *doing, struct error *err)
{
	return fail_sys(err, errno, "%s an index of custom_ids in %s", doing, t->directory);
}

/* Reads `n` slots at `slot`; the file is sparse, and its end is empty slots. */
static bool slots_read(const struct id_table *t, int fd, uint64_t slot, struct id_entry *to,
		       size_t n, struct error *err)
{
	char *p = (char *)to;
	size_t left = n * SLOT_BYTES;
	off_t at = (off_t)(slot * SLOT_BYTES);

	while (left > 0) {
		ssize_t got = pread(fd, p, left, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_file(t, "reading", err);
		if (got == 0)
			break;
		p += got;
		left -= (size_t)got;
		at += got;
	}
	memset(p, 0, left);
	return true;
}

/* Where the hash is, or the empty slot where it would be: t->slot. */
static bool slot_find(struct id_table *t, const uint64_t hash[static 2], struct id_entry *ret,
		      struct error *err)
{
	uint64_t at = hash[0] >> (64 - t->bits);

	for (;; at += PROBE_SLOTS) {
		if (!slots_read(t, t->fd, at, t->probe, PROBE_SLOTS, err))
			return false;
		for (unsigned i = 0; i < PROBE_SLOTS; i++) {
			*ret = t->probe[i];
			t->slot = at + i;
			if (is_empty(ret) || memcmp(ret->hash, hash, sizeof(ret->hash)) == 0)
				return true;
		}
	}
}

static bool slot_write(const struct id_table *t, const struct id_entry *e, struct error *err)
{
	return sys_pwrite_all(t->fd, e, SLOT_BYTES, (off_t)(t->slot * SLOT_BYTES)) ||
	       fail_file(t, "writing", err);
}

/* ---- growth ---- */

static bool slots_move(struct id_table *t, int from, uint64_t slots, struct error *err)
{
	AUTO(auto_free) struct id_entry *some = calloc(GROW_SLOTS, SLOT_BYTES);
	struct id_entry there;

	if (some == NULL)
		return fail_memory(err);
	for (uint64_t at = 0; at < slots; at += GROW_SLOTS) {
		if (!slots_read(t, from, at, some, GROW_SLOTS, err))
			return false;
		for (unsigned i = 0; i < GROW_SLOTS; i++)
			if (!is_empty(&some[i]) && (!slot_find(t, some[i].hash, &there, err) ||
						    !slot_write(t, &some[i], err)))
				return false;
	}
	return true;
}

static bool grow(struct id_table *t, struct error *err)
{
	struct stat st;
	AUTO(auto_close) int from = t->fd;

	t->fd = -1;
	if (t->bits == BITS_MOST)
		return fail(err, ERR_INVALID, "there are more rows than can be told apart");
	if (fstat(from, &st) != 0)
		return fail_file(t, "reading", err);
	if (!file_make(t->directory, &t->fd, err))
		return false;
	t->bits++;
	return slots_move(t, from, (uint64_t)st.st_size / SLOT_BYTES, err);
}

/* ---- ids ---- */

bool id_table_find(struct id_table *t, struct slice id, bool *ret_known, struct id_entry *ret,
		   struct error *err)
{
	uint64_t hash[2];

	hash_of(t, id, hash);
	if (!slot_find(t, hash, ret, err))
		return false;
	*ret_known = !is_empty(ret);
	return true;
}

bool id_table_add(struct id_table *t, struct slice id, uint64_t a, uint64_t b, bool *ret_known,
		  struct id_entry *ret, struct error *err)
{
	if (t->count >= slots_of(t->bits) / 4 * 3 && !grow(t, err))
		return false;
	if (!id_table_find(t, id, ret_known, ret, err))
		return false;
	if (*ret_known)
		return true;
	hash_of(t, id, ret->hash);
	ret->a = a;
	ret->b = b;
	t->count++;
	return slot_write(t, ret, err);
}

bool id_table_set(struct id_table *t, uint64_t a, uint64_t b, struct error *err)
{
	struct id_entry e;

	if (!slots_read(t, t->fd, t->slot, &e, 1, err))
		return false;
	e.a = a;
	e.b = b;
	return slot_write(t, &e, err);
}

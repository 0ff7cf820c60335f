/* A file in a journal's place. It is refused and left as it is, or opened: then what is replayed
 * stands in it, opening it again gives the same and cuts nothing, and what is appended is found
 * again. The input is tried as it is, and with a journal's start and checks that hold (every other
 * record's, so that there is damage in the middle). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/sys.h"
#include "fuzz.h"
#include "journal/journal.h"

#define RECORDS_MAX 4096
#define RECORDS_ALL (UINT64_C(1) << 32) /* lines of the batch: any number that a head can hold */

static char dir[] = "/dev/shm/lowtide-fuzz-XXXXXX", path[64];

static int no_sync(int fd)
{
	(void)fd;
	return 0;
}

static void clean_up(void)
{
	unlink(path);
	rmdir(dir);
}

static void start(void)
{
	if (path[0] != '\0')
		return;
	PROMISE(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/b.journal", dir);
	atexit(clean_up);
	sys.fsync = sys.fdatasync = no_sync;
}

struct replayed {
	struct journal_head heads[RECORDS_MAX];
	uint64_t at[RECORDS_MAX];
	size_t n;
};

static void note(void *ctx, const struct journal_head *head, uint64_t at)
{
	struct replayed *r = ctx;

	PROMISE(r->n < RECORDS_MAX);
	PROMISE(at >= JOURNAL_START);
	PROMISE(r->n == 0 || at >= r->at[r->n - 1] + sizeof(*head) + r->heads[r->n - 1].length);
	r->heads[r->n] = *head;
	r->at[r->n++] = at;
}

static bool replay(uint64_t from, struct replayed *r, struct journal **ret, uint64_t *ret_cut)
{
	struct error err;

	r->n = 0;
	struct journal_found found;
	bool ok = journal_open(path, from, RECORDS_ALL, note, r, ret, &found, &err);
	*ret_cut = found.torn_bytes;
	PROMISE(ok || err.sys == EBADMSG || err.sys == ENOTSUP);
	return ok;
}

static void put(const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	PROMISE(fd >= 0 && sys_write_all(fd, p, n));
	close(fd);
}

static void is_left_alone(const uint8_t *data, size_t size)
{
	uint8_t *now = malloc(size + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	PROMISE(now != NULL && fd >= 0);
	PROMISE(read(fd, now, size + 1) == (ssize_t)size && memcmp(now, data, size) == 0);
	close(fd);
	free(now);
}

/* What was replayed is in the file, and its check is that of its bytes. */
static void stands(const struct journal *j, const struct replayed *r)
{
	struct journal_check *check = journal_check_new();

	PROMISE(check != NULL);
	for (size_t i = 0; i < r->n; i++) {
		struct journal_head head;
		struct error err;
		char *line = malloc(r->heads[i].length);
		PROMISE(line != NULL && r->heads[i].length > 0);
		PROMISE(journal_read(j, r->at[i], &head, sizeof(head), &err));
		PROMISE(memcmp(&head, &r->heads[i], sizeof(head)) == 0);
		PROMISE(journal_read(j, r->at[i] + sizeof(head), line, head.length, &err));
		journal_check_start(check, &head);
		journal_check_feed(check, line, head.length);
		PROMISE(journal_check_ok(check, &head));
		free(line);
	}
	journal_check_free(check);
}

/* Opened from its start and from a record in the middle (as a restart does): the same. */
static void again(const struct replayed *first)
{
	static struct replayed r;
	struct journal *j;
	uint64_t cut;

	PROMISE(replay(JOURNAL_START, &r, &j, &cut) && cut == 0 && r.n == first->n);
	PROMISE(memcmp(r.at, first->at, r.n * sizeof(r.at[0])) == 0);
	PROMISE(memcmp(r.heads, first->heads, r.n * sizeof(r.heads[0])) == 0);
	journal_close(j);
	if (first->n == 0)
		return;
	size_t middle = first->n / 2;
	PROMISE(replay(first->at[middle], &r, &j, &cut) && cut == 0 && r.n == first->n - middle);
	journal_close(j);
}

static void append(struct journal *j)
{
	struct outcome *o = outcome_new(NULL, 7, SLICE("c"));
	struct buf record = BUF(4096);
	struct error err;

	PROMISE(o != NULL && journal_encode(o, &record));
	PROMISE(journal_append(j, buf_slice(&record), &err) && journal_sync(j, &err));
	buf_free(&record);
	outcome_free(o);
}

static void try(const uint8_t *data, size_t size)
{
	static struct replayed first, last;
	struct journal *j;
	uint64_t cut;

	put(data, size);
	if (!replay(JOURNAL_START, &first, &j, &cut)) {
		is_left_alone(data, size);
		return;
	}
	PROMISE(cut <= size);
	stands(j, &first);
	journal_close(j);
	again(&first);
	PROMISE(replay(JOURNAL_START, &last, &j, &cut));
	append(j);
	journal_close(j);
	PROMISE(replay(JOURNAL_START, &last, &j, &cut) && cut == 0 && last.n == first.n + 1);
	PROMISE(last.heads[first.n].record == 7);
	journal_close(j);
}

/* As the layout in journal.h says: a start, and records that check, but for each fourth. */
static void mend(uint8_t *data, size_t size)
{
	static const uint32_t version = 2;
	struct journal_head head;
	unsigned n = 0;

	if (size < JOURNAL_START)
		return;
	memset(data, 0, JOURNAL_START);
	memcpy(data, "LTJOURNL", 8);
	memcpy(data + 8, &version, sizeof(version));
	for (size_t at = JOURNAL_START; size - at >= sizeof(head) + 1; n++) {
		size_t most = size - at - sizeof(head);
		memcpy(&head, data + at, sizeof(head));
		head.length = 1 + head.length % (most < 300 ? (uint32_t)most : 300);
		head.kind = 1 + head.kind % 2;
		head.zero = 0;
		memcpy(data + at, &head, sizeof(head));
		data[at + sizeof(head)] = '{'; /* as a result line begins */
		head.check = XXH3_64bits(data + at + sizeof(head.check),
					 sizeof(head) - sizeof(head.check) + head.length);
		if (n % 4 != 3)
			memcpy(data + at, &head.check, sizeof(head.check));
		at += sizeof(head) + head.length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	start();
	try(data, size);
	uint8_t *mended = malloc(size + 1);
	PROMISE(mended != NULL);
	memcpy(mended, data, size);
	mend(mended, size);
	try(mended, size);
	free(mended);
	return 0;
}

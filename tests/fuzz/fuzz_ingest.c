/* A whole file: in chunks through an upload, and at once where it lies; both give the same index,
 * and every verdict on it is JSON with as many entries as it says. */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "fuzz_verdict.h"
#include "ingest/ingest.h"

#define FILE_ID "file-fuzz"

static char dir[] = "/dev/shm/lowtide-fuzz-XXXXXX";
static struct blobs *blobs;

static int no_sync(int fd)
{
	(void)fd;
	return 0;
}

static void clean_up(void)
{
	char path[sizeof(dir) + 8];

	blobs_close(blobs);
	snprintf(path, sizeof(path), "%s/files", dir);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/tmp", dir);
	rmdir(path);
	rmdir(dir);
}

static void start(void)
{
	struct error err;

	if (blobs != NULL)
		return;
	PROMISE(mkdtemp(dir) != NULL && blobs_open(dir, NULL, &blobs, &err));
	atexit(clean_up);
	sys.fsync = no_sync;
}

static struct index *upload(struct slice text, size_t chunk, const struct ingest_limits *limits,
			    struct blob_reader **ret_blob)
{
	struct blob_reader *file;
	struct ingest *in;
	struct index *ix;
	struct error err;

	PROMISE(ingest_open(blobs, limits, &in, &err));
	for (size_t at = 0; at < text.n; at += chunk) {
		size_t n = text.n - at < chunk ? text.n - at : chunk;
		PROMISE(ingest_write(in, (struct slice){ text.p + at, n }, &err));
	}
	PROMISE(ingest_finish(in, &err) && ingest_commit(in, FILE_ID, &err));
	PROMISE(blob_open(blobs, FILE_ID, BLOB_DATA, ret_blob, &err) &&
		blob_bytes(*ret_blob) == text.n);
	PROMISE(blob_open(blobs, FILE_ID, BLOB_INDEX, &file, &err));
	PROMISE(index_open(file, &ix, &err));
	return ix;
}

static struct index *where_it_lies(struct slice text, const struct ingest_limits *limits)
{
	struct blob_reader *file;
	struct index *ix;
	struct error err;
	char sha256[65];
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	PROMISE(fd >= 0 && sys_write_all(fd, text.p, text.n));
	PROMISE(blob_reader_of_file(fd, "fuzz", &file, &err));
	PROMISE(ingest_file(NULL, file, limits, FILE_ID, sha256, &ix, &err));
	blob_reader_close(file);
	return ix;
}

/* What a line has of a prefix its body has room for; and lines share nothing if none has any. */
static void prefixes_fit(const struct index *ix)
{
	const struct index_summary *s = index_summary(ix);
	uint64_t with_prefix = 0;
	struct index_record r;
	struct error err;

	for (uint64_t i = 0; i < s->lines; i++) {
		PROMISE(index_read(ix, i, &r, 1, &err));
		with_prefix += r.prefix.hash[0] != 0;
		for (unsigned level = 0; level < PREFIX_LEVELS && r.prefix.hash[level] != 0;
		     level++)
			PROMISE(r.body_length >= PREFIX_BYTES(level) &&
				(level == 0 || r.prefix.hash[level - 1] != 0));
	}
	PROMISE(!s->prefixes || (with_prefix > 2 && with_prefix >= s->lines / 8));
}

static void same(const struct index *a, const struct index *b)
{
	uint64_t lines = index_summary(a)->lines;
	struct index_record ra, rb;
	struct error err;

	PROMISE(index_summary(b)->lines == lines);
	PROMISE(index_summary(b)->flags_any == index_summary(a)->flags_any);
	PROMISE(index_summary(b)->prefixes == index_summary(a)->prefixes);
	for (uint64_t i = 0; i < lines; i++) {
		PROMISE(index_read(a, i, &ra, 1, &err) && index_read(b, i, &rb, 1, &err));
		ra.custom_id_hash = rb.custom_id_hash = 0; /* keyed per file */
		PROMISE(memcmp(&ra, &rb, sizeof(ra)) == 0);
	}
}

static void judge(const struct index *ix, const struct blob_reader *blob,
		  const struct verdict_rules *rules)
{
	AUTO(buf_free) struct buf errors = BUF(16 << 20);
	struct error err;
	uint64_t count, any;

	PROMISE(verdict_errors(ix, blob, rules, &errors, &count, &err));
	PROMISE(verdict_judge(ix, blob, rules, NULL, NULL, &any, &err) && any == (count > 0));
	is_list_of(&errors, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { (const char *)data, size };
	struct ingest_limits limits = { .line_bytes = size % 3 == 0 ? 200 : 0 };
	struct blob_reader *blob;

	start();
	struct index *ix = upload(text, 1 + size % 61, &limits, &blob);
	struct index *other = where_it_lies(text, &limits);
	same(ix, other);
	prefixes_fit(ix);
	for (unsigned i = 0; i < 16; i++)
		judge(ix, blob,
		      &(struct verdict_rules){
			      .profile = i % 2 == 0 ? PROFILE_KIMI : PROFILE_OPENAI,
			      .endpoint = i % 4 < 2 ? "/v1/chat/completions" : NULL,
			      .refuse_sampling = i % 8 < 4,
			      .lines_max = i % 8 < 4 ? 3 : 0,
			      .line_bytes = 200,
			      .model_served = i % 16 < 8 ? serves_short_names : NULL,
		      });
	index_close(ix);
	index_close(other);
	blob_reader_close(blob);
	struct error err;
	PROMISE(blob_remove(blobs, FILE_ID, &err));
	return 0;
}

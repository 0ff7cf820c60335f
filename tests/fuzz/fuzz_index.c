/* A file in an index's place: refused, or every record of it can be read and judged, whatever
 * stands in it, beside a blob that it does not fit. The input is tried as it is; and with a header
 * that fits: its first byte says how many records there are, the rest is records and summary. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/sys.h"
#include "fuzz_verdict.h"

static int file_of(const void *p, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	PROMISE(fd >= 0 && sys_write_all(fd, p, n));
	return fd;
}

/* Reading a line that the blob does not have fails; nothing else may. */
static void judge(const struct index *ix, const struct blob_reader *blob,
		  const struct verdict_rules *rules)
{
	AUTO(buf_free) struct buf errors = BUF(16 << 20);
	struct error err;
	uint64_t count;

	if (!verdict_errors(ix, blob, rules, &errors, &count, &err)) {
		PROMISE(err.kind == ERR_INTERNAL && err.sys != 0);
		return;
	}
	is_list_of(&errors, count);
}

static void read_all(const struct index *ix)
{
	const struct index_summary *s = index_summary(ix);
	struct index_record records[7];
	struct error err;

	PROMISE(s->url_count <= INDEX_NAMES_MAX && s->model_count <= INDEX_NAMES_MAX);
	for (uint64_t at = 0; at < s->lines;) {
		size_t n = s->lines - at < 7 ? (size_t)(s->lines - at) : 7;
		PROMISE(index_read(ix, at, records, n, &err));
		at += n;
	}
	PROMISE(!index_read(ix, s->lines, records, 1, &err));
	PROMISE(!index_read(ix, UINT64_MAX, records, 1, &err));
}

static void try(const uint8_t *data, size_t size)
{
	struct blob_reader *file, *blob;
	int fd = file_of(data, size);
	struct index *ix;
	struct error err;

	PROMISE(blob_reader_of_file(fd, "fuzz", &file, &err));
	if (!index_open(file, &ix, &err)) {
		PROMISE(err.kind == ERR_INTERNAL && err.sys == EBADMSG);
		PROMISE(fcntl(fd, F_GETFD) == -1); /* it was taken over all the same */
		return;
	}
	read_all(ix);
	PROMISE(blob_reader_of_file(file_of(data, size), "fuzz", &blob, &err));
	for (unsigned i = 0; i < 4; i++)
		judge(ix, blob,
		      &(struct verdict_rules){
			      .profile = i % 2 == 0 ? PROFILE_KIMI : PROFILE_OPENAI,
			      .endpoint = i < 2 ? "/v1/chat/completions" : NULL,
			      .refuse_sampling = true,
			      .model_served = i % 2 == 0 ? serves_short_names : NULL,
		      });
	blob_reader_close(blob);
	index_close(ix);
}

/* As drawn in ingest/index_format.h. */
struct header {
	uint64_t magic;
	uint32_t version, record_bytes;
	uint64_t records, footer_at, footer_bytes, check, spare[2];
};

static void mended(const uint8_t *data, size_t size)
{
	uint32_t version = 1 + data[0] % 2, record_bytes = version == 1 ? 48 : 72;
	size_t rest = size - 1, records = data[0] / 2 % 16, most = rest / record_bytes;
	struct header h = { .magic = UINT64_C(0x005845444e49544c), .version = version };

	h.record_bytes = record_bytes;
	h.records = records < most ? records : most;
	h.footer_at = sizeof(h) + h.records * record_bytes;
	h.footer_bytes = rest - h.records * record_bytes;
	uint8_t *file = malloc(sizeof(h) + rest);
	PROMISE(file != NULL);
	memcpy(file + sizeof(h), data + 1, rest);
	h.check = XXH3_64bits_withSeed(file + h.footer_at, h.footer_bytes,
				       XXH3_64bits(&h, sizeof(h)));
	memcpy(file, &h, sizeof(h));
	try(file, sizeof(h) + rest);
	free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try(data, size);
	if (size > 0)
		mended(data, size);
	return 0;
}

/* index.c: the line index of a file, read. */
#include "ingest/index.h"

#include <stdlib.h>
#include <string.h>

#include "ingest/index_format.h"

struct index {
	struct blob_reader *file; /* NULL: let go */
	uint32_t record_bytes;
	struct index_summary summary;
};

/* Of a record, by the version; 0: unknown. */
static uint32_t version_record_bytes(uint32_t version)
{
	return version == INDEX_VERSION ? sizeof(struct index_record)
	       : version == 1           ? INDEX_RECORD_BYTES_V1
					: 0;
}

static bool header_read(const struct blob_reader *file, struct index_header *h, struct error *err)
{
	uint64_t size = blob_bytes(file);

	if (size < sizeof(*h))
		return index_corrupt(err, "cut off in its header");
	if (!blob_read_at(file, 0, h, sizeof(*h), err))
		return false;
	if (h->magic != INDEX_MAGIC)
		return index_corrupt(err, "not an index of this kind of machine");
	uint32_t record_bytes = version_record_bytes(h->version);
	if (record_bytes == 0 || h->record_bytes != record_bytes)
		return index_corrupt(err, "of another version of the program");
	/* no sum or product here can wrap: each part is first held against the file's size */
	if (h->records > size / record_bytes ||
	    h->footer_at != sizeof(*h) + h->records * record_bytes ||
	    h->footer_bytes > INDEX_FOOTER_MAX || h->footer_at + h->footer_bytes != size)
		return index_corrupt(err, "its size is not what its header says");
	return true;
}

static bool footer_read(const struct blob_reader *file, const struct index_header *h,
			struct index_summary *ret, struct error *err)
{
	AUTO(buf_free) struct buf footer = BUF(INDEX_FOOTER_MAX);

	if (!buf_reserve(&footer, h->footer_bytes))
		return fail_memory(err);
	if (!blob_read_at(file, h->footer_at, footer.p, h->footer_bytes, err))
		return false;
	footer.n = h->footer_bytes;
	if (h->check != index_header_check(*h, buf_slice(&footer)))
		return index_corrupt(err, "its summary is damaged");
	return index_summary_parse(buf_slice(&footer), ret, err) &&
	       (ret->lines == h->records || index_summary_corrupt(err));
}

bool index_open(struct blob_reader *file, struct index **ret, struct error *err)
{
	struct index *ix = calloc(1, sizeof(*ix));
	struct index_header h = { 0 };

	if (ix == NULL) {
		blob_reader_close(file);
		return fail_memory(err);
	}
	ix->file = file;
	if (!header_read(file, &h, err) || !footer_read(file, &h, &ix->summary, err)) {
		index_close(ix);
		return false;
	}
	ix->record_bytes = h.record_bytes;
	*ret = ix;
	return true;
}

void index_close(struct index *ix)
{
	if (ix == NULL)
		return;
	index_let_go(ix);
	index_summary_done(&ix->summary);
	free(ix);
}

void index_let_go(struct index *ix)
{
	if (ix == NULL)
		return;
	blob_reader_close(TAKE(ix->file));
}

void index_take(struct index *ix, struct blob_reader *file)
{
	index_let_go(ix);
	ix->file = file;
}

const struct index_summary *index_summary(const struct index *ix)
{
	return &ix->summary;
}

bool index_read(const struct index *ix, uint64_t first, struct index_record *to, size_t n,
		struct error *err)
{
	if (first > ix->summary.lines || n > ix->summary.lines - first)
		return index_corrupt(err, "records were asked for that it does not have");
	size_t bytes = n * ix->record_bytes;
	uint64_t at = index_record_offset(first, ix->record_bytes);
	if (!blob_read_at(ix->file, at, (char *)(to + n) - bytes, bytes, err))
		return false;
	index_records_widen(to, n, ix->record_bytes);
	return true;
}

/* A file in the history's place: refused, or rings that can be read, added to and written again,
 * whatever stands in them. The input is tried as it is; and as what stands in a file whose size and
 * check are right. */
#include <string.h>
#include <xxhash.h>

#include "fuzz.h"
#include "history/history_file.h"

static void use(struct rings *r)
{
	AUTO(buf_free) struct buf file = BUF(HISTORY_FILE_MAX);
	struct rings_rate rates[HOUR_STEPS];
	const struct sums more = { 1, 2, 3, 4 };

	PROMISE(rings_read(r, NULL, RINGS_HOUR, rates) <= 1);
	PROMISE(rings_read(r, "org", RINGS_DAY, rates) <= DAY_TICKS);
	PROMISE(rings_add(r, "org", &more));
	rings_tick(r, 2);
	rings_gap(r, 3);
	PROMISE(rings_read(r, "org", RINGS_DAY, rates) <= DAY_TICKS);
	history_encode(r, 0, &file);
	PROMISE(!file.failed);
}

static void try(struct slice file)
{
	struct rings r;
	struct error err;
	int64_t at;

	PROMISE(rings_init(&r));
	if (history_decode(file, &r, &at, &err))
		use(&r);
	else
		PROMISE(err.kind == ERR_INTERNAL);
	rings_done(&r);
}

/* A file of one organization besides all, with the input in the place of its first bytes, or of its
 * last ones, but for magic, version and count. */
static void try_as_rings(const uint8_t *data, size_t size, bool at_end)
{
	AUTO(buf_free) struct buf file = BUF(HISTORY_FILE_MAX);
	struct rings r;
	uint64_t check;

	PROMISE(rings_init(&r));
	PROMISE(rings_add(&r, "org", &(struct sums){ .lines = 1 }));
	history_encode(&r, 0, &file);
	rings_done(&r);
	size_t room = file.n - 16 - sizeof(check), n = size < room ? size : room;
	memcpy(file.p + (at_end ? file.n - sizeof(check) - n : 16), data, n);
	check = XXH3_64bits(file.p, file.n - sizeof(check));
	memcpy(file.p + file.n - sizeof(check), &check, sizeof(check));
	try(buf_slice(&file));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try((struct slice){ (const char *)data, size });
	try_as_rings(data, size, false);
	try_as_rings(data, size, true);
	return 0;
}

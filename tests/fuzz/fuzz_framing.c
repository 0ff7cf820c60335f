/* Requests: the same verdict, and as many requests with as many bytes of bodies, in whatever pieces
 * the bytes come; and after a good request another one is read as if it came alone. */
#include <string.h>

#include "fuzz.h"
#include "http/framing.h"

struct verdict {
	bool fault, idle;
	uint64_t requests, ends, data_bytes;
};

/* Reads pieces of `n` bytes, each in memory of its own: reading beyond one is seen by ASan. */
static struct verdict read_in_pieces(const char *p, size_t size, size_t n)
{
	struct framing f;
	struct framing_fault fault = { 0, NULL };
	struct verdict v = { 0 };
	framing_init(&f);
	for (size_t at = 0; at < size && fault.why == NULL; at += n) {
		size_t piece_n = size - at < n ? size - at : n;
		char *piece = malloc(piece_n);
		PROMISE(piece != NULL);
		memcpy(piece, p + at, piece_n);
		struct slice rest = { piece, piece_n }, data;
		for (enum framing_event event = FRAMING_HEAD;
		     event != FRAMING_MORE && event != FRAMING_FAULT;) {
			event = framing_next(&f, &rest, &data, &fault);
			v.ends += event == FRAMING_END;
			v.data_bytes += event == FRAMING_DATA ? data.n : 0;
			PROMISE((event == FRAMING_FAULT) == (fault.why != NULL));
			PROMISE(event != FRAMING_MORE || rest.n == 0);
			PROMISE(rest.p + rest.n == piece + piece_n);
		}
		PROMISE(fault.why == NULL || (fault.status >= 400 && fault.status <= 505));
		free(piece);
	}
	v.fault = fault.why != NULL;
	v.idle = framing_is_idle(&f);
	v.requests = f.requests;
	framing_done(&f);
	return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char more[] = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";
	const char *p = (const char *)data;
	struct verdict whole = read_in_pieces(p, size, size > 0 ? size : 1);
	for (size_t n = 1; n < size; n = n * 2 + 1) {
		struct verdict v = read_in_pieces(p, size, n);
		PROMISE(v.fault == whole.fault && v.requests == whole.requests);
		PROMISE(v.fault || v.data_bytes == whole.data_bytes);
		PROMISE(v.ends == whole.ends);
		PROMISE(v.fault || v.idle == whole.idle);
	}
	if (whole.fault || !whole.idle)
		return 0;
	char *longer = malloc(size + sizeof(more) - 1);
	PROMISE(longer != NULL);
	memcpy(longer, data, size);
	memcpy(longer + size, more, sizeof(more) - 1);
	struct verdict v = read_in_pieces(longer, size + sizeof(more) - 1, size + sizeof(more) - 1);
	PROMISE(!v.fault && v.idle && v.requests == whole.requests + 1);
	free(longer);
	return 0;
}

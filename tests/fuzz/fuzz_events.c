/* Server-sent events: the same ones in whatever pieces the bytes come. */
#include <string.h>

#include "fuzz.h"
#include "remote/event_reader.h"

/* A text of all events, read in pieces of `n` bytes, each in memory of its own. */
static void read_in_pieces(const char *p, size_t size, size_t n, struct buf *ret)
{
	struct event_reader e;

	event_reader_init(&e);
	for (size_t at = 0; at < size; at += n) {
		size_t piece_n = size - at < n ? size - at : n;
		char *piece = malloc(piece_n);
		struct slice left = { piece, piece_n };
		bool event;
		PROMISE(piece != NULL);
		memcpy(piece, p + at, piece_n);
		do {
			PROMISE(event_reader_next(&e, &left, &event));
			if (event) {
				buf_printf(ret, "%s|%s|", e.name, e.id);
				buf_add(ret, buf_slice(&e.data));
				buf_char(ret, ';');
			}
		} while (event);
		PROMISE(left.n == 0);
		free(piece);
	}
	event_reader_free(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = BUF(64u << 20);

	read_in_pieces((const char *)data, size, size > 0 ? size : 1, &whole);
	for (size_t n = 1; n < size; n = n * 2 + 1) {
		struct buf pieces = BUF(64u << 20);
		read_in_pieces((const char *)data, size, n, &pieces);
		PROMISE(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
		buf_free(&pieces);
	}
	buf_free(&whole);
	return 0;
}

/* framing.h: where the requests of a connection begin and end, and whether every reader finds the
 * same bounds (RFC 9112). Pure: bytes in, a verdict out; no sockets, no clock.
 *
 *	START --request line--> FIELDS --empty line, no body-------------------------> START
 *	                          +----- Content-Length --> BODY -----------------------^
 *	                          +----- chunked --> CHUNK_SIZE <-> CHUNK_DATA, CHUNK_CR, CHUNK_LF
 *	                                                 +-- 0 --> TRAILERS -------------^
 *
 * Refused are: a request line that is not `METHOD target HTTP/1.x`, a control character or a space
 * in the target, a header that fields.h refuses, no Host or two, a Content-Length that is not plain
 * digits within range, two of them, one beside Transfer-Encoding, another Transfer-Encoding than
 * chunked, a chunk that is not framed by CRLF or whose size is not plain hexadecimal within range,
 * and a head, trailer or chunk extension that is too long. A bare LF ends a line of the head as
 * CRLF does (RFC 9112, 2.2). */
#pragma once

#include <stdint.h>

#include "base/buf.h"

/* The most bytes of a head, each header counting for FRAMING_FIELD_COST bytes more: what
 * libmicrohttpd can hold in a connection's 64 KiB beside its answer. Trailers likewise. */
#define FRAMING_HEAD_MAX (32u << 10)
#define FRAMING_FIELD_COST 80u
#define FRAMING_CHUNK_LINE_MAX 1024u

/* `why` NULL: none. Static text that goes behind "Malformed request: ". */
struct framing_fault {
	int status;
	const char *why;
};

enum framing_state {
	FRAMING_START,
	FRAMING_FIELDS,
	FRAMING_BODY,
	FRAMING_CHUNK_SIZE,
	FRAMING_CHUNK_DATA,
	FRAMING_CHUNK_CR,
	FRAMING_CHUNK_LF,
	FRAMING_TRAILERS,
};

struct framing {
	enum framing_state state;
	bool begun; /* something has come since the last request's end, if only an empty line */
	uint64_t requests; /* whose request line has been read, the present one among them */
	uint64_t left;     /* of the body, or of the chunk */
	struct buf line;   /* beginning of a line whose end has not come */
	size_t head_cost;
	/* of the present head */
	bool http_1_1, chunked;
	unsigned hosts, lengths, encodings;
};

void framing_init(struct framing *f);
void framing_done(struct framing *f);

/* Reads on. Returns how many of the bytes may be taken: all; or, with a fault, those before the
 * request that it is in, none if that began earlier. Not to be called again after a fault. */
size_t framing_read(struct framing *f, struct slice bytes, struct framing_fault *ret_fault);

/* Between two requests: nothing of the next has come. */
static inline bool framing_is_idle(const struct framing *f)
{
	return !f->begun;
}

static inline bool framing_is_in_body(const struct framing *f)
{
	return f->state > FRAMING_FIELDS;
}

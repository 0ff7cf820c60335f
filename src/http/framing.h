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
 * chunked, chunked with HTTP/1.0, a chunk that is not framed by CRLF or whose size is not plain
 * hexadecimal within range, and a head, trailer or chunk extension that is too long. A bare LF ends
 * a line of the head as CRLF does (RFC 9112, 2.2). */
#pragma once

#include <stdint.h>

#include "base/buf.h"

/* The most bytes of a head, each header counting for FRAMING_FIELD_COST bytes more: about what a
 * request's tables take. Trailers likewise. */
#define FRAMING_HEAD_MAX (32u << 10)
#define FRAMING_FIELD_COST 80u
#define FRAMING_CHUNK_LINE_MAX 1024u

/* `why` NULL: none. Static text that goes behind "Malformed request: "; status 500: it is not the
 * request's fault, but memory was out. */
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
	bool ended; /* the request is whole, and FRAMING_END not given yet */
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

enum framing_event {
	FRAMING_MORE,  /* all bytes are read; the request goes on */
	FRAMING_HEAD,  /* the head is whole */
	FRAMING_DATA,  /* bytes of the body */
	FRAMING_END,   /* the request is whole */
	FRAMING_FAULT, /* not to be called again after it */
};

/* Takes bytes off the front of *rest up to the next event. Of FRAMING_DATA *ret_data are the bytes,
 * where they lie; of FRAMING_FAULT *ret_fault is why. */
enum framing_event framing_next(struct framing *f, struct slice *rest, struct slice *ret_data,
				struct framing_fault *ret_fault);

/* Between two requests: nothing of the next has come. */
static inline bool framing_is_idle(const struct framing *f)
{
	return !f->begun;
}

static inline bool framing_is_in_body(const struct framing *f)
{
	return f->state > FRAMING_FIELDS;
}

/* Bytes of a body that will be FRAMING_DATA whatever they are; 0: not known. */
static inline uint64_t framing_data_left(const struct framing *f)
{
	return f->state == FRAMING_BODY || f->state == FRAMING_CHUNK_DATA ? f->left : 0;
}

/* So many of those were read elsewhere. */
void framing_data_taken(struct framing *f, uint64_t n);

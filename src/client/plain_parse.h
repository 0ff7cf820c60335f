/* plain_parse.h: an answer of HTTP/1.1 taken apart, in whatever pieces its bytes come (RFC 9112).
 * Pure but for the buffer of the head.
 *
 *	parse_begin() -> PARSE_MORE... -> PARSE_HEAD -> PARSE_BODY, PARSE_MORE... -> PARSE_END
 *
 * Interim answers (1xx) are passed over. The bytes of a body are handed out where they lie. What an
 * answer's length is follows RFC 9112, 6.3: none for HEAD, 204 and 304; chunked before
 * Content-Length; several Content-Lengths only if they are the same; else until the connection
 * ends. Line ends may be LF alone, as with libcurl. Chunk extensions and trailers are passed
 * over. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

enum parse_state {
	PARSE_IN_HEAD,
	PARSE_IN_LENGTH, /* `left` bytes of the body follow */
	PARSE_IN_REST,   /* all that comes until the end is the body */
	PARSE_IN_SIZE,   /* of a chunk: its digits */
	PARSE_IN_EXTENSION,
	PARSE_IN_CHUNK,     /* `left` bytes of it follow */
	PARSE_IN_CHUNK_END, /* its line end */
	PARSE_IN_TRAILERS,
	PARSE_OVER,
	PARSE_WRONG,
};

struct parse {
	enum parse_state state;
	bool no_body; /* the request's was HEAD */
	bool framed;  /* HTTP/2, which says itself where the body ends; set after parse_begin() */

	/* the head, readable from PARSE_HEAD on */
	struct buf head; /* the answer's lines, the status line first, with their ends */
	int status;
	uint64_t length; /* of the body; UINT64_MAX: the head does not say */
	bool keeps;      /* the connection may be used again after the answer */
	const char *odd; /* what libcurl would not take of the head; NULL: nothing */

	const char *why; /* PARSE_FAULT: a sentence, static */

	/* its own */
	size_t line;   /* where in `head` the line begins */
	size_t passed; /* bytes of interim heads; of the chunk's extension; of the trailers */
	bool chunked, http_1_1, framing; /* the line before was about the length */
	bool closes, stays;              /* Connection says so */
	uint64_t left;
	unsigned digits;
	unsigned line_n; /* bytes of a trailer's line, CR among them; no more than 2 are counted */
	bool cr;         /* the last of them was a CR */
};

enum parse_got {
	PARSE_MORE,  /* all has been taken; the answer goes on */
	PARSE_HEAD,  /* the head is whole */
	PARSE_BODY,  /* a piece of the body: parse_taken() goes on behind it */
	PARSE_END,   /* the answer is whole; what is left of `in` is not part of it */
	PARSE_FAULT, /* it is no answer: `why` */
};

/* Zeroed before the first time; later the head's memory is used again. */
void parse_begin(struct parse *p, bool no_body);
void parse_done(struct parse *p);
/* Takes what it can of `*in`. PARSE_BODY: *ret_piece is the beginning of `*in`. */
MUST_USE enum parse_got parse_next(struct parse *p, struct slice *in, struct slice *ret_piece);
/* A line of a head that comes in lines: of the status, whose name is empty, then of fields, and at last
 * one without either, PARSE_HEAD; or PARSE_FAULT. In neither is a line end. */
MUST_USE enum parse_got parse_line(struct parse *p, struct slice name, struct slice value);
/* So much of the piece was taken. */
void parse_taken(struct parse *p, struct slice *in, size_t n);
/* The connection has ended: PARSE_END or PARSE_FAULT. */
MUST_USE enum parse_got parse_closed(struct parse *p);
/* Whether nothing has come of the answer, not even of an interim one. */
bool parse_untouched(const struct parse *p);
/* The value of the first header of that name; n == 0: there is none, or it is empty. From
 * PARSE_HEAD on. */
struct slice parse_header(const struct parse *p, const char *name);

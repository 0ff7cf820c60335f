/* plain_decode.c: zlib. */
#include "client/plain_decode.h"

#include <stdlib.h>
#include <zlib.h>

#include "http/fields.h"

#define PIECE_BYTES (16u << 10)
#define GZIP (MAX_WBITS + 16)

struct decoding {
	z_stream z;
	bool deflate;     /* zlib's format, or none around it: the first byte says */
	bool begun, over; /* something of it has come · its end has */
	char piece[PIECE_BYTES];
};

static bool refuse(struct body_decoder *d, const char *why)
{
	d->why = why;
	return false;
}

bool decoder_begin(struct body_decoder *d, struct slice coding)
{
	bool deflate = field_is(coding, "deflate");

	decoder_done(d);
	if (coding.n == 0 || field_is(coding, "identity"))
		return true;
	if (!deflate && !field_is(coding, "gzip") && !field_is(coding, "x-gzip"))
		return refuse(d, "its content coding is none of gzip, deflate and identity");
	struct decoding *of = calloc(1, sizeof(*of));
	if (of == NULL || inflateInit2(&of->z, GZIP) != Z_OK) {
		free(of);
		return refuse(d, "there is no memory to decode it");
	}
	of->deflate = deflate;
	d->of = of;
	return true;
}

void decoder_done(struct body_decoder *d)
{
	if (d->of != NULL)
		inflateEnd(&d->of->z);
	free(d->of);
	*d = (struct body_decoder){ 0 };
}

/* "deflate" is zlib's format (RFC 9110, 8.4.1.2), but some servers send what that would hold. */
static bool format_find(struct decoding *of, unsigned char first)
{
	bool zlib = (first & 0x0f) == Z_DEFLATED && first >> 4 <= 7;

	of->begun = true;
	return !of->deflate || inflateReset2(&of->z, zlib ? MAX_WBITS : -MAX_WBITS) == Z_OK;
}

/* gzip may have several members behind each other (RFC 1952, 2.2). */
static bool member_next(struct decoding *of)
{
	of->over = false;
	return !of->deflate && inflateReset(&of->z) == Z_OK;
}

bool decoder_next(struct body_decoder *d, struct slice *in, struct slice *ret_piece)
{
	struct decoding *of = d->of;
	unsigned n = in->n < PIECE_BYTES ? (unsigned)in->n : PIECE_BYTES;

	*ret_piece = (struct slice){ of->piece, 0 };
	if (n > 0 && !of->begun && !format_find(of, (unsigned char)*in->p))
		return refuse(d, "there is no memory to decode it");
	if (n > 0 && of->over && !member_next(of))
		return refuse(d, "more comes behind the end of the coded body");
	of->z.next_in = (Bytef *)in->p;
	of->z.avail_in = n;
	of->z.next_out = (Bytef *)of->piece;
	of->z.avail_out = PIECE_BYTES;
	int got = inflate(&of->z, Z_NO_FLUSH);
	if (got != Z_OK && got != Z_STREAM_END && got != Z_BUF_ERROR)
		return refuse(d, "the coded body is damaged");
	of->over = got == Z_STREAM_END;
	*in = (struct slice){ in->p + (n - of->z.avail_in), in->n - (n - of->z.avail_in) };
	ret_piece->n = PIECE_BYTES - of->z.avail_out;
	return true;
}

bool decoder_is_over(const struct body_decoder *d)
{
	return d->of == NULL || d->of->over || !d->of->begun;
}

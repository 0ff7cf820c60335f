/* plain_answer.c: from bytes to head and body. */
#include <string.h>

#include "client/headers.h"
#include "client/plain_impl.h"

void answer_begin(struct plain_exchange *x)
{
	parse_begin(&x->parse, slice_is(slice_of(x->method), "HEAD"));
	decoder_done(&x->decoder);
	buf_free(&x->held);
	x->decoded.n = 0;
	x->has_head = x->paused = x->all_in = false;
	x->body_bytes = x->consumed = 0;
}

/* ---- the head ---- */

/* False: it has ended by it. */
static bool head_tell(struct plain_exchange *x)
{
	struct header headers[HEAD_HEADERS_MAX];
	struct exchange_head h = { .status = x->parse.status };
	const char *why = head_read(buf_slice(&x->parse.head), headers, &h);

	if (why != NULL) {
		exchange_end(x, EXCHANGE_MALFORMED, "%s", why);
		return false;
	}
	h.length = x->parse.length;
	x->of->ops->head(x->of, &h);
	return true;
}

static bool head_take(struct plain_exchange *x)
{
	struct parse *p = &x->parse;

	x->has_head = true;
	if (x->of->ops->head != NULL && p->framed && p->odd != NULL) {
		exchange_end(x, EXCHANGE_MALFORMED, "%s", p->odd);
		return false;
	}
	if (x->of->ops->head != NULL && !head_tell(x))
		return false;
	if (x->of->ops->head == NULL && p->odd != NULL) {
		exchange_end(x, EXCHANGE_BROKEN, "%s", p->odd);
		return false;
	}
	if (x->decode && p->state != PARSE_OVER &&
	    !decoder_begin(&x->decoder, parse_header(p, "Content-Encoding"))) {
		exchange_end(x, EXCHANGE_CODED, "%s", x->decoder.why);
		return false;
	}
	return true;
}

/* ---- the body ---- */

/* False: it waits, or has ended by it. */
static bool piece_give(struct plain_exchange *x, struct slice piece)
{
	switch (x->of->ops->body(x->of, piece)) {
	case EXCHANGE_TAKEN:
		return true;
	case EXCHANGE_PAUSED:
		x->paused = true;
		return false;
	case EXCHANGE_REFUSED:
		break;
	}
	exchange_end(x, EXCHANGE_TOO_LARGE, "the answer is larger than is taken of it");
	return false;
}

static bool decode(struct plain_exchange *x, struct slice *in)
{
	if (decoder_next(&x->decoder, in, &x->decoded))
		return true;
	exchange_end(x, EXCHANGE_CODED, "%s", x->decoder.why);
	return false;
}

/* Gives what is decoded already; false: see piece_give(). */
static bool decoded_give(struct plain_exchange *x)
{
	struct slice none = SLICE("");

	while (x->decoder.of != NULL) {
		if (x->decoded.n == 0 && !decode(x, &none))
			return false;
		if (x->decoded.n == 0)
			break;
		if (!piece_give(x, x->decoded))
			return false;
		x->decoded.n = 0;
	}
	return true;
}

/* Of a piece at the beginning of `in`, as much as can be. */
static bool body_take(struct plain_exchange *x, struct slice *in, struct slice piece)
{
	struct slice rest = { piece.p + piece.n, 0 };

	if (x->decoder.of != NULL) {
		rest = piece;
		if (!decode(x, &rest))
			return false;
	} else if (!piece_give(x, piece)) {
		return false;
	}
	x->body_bytes += piece.n - rest.n;
	parse_taken(&x->parse, in, piece.n - rest.n);
	return true;
}

static void answer_over(struct plain_exchange *x, bool excess)
{
	if (excess)
		x->parse.keeps = false;
	if (!decoder_is_over(&x->decoder))
		exchange_end(x, EXCHANGE_CODED, "the coded body is cut off");
	else
		exchange_end(x, EXCHANGE_WHOLE, "%s", "");
}

/* False: it has ended, or waits. */
static bool answer_step(struct plain_exchange *x, struct slice *in)
{
	struct slice piece;

	if (!decoded_give(x))
		return false;
	switch (parse_next(&x->parse, in, &piece)) {
	case PARSE_MORE:
		return false;
	case PARSE_HEAD:
		return head_take(x);
	case PARSE_BODY:
		return body_take(x, in, piece);
	case PARSE_END:
		answer_over(x, in->n > 0);
		return false;
	case PARSE_FAULT:
		break;
	}
	exchange_end(x, EXCHANGE_BROKEN, "%s", x->parse.why);
	return false;
}

void answer_hold(struct plain_exchange *x, struct slice in)
{
	x->held.max = STREAM_WINDOW_BYTES; /* one read, which is less, or all of the window */
	buf_add(&x->held, in);
	if (x->held.failed)
		exchange_end(x, EXCHANGE_BROKEN, "there is no memory for the answer");
}

/* Keeps `in`, which is the end of what is kept already, if anything is. */
static void hold(struct plain_exchange *x, struct slice in)
{
	if (x->held.n > 0) {
		memmove(x->held.p, in.p, in.n);
		x->held.n = in.n;
		return;
	}
	answer_hold(x, in);
}

void answer_take(struct plain_exchange *x, struct slice in)
{
	while (answer_step(x, &in))
		;
	if (x->state == PLAIN_SENT && x->paused)
		hold(x, in);
	else if (x->state == PLAIN_SENT)
		buf_free(&x->held);
}

void answer_closed(struct plain_exchange *x)
{
	if (parse_closed(&x->parse) == PARSE_END)
		answer_over(x, false);
	else
		exchange_end(x, EXCHANGE_BROKEN, "%s", x->parse.why);
}

void answer_line(struct plain_exchange *x, struct slice name, struct slice value)
{
	switch (parse_line(&x->parse, name, value)) {
	case PARSE_HEAD:
		(void)head_take(x);
		break;
	case PARSE_FAULT:
		exchange_end(x, EXCHANGE_BROKEN, "%s", x->parse.why);
		break;
	default:
		break;
	}
}

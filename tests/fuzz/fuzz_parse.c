/* Answers of HTTP/1.1: the same head, body and end in whatever pieces the bytes come; what is kept
 * ends where the answer ends; and after an answer another one is read as if it came alone. The
 * first byte says whether the request was HEAD. */
#include <string.h>

#include "client/plain_parse.h"
#include "fuzz.h"

#define NEXT "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

struct outcome {
	enum parse_got end;
	int status;
	uint64_t length;
	bool keeps, head;
	size_t taken; /* bytes that are the answer's */
	struct buf body;
};

static enum parse_got step(struct parse *p, struct slice *in, struct outcome *o)
{
	struct slice piece;
	enum parse_got got = parse_next(p, in, &piece);

	if (got == PARSE_HEAD) {
		PROMISE(!o->head && p->status >= 200 && p->status <= 999);
		o->head = true;
		o->status = p->status;
		o->length = p->length;
		(void)parse_header(p, "Content-Type");
	}
	if (got == PARSE_BODY) {
		PROMISE(o->head && piece.n > 0 && piece.p == in->p && piece.n <= in->n);
		/* an owner may take a part of it */
		size_t n = piece.n > 1 ? piece.n / 2 : piece.n;
		buf_append(&o->body, piece.p, n);
		parse_taken(p, in, n);
	}
	PROMISE(got != PARSE_FAULT || p->why != NULL);
	return got;
}

/* In pieces of `n` bytes, each in memory of its own: reading beyond one is seen by ASan. */
static void read_in_pieces(struct parse *p, struct slice text, bool no_body, size_t n,
			   struct outcome *o)
{
	enum parse_got got = PARSE_MORE;

	*o = (struct outcome){ .body = BUF(1u << 24) };
	parse_begin(p, no_body);
	for (size_t at = 0; at < text.n && got == PARSE_MORE; at += n) {
		size_t piece_n = text.n - at < n ? text.n - at : n;
		char *piece = malloc(piece_n);
		PROMISE(piece != NULL);
		memcpy(piece, text.p + at, piece_n);
		struct slice in = { piece, piece_n };
		do
			got = step(p, &in, o);
		while (got == PARSE_HEAD || got == PARSE_BODY);
		PROMISE(got != PARSE_MORE || in.n == 0);
		o->taken += piece_n - in.n;
		free(piece);
	}
	o->end = got == PARSE_MORE ? parse_closed(p) : got;
	o->keeps = p->keeps;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	return a->end == b->end && a->head == b->head && a->status == b->status &&
	       a->length == b->length && slice_eq(buf_slice(&a->body), buf_slice(&b->body)) &&
	       (a->end != PARSE_END || (a->keeps == b->keeps && a->taken == b->taken));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct slice next = { NEXT, sizeof(NEXT) - 1 };
	struct parse p = { 0 };
	struct outcome whole, o;

	if (size == 0)
		return 0;
	bool no_body = data[0] % 2 != 0;
	struct slice text = { (const char *)data + 1, size - 1 };
	read_in_pieces(&p, text, no_body, text.n > 0 ? text.n : 1, &whole);
	for (size_t n = 1; n < text.n; n = n * 2 + 1) {
		read_in_pieces(&p, text, no_body, n, &o);
		PROMISE(same(&whole, &o));
		buf_free(&o.body);
	}
	PROMISE(!whole.head || whole.length == UINT64_MAX || whole.end != PARSE_END || no_body ||
		whole.status == 204 || whole.status == 304 || whole.body.n == whole.length);
	buf_free(&whole.body);
	read_in_pieces(&p, next, false, next.n, &o);
	PROMISE(o.end == PARSE_END && o.keeps && o.status == 200 && o.length == 2 &&
		slice_is(buf_slice(&o.body), "{}"));
	buf_free(&o.body);
	parse_done(&p);
	return 0;
}

/* A form: its Content-Type in the first line, its body behind it. The same parts whatever the
 * pieces it comes in; once it is bad it stays so; none of its bytes is told twice. */
#include <string.h>

#include "base/buf.h"
#include "fuzz.h"
#include "http/multipart.h"

struct told {
	struct buf text; /* of all parts, each begun by a mark */
	size_t content_bytes, parts;
};

static bool note(void *ctx, const struct multipart_part *part, struct slice piece)
{
	struct told *t = ctx;

	PROMISE(part->name != NULL);
	if (part->first) {
		PROMISE(piece.n == 0);
		t->parts++;
		buf_append(&t->text, part->name, strlen(part->name) + 1);
		buf_text(&t->text, part->filename != NULL ? part->filename : "(none)");
		buf_char(&t->text, '\0');
	}
	PROMISE(t->parts > 0); /* its beginning comes first */
	t->content_bytes += piece.n;
	buf_add(&t->text, piece);
	return true;
}

/* Whether it is a whole form. A copy of each piece, so that ASan sees a read beyond it. */
static bool parse(const char *type, struct slice form, size_t chunk, struct told *ret)
{
	*ret = (struct told){ .text = BUF(1 << 20) };
	struct multipart *m = multipart_open(type, note, ret);
	bool ok = true;

	if (m == NULL)
		return false;
	for (size_t at = 0; at < form.n; at += chunk) {
		size_t n = form.n - at < chunk ? form.n - at : chunk;
		char *piece = malloc(n);
		PROMISE(piece != NULL);
		memcpy(piece, form.p + at, n);
		bool more = multipart_write(m, (struct slice){ piece, n });
		PROMISE(ok || !more);
		ok = more;
		free(piece);
	}
	bool whole = multipart_close(m);
	PROMISE(!whole || ok);
	PROMISE(!ret->text.failed && ret->content_bytes <= form.n);
	return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *lf = size > 0 ? memchr(data, '\n', size) : NULL;
	size_t type_n = lf != NULL ? (size_t)(lf - (const char *)data) : 0;
	struct slice form = { (const char *)data, size };
	char type[1024] = "multipart/form-data; boundary=XX";
	struct told whole, pieces;

	if (lf != NULL && type_n < sizeof(type)) {
		memcpy(type, data, type_n);
		type[type_n] = '\0';
		form = (struct slice){ lf + 1, size - type_n - 1 };
	}
	bool ok = parse(type, form, form.n > 0 ? form.n : 1, &whole);
	for (size_t chunk = 1; chunk < form.n; chunk = chunk * 3 + size % 5) {
		PROMISE(parse(type, form, chunk, &pieces) == ok);
		PROMISE(pieces.parts == whole.parts);
		PROMISE(slice_eq(buf_slice(&pieces.text), buf_slice(&whole.text)));
		buf_free(&pieces.text);
	}
	buf_free(&whole.text);
	return 0;
}

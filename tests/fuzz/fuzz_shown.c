/* What a server answers, on a terminal: whatever it is, nothing in it moves the cursor. The first byte is
 * the terminal's width, the rest an object of the API, or else a text. */
#include <jansson.h>
#include <string.h>

#include "fuzz.h"
#include "terminal/batches.h"
#include "terminal/member.h"
#include "terminal/text.h"
#include "terminal/top_view.h"
#include "terminal/watch_view.h"

#define NOW 1796072405

/* Shown, then looked at and emptied. */
static void is_plain(struct buf *shown, bool lines)
{
	PROMISE(!shown->failed);
	for (size_t i = 0; i < shown->n; i++) {
		unsigned char c = (unsigned char)shown->p[i];
		bool c1 = i > 0 && (unsigned char)shown->p[i - 1] == 0xc2 && c < 0xa0;
		PROMISE((c >= 0x20 && c != 0x7f && !c1) || (lines && c == '\n'));
	}
	buf_clear(shown);
}

static void show_batch(json_t *o, size_t width, struct buf *to)
{
	struct table list = { batches_layout.list, batches_layout.list_count, width, false, NOW };
	const struct table whole = { batches_layout.object, batches_layout.object_count, width,
				     false, NOW };
	const struct watch_look look = { width, 10, false, NOW };
	struct watched watched = { 0 };

	table_row(&list, o, to);
	table_end(&list, to);
	is_plain(to, true);
	table_object(&whole, o, to);
	is_plain(to, true);
	watched_set(&watched, json_incref(o), 1000);
	watch_screen(&watched, 1, &look, to);
	watch_line(&watched, NOW, 1000, to);
	is_plain(to, true);
	json_decref(watched.batch);
}

static void show_text(struct slice text, size_t width, struct buf *to)
{
	struct buf cut = BUF(1u << 20);

	text_plain(to, text);
	PROMISE(text_cut(&cut, buf_slice(to), width) <= width);
	PROMISE(text_width(buf_slice(&cut)) <= width);
	is_plain(&cut, false);
	is_plain(to, false);
	buf_free(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf to = BUF(64u << 20);

	if (size == 0)
		return 0;
	struct slice rest = { (const char *)data + 1, size - 1 };
	json_t *o = json_loadb(rest.p, rest.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (o != NULL) {
		const struct top_look look = { o, o, o };
		show_batch(o, data[0], &to);
		top_tables(&look, "http://x/v1", data[0], false, NOW, &to);
		top_plain(&look, &to);
		for (size_t i = 0; i < to.n; i++)
			if (to.p[i] == '\t')
				to.p[i] = ' ';
		is_plain(&to, true);
		member_put_json(&to, o);
		is_plain(&to, false);
		json_decref(o);
	} else {
		show_text(rest, data[0], &to);
	}
	buf_free(&to);
	return 0;
}

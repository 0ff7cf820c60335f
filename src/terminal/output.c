/* output.c: the three forms. */
#include "terminal/output.h"

#include <errno.h>
#include <unistd.h>

#include "base/sys.h"
#include "terminal/member.h"
#include "terminal/signals.h"

#define OBJECT_BYTES_MAX (4u << 20)
#define LIST_BYTES_MAX (64u << 20) /* of the rows that a table keeps */

bool output_form_read(const char *text, enum output_form *ret)
{
	static const char *const names[] = { "table", "json", "plain" };

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum output_form)i;
			return true;
		}
	return false;
}

void output_open(struct output *o, enum output_form form)
{
	*o = (struct output){
		.form = form,
		.to = stdout,
		.colored = tty_has_color(STDOUT_FILENO),
		.width = isatty(STDOUT_FILENO) ? tty_columns(STDOUT_FILENO) : SIZE_MAX,
		.now_s = sys.now_s(),
	};
}

/* ---- writing ---- */

static bool fail_write(int saved_errno, struct error *err)
{
	signals_reader_gone(saved_errno);
	return fail_sys(err, saved_errno, "standard output");
}

static bool write_text(struct output *o, const struct buf *text, struct error *err)
{
	if (text->failed)
		return fail_memory(err);
	if (text->n == 0)
		return true;
	o->written++;
	return fwrite(text->p, 1, text->n, o->to) == text->n || fail_write(errno, err);
}

static bool flush(struct output *o, struct error *err)
{
	return fflush(o->to) == 0 || fail_write(errno, err);
}

static void put_plain(const struct output_layout *layout, const json_t *object, struct buf *line)
{
	for (const char *const *path = layout->plain; *path != NULL; path++) {
		if (path != layout->plain)
			buf_char(line, '\t');
		member_put(line, member_at(object, *path));
	}
	buf_char(line, '\n');
}

static struct table table_of(const struct output *o, const struct table_column *columns,
			     unsigned count)
{
	return (struct table){ columns, count, o->width, o->colored, o->now_s };
}

/* ---- lists and objects ---- */

void output_list(struct output *o, const struct output_layout *layout)
{
	o->layout = layout;
	o->written = 0;
	o->table = table_of(o, layout->list, layout->list_count);
}

bool output_row(struct output *o, const json_t *object, struct error *err)
{
	AUTO(buf_free) struct buf text = BUF(LIST_BYTES_MAX);

	if (o->form == OUTPUT_TABLE) {
		table_row(&o->table, object, &text);
	} else if (o->form == OUTPUT_JSON) {
		buf_text(&text, o->written == 0 ? "[" : ",\n");
		member_put_json(&text, object);
	} else {
		put_plain(o->layout, object, &text);
	}
	return write_text(o, &text, err);
}

bool output_end(struct output *o, bool whole, struct error *err)
{
	AUTO(buf_free) struct buf text = BUF(LIST_BYTES_MAX);

	if (o->form == OUTPUT_TABLE)
		table_end(&o->table, &text);
	if (o->form == OUTPUT_JSON && whole)
		buf_text(&text, o->written == 0 ? "[]\n" : "]\n");
	else if (o->form == OUTPUT_JSON && o->written > 0)
		buf_char(&text, '\n');
	if (!write_text(o, &text, err) || !flush(o, err))
		return false;
	if (o->form == OUTPUT_TABLE && whole && o->written == 0)
		fprintf(stderr, "%s\n", o->layout->none);
	return true;
}

bool output_text(struct output *o, const struct buf *text, struct error *err)
{
	return write_text(o, text, err) && flush(o, err);
}

bool output_object(struct output *o, const struct output_layout *layout, const json_t *object,
		   struct error *err)
{
	AUTO(buf_free) struct buf text = BUF(OBJECT_BYTES_MAX);
	const struct table t = layout->object != NULL
				       ? table_of(o, layout->object, layout->object_count)
				       : table_of(o, layout->list, layout->list_count);

	if (o->form == OUTPUT_TABLE) {
		table_object(&t, object, &text);
	} else if (o->form == OUTPUT_JSON) {
		member_put_json(&text, object);
		buf_char(&text, '\n');
	} else {
		put_plain(layout, object, &text);
	}
	return output_text(o, &text, err);
}

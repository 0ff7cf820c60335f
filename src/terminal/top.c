/* top.c: asks, and draws. A server that is started anew is waited for while the screen stands. */
#include "terminal/top.h"

#include <unistd.h>

#include "base/sys.h"
#include "terminal/frame.h"
#include "terminal/member.h"
#include "terminal/report.h"
#include "terminal/text.h"
#include "terminal/top_view.h"

#define LOOK_EVERY_MS 2000u
#define USE_EVERY 5u /* looks: each call of an operator is a line in the server's log */
#define ORGS_MAX 50u /* whose use is asked for, in a call of its own each */
#define TEXT_BYTES_MAX (16u << 20)

/* ---- asking ---- */

static bool get(struct remote *r, const char *path, json_t **ret, struct error *err)
{
	return remote_json(r, &(struct remote_request){ .method = "GET", .path = path }, ret, err);
}

static bool add_org(struct remote *r, const char *name, json_t *to, struct error *err)
{
	AUTO(auto_free) char *path = remote_path("/lowtide/orgs/%s", name);
	json_t *org = NULL;

	if (path == NULL)
		return fail_memory(err);
	return get(r, path, &org, err) && (json_array_append_new(to, org) == 0 || fail_memory(err));
}

static bool look_at_orgs(struct remote *r, const json_t *list, struct top_look *l,
			 struct error *err)
{
	const json_t *data = member_at(list, "data");

	l->orgs = json_array();
	for (size_t i = 0; i < json_array_size(data); i++) {
		json_t *org = json_array_get(data, i);
		if (i >= ORGS_MAX && json_array_append(l->orgs, org) != 0)
			return fail_memory(err);
		if (i < ORGS_MAX && !add_org(r, member_string(org, "name"), l->orgs, err))
			return false;
	}
	return true;
}

/* A server of before there were nodes has none. */
static bool look_at_nodes(struct remote *r, struct top_look *l, struct error *err)
{
	json_t *list = NULL;

	if (!get(r, "/lowtide/nodes", &list, err))
		return remote_status(r) == 404;
	l->nodes = json_incref((json_t *)member_at(list, "data"));
	json_decref(list);
	return true;
}

/* A key that is no operator's is told so by the first call, and sees its own limits. */
static bool look_at_use(struct remote *r, struct top_look *l, struct error *err)
{
	json_t *list = NULL;

	if (get(r, "/lowtide/orgs", &list, err)) {
		bool good = look_at_orgs(r, list, l, err) && look_at_nodes(r, l, err);
		json_decref(list);
		return good;
	}
	if (remote_status(r) != 403 || !get(r, "/lowtide/limits", &list, err))
		return false;
	l->limits = json_incref((json_t *)member_at(list, "data"));
	json_decref(list);
	return true;
}

/* Into what was seen before. */
static bool look(struct remote *r, bool with_use, struct top_look *l, struct error *err)
{
	json_decref(l->scheduling);
	l->scheduling = NULL;
	if (!get(r, "/lowtide/scheduling", &l->scheduling, err))
		return false;
	if (!with_use)
		return true;
	json_decref(l->orgs);
	json_decref(l->limits);
	json_decref(l->nodes);
	l->orgs = l->limits = l->nodes = NULL;
	return look_at_use(r, l, err);
}

/* ---- showing ---- */

static bool print(struct remote *r, struct output *out, struct error *err)
{
	AUTO(buf_free) struct buf text = BUF(TEXT_BYTES_MAX);
	AUTO(top_look_done) struct top_look l = { 0 };

	if (!look(r, true, &l, err))
		return false;
	if (out->form == OUTPUT_JSON)
		top_json(&l, &text);
	else if (out->form == OUTPUT_PLAIN)
		top_plain(&l, &text);
	else
		top_tables(&l, remote_url(r), out->width, out->colored, out->now_s, &text);
	return output_text(out, &text, err);
}

static bool show_once(const struct top_options *o, struct error *err)
{
	struct remote *r = NULL;
	struct output out;

	output_open(&out, o->asked.form);
	bool good = asked_open(&o->asked, &r, err) && print(r, &out, err);
	remote_close(r);
	return good;
}

struct live {
	struct remote *remote;
	struct frame frame;
	bool colored;
	unsigned looks;
	struct top_look seen;
	struct buf text; /* as it was drawn last */
};

static void draw_text(struct live *l, const struct buf *text)
{
	size_t columns = tty_columns(STDOUT_FILENO);

	if (!text->failed)
		frame_draw(&l->frame, buf_slice(text), columns == SIZE_MAX ? columns : columns - 1,
			   tty_rows(STDOUT_FILENO));
}

/* An outage stands below what was seen last. */
static void on_note(void *ctx, const char *note)
{
	struct live *l = ctx;
	AUTO(buf_free) struct buf text = BUF(FRAME_BYTES_MAX), plain = BUF(4096);

	buf_add(&text, buf_slice(&l->text));
	text_plain(&plain, slice_of(note));
	tty_color(&text, l->colored, COLOR_RED, buf_slice(&plain));
	buf_char(&text, '\n');
	draw_text(l, &text);
}

static bool draw(struct live *l, struct error *err)
{
	size_t columns = tty_columns(STDOUT_FILENO);

	if (!look(l->remote, l->looks++ % USE_EVERY == 0, &l->seen, err))
		return false;
	buf_clear(&l->text);
	top_tables(&l->seen, remote_url(l->remote), columns == SIZE_MAX ? columns : columns - 1,
		   l->colored, sys.now_s(), &l->text);
	draw_text(l, &l->text);
	return true;
}

/* Until a signal ends it, or the server is gone for too long. */
static bool show_live(const struct top_options *o, struct error *err)
{
	struct live l = { .colored = tty_has_color(STDOUT_FILENO), .text = BUF(FRAME_BYTES_MAX) };
	const struct remote_setup setup = { .url = o->asked.url,
					    .key = o->asked.key,
					    .ca_file = o->asked.ca_file,
					    .note = on_note,
					    .note_ctx = &l };

	frame_open(&l.frame, STDOUT_FILENO);
	bool good = remote_open(&setup, &l.remote, err);
	while (good) {
		good = draw(&l, err);
		if (good)
			remote_wait(l.remote, LOOK_EVERY_MS);
	}
	remote_close(l.remote);
	frame_close(&l.frame);
	buf_free(&l.text);
	top_look_done(&l.seen);
	return good;
}

int ask_top(const struct top_options *o)
{
	struct error err;
	bool live = !o->once && o->asked.form == OUTPUT_TABLE && tty_is(STDOUT_FILENO);

	if (live ? show_live(o, &err) : show_once(o, &err))
		return EXIT_GOOD;
	report(&err);
	return EXIT_FAULT;
}

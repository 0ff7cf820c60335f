/* waiting.c: see waiting.h. The server is asked with `wait` (contract 11.3), so it answers when
 * there is something to say. */
#include "terminal/waiting.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/sys.h"
#include "terminal/batches.h"
#include "terminal/member.h"
#include "terminal/report.h"
#include "terminal/screen.h"
#include "terminal/text.h"
#include "terminal/tty.h"

#define POLL_S 60u
#define POLL_SHOWN_S 1u    /* while a bar is drawn */
#define PAUSE_MS 1000u     /* where a server does not know `wait` */
#define LAST_LOOK_MS 5000u /* that an answer gets when time is up */
#define TOLD 3u            /* errors */

uint64_t waiting_unanswered(const json_t *batch)
{
	int64_t total = member_integer(batch, "request_counts.total");
	int64_t completed = member_integer(batch, "request_counts.completed");

	return total > completed ? (uint64_t)(total - completed) : 0;
}

enum waiting_code waiting_code(const json_t *batch)
{
	if (strcmp(member_string(batch, "status"), "completed") != 0)
		return WAITING_ENDED;
	return waiting_unanswered(batch) == 0 ? WAITING_DONE : WAITING_LINES_FAILED;
}

/* ---- asking ---- */

struct turn {
	const struct waiting *w;
	struct screen *screen; /* NULL: nothing is shown */
	uint64_t until_ms;     /* UINT64_MAX: without end */
};

static uint64_t left_ms(const struct turn *t)
{
	uint64_t now = sys.monotonic_ms();

	return t->until_ms == UINT64_MAX ? UINT64_MAX : now < t->until_ms ? t->until_ms - now : 0;
}

static bool ask(const struct turn *t, const char *id, uint64_t wait_s, json_t **ret,
		struct error *err)
{
	const char *org = t->w->org != NULL ? t->w->org : "";
	AUTO(auto_free)
	char *path = remote_path("/batches/%s?wait=%lu", id, (unsigned long)wait_s);
	AUTO(auto_free) char *whose = remote_path("&org=%s", org);
	AUTO(auto_free) char *whole = NULL;

	if (path == NULL || whose == NULL ||
	    asprintf(&whole, "%s%s", path, org[0] != '\0' ? whose : "") < 0)
		return fail_memory(err);
	struct remote_request q = { .method = "GET",
				    .path = whole,
				    .timeout_ms = (wait_s + 60) * 1000 };
	if (t->until_ms != UINT64_MAX) {
		uint64_t most_ms = left_ms(t) + LAST_LOOK_MS;
		q.timeout_ms = most_ms < q.timeout_ms ? most_ms : q.timeout_ms;
		q.until_ms = t->until_ms;
	}
	return remote_json(t->w->remote, &q, ret, err);
}

static void show(const struct turn *t, const json_t *batch)
{
	struct meter_view view = {
		.total = (uint64_t)member_integer(batch, "request_counts.total"),
		.failed = (uint64_t)member_integer(batch, "request_counts.failed"),
		.running = (uint64_t)member_integer(batch, "lowtide.running"),
	};
	AUTO(buf_free) struct buf stall = BUF(64);

	if (t->screen == NULL)
		return;
	text_plain(&stall, slice_of(member_string(batch, "lowtide.stall_reason")));
	buf_char(&stall, '\0');
	view.done = (uint64_t)member_integer(batch, "request_counts.completed") + view.failed;
	view.waiting = !stall.failed && stall.p[0] != '\0' ? stall.p : NULL;
	screen_show(t->screen, &view, (uint64_t)member_integer(batch, "usage.total_tokens"),
		    sys.monotonic_ms(), batch_has_ended(batch));
}

/* *ret: as it is at its end, or when time is up, or NULL: the server was not there any more then;
 * the caller's. */
static bool wait_for(const struct turn *t, const char *id, json_t **ret, struct error *err)
{
	uint64_t most_s = t->screen != NULL ? POLL_SHOWN_S : POLL_S, wait_s = 0;

	for (;;) {
		uint64_t from = sys.monotonic_ms();
		if (!ask(t, id, wait_s, ret, err))
			return left_ms(t) == 0 && remote_may_pass(t->w->remote);
		show(t, *ret);
		uint64_t left = left_ms(t);
		if (batch_has_ended(*ret) || left == 0)
			return true;
		bool waited = sys.monotonic_ms() - from >= wait_s * 1000 / 2;
		if (left < 1000)
			remote_wait(t->w->remote, left); /* and looks once more */
		else if (!waited)
			remote_wait(t->w->remote, PAUSE_MS);
		json_decref(*ret);
		*ret = NULL;
		left = left_ms(t) / 1000;
		wait_s = left < most_s ? left : most_s;
	}
}

/* Something is going to be told. */
static void bar_leave(const struct turn *t)
{
	if (t->screen != NULL)
		screen_leave(t->screen);
}

static bool wait_one(const struct turn *t, const char *id, enum waiting_code *ret,
		     struct error *err)
{
	json_t *batch = NULL;
	bool good = wait_for(t, id, &batch, err);

	if (good && (batch == NULL || !batch_has_ended(batch))) {
		*ret = WAITING_TIMEOUT;
	} else if (good) {
		*ret = waiting_code(batch);
		bar_leave(t);
		good = t->w->ended == NULL || t->w->ended(t->w->ctx, batch, err);
	}
	json_decref(batch);
	return good;
}

/* Of several batches the others are waited for where one is not there. */
static bool wait_all(const struct turn *t, const char *const *ids, size_t count,
		     enum waiting_code *ret, struct error *err)
{
	bool refused = false;

	*ret = WAITING_DONE;
	for (size_t i = 0; i < count; i++) {
		enum waiting_code code = WAITING_DONE;
		if (!wait_one(t, ids[i], &code, err)) {
			if (count == 1 || !remote_refused_this(t->w->remote))
				return false;
			bar_leave(t);
			report(err);
			refused = true;
		}
		if (code > *ret)
			*ret = code;
	}
	if (refused)
		*ret = WAITING_REFUSED;
	return true;
}

bool waiting_run(const struct waiting *w, const char *const *ids, size_t count,
		 enum waiting_code *ret, struct error *err)
{
	uint64_t now = sys.monotonic_ms();
	struct screen screen;
	struct turn t = {
		.w = w,
		.screen = w->shows && tty_is(STDERR_FILENO) ? &screen : NULL,
		.until_ms = w->timeout_s > 0 ? now + w->timeout_s * 1000 : UINT64_MAX,
	};

	if (t.screen != NULL)
		screen_open(t.screen, now);
	bool good = wait_all(&t, ids, count, ret, err);
	if (t.screen != NULL)
		screen_close(t.screen);
	return good;
}

/* ---- what came of it ---- */

/* "  line 3: invalid_json_line: This line is not parseable as valid JSON." */
static void tell_finding(const json_t *finding)
{
	int64_t line = member_integer(finding, "line");

	fputs("  ", stderr);
	if (line > 0)
		fprintf(stderr, "line %" PRId64 ": ", line);
	print_plain(member_string(finding, "code"), stderr);
	fputs(": ", stderr);
	print_plain(member_string(finding, "message"), stderr);
	fputc('\n', stderr);
}

static void tell_findings(const json_t *batch)
{
	const json_t *data = member_at(batch, "errors.data");
	size_t n = json_array_size(data);

	for (size_t i = 0; i < n && i < TOLD; i++)
		tell_finding(json_array_get(data, i));
	if (n > TOLD) {
		fprintf(stderr, "  and %zu more: lowtide show ", n - TOLD);
		print_plain(member_string(batch, "id"), stderr);
		fputc('\n', stderr);
	}
}

/* "  12 lines: 400, line 17 for one" */
static void tell_causes(const json_t *batch)
{
	const json_t *causes = member_at(batch, "lowtide.top_errors");
	size_t i;
	json_t *cause;

	json_array_foreach(causes, i, cause)
	{
		int64_t line = member_integer(cause, "example_line");
		fprintf(stderr, "  %" PRId64 " of them: ", member_integer(cause, "count"));
		print_plain(member_string(cause, "code"), stderr);
		if (line > 0)
			fprintf(stderr, ", line %" PRId64 " for one", line);
		fputc('\n', stderr);
	}
}

void waiting_tell(const json_t *batch)
{
	int64_t total = member_integer(batch, "request_counts.total");
	int64_t completed = member_integer(batch, "request_counts.completed");
	int64_t failed = member_integer(batch, "request_counts.failed");

	fputs("lowtide: ", stderr);
	print_plain(member_string(batch, "id"), stderr);
	fputs(" is ", stderr);
	print_plain(member_string(batch, "status"), stderr);
	if (total > 0)
		fprintf(stderr,
			": of %" PRId64 " lines %" PRId64 " have an answer, %" PRId64 " failed",
			total, completed, failed);
	if (total > completed + failed)
		fprintf(stderr, ", %" PRId64 " were not run", total - completed - failed);
	fputc('\n', stderr);
	tell_findings(batch);
	tell_causes(batch);
}

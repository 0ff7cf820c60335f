/* watch_news.c: where the news of batches come from. */
#include "terminal/watch_impl.h"

#include "base/clock.h"
#include "base/sys.h"
#include "base/worker.h"
#include "terminal/batches.h"
#include "terminal/member.h"

#define POLL_CALM_MS 10000u
#define POLL_MS 2000u
#define POLL_TURN_MS 500u
#define WATCHED_MAX 10000u
#define OPEN_STATES "validating,in_progress,finalizing,cancelling"

/* ---- what is known (with the lock, once threads run) ---- */

static struct watched *find(const struct watching *w, const char *id)
{
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(member_string(w->all[i].batch, "id"), id) == 0)
			return &w->all[i];
	return NULL;
}

static bool all_ended(const struct watching *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!batch_has_ended(w->all[i].batch))
			return false;
	return true;
}

/* An answer may be older than an event that came while it was on its way. */
static bool is_older(const json_t *batch, const json_t *known)
{
	return batch_has_ended(known) ||
	       (!batch_has_ended(batch) && batch_lines_ended(batch) < batch_lines_ended(known));
}

static bool add(struct watching *w, json_t *batch)
{
	if (w->n == w->room) {
		size_t room = w->room == 0 ? 16 : w->room * 2;
		struct watched *more = reallocarray(w->all, room, sizeof(*more));
		if (more == NULL)
			return false;
		w->all = more;
		w->room = room;
	}
	w->all[w->n] = (struct watched){ 0 };
	watched_set(&w->all[w->n++], json_incref(batch), sys.monotonic_ms());
	return true;
}

/* False: no memory. */
static bool take_news(struct watching *w, const json_t *batch)
{
	struct watched *known = find(w, member_string(batch, "id"));
	uint64_t now_ms = sys.monotonic_ms();

	w->note[0] = '\0';
	if (known == NULL)
		return w->options->id_count > 0 || w->n >= WATCHED_MAX || batch_has_ended(batch) ||
		       add(w, (json_t *)batch);
	known->news_ms = now_ms;
	if (!is_older(batch, known->batch) && !json_equal(batch, known->batch))
		watched_set(known, json_incref((json_t *)batch), now_ms);
	return true;
}

static void end(struct watching *w, const struct error *err)
{
	if (!w->over && err != NULL) {
		w->failed = true;
		w->err = *err;
	}
	w->over = true;
	pthread_cond_broadcast(&w->ended);
}

/* News from either thread; whether there is more to come. */
static bool on_news(struct watching *w, const json_t *batch)
{
	struct error err;

	pthread_mutex_lock(&w->lock);
	if (!take_news(w, batch)) {
		fail_memory(&err);
		end(w, &err);
	} else if (all_ended(w)) {
		end(w, NULL);
	}
	bool more = !w->over;
	pthread_mutex_unlock(&w->lock);
	return more;
}

/* ---- the first look ---- */

static enum remote_taken on_listed(void *ctx, json_t *batch, struct error *err)
{
	if (add(ctx, batch))
		return REMOTE_MORE;
	fail_memory(err);
	return REMOTE_FAULT;
}

static bool begin_with_open(struct watching *w, struct error *err)
{
	const char *org = w->options->asked.org;
	AUTO(auto_free)
	char *path = org != NULL
			     ? remote_path("/batches?limit=100&status=" OPEN_STATES "&org=%s", org)
			     : strdup("/batches?limit=100&status=" OPEN_STATES);

	if (path == NULL)
		return fail_memory(err);
	return remote_list(w->polls, path, WATCHED_MAX, on_listed, w, err);
}

static bool begin_with(struct watching *w, const char *given, struct error *err)
{
	char id[BATCH_ID_BYTES];
	json_t *batch;

	if (!asked_batch_id(given, id, err) ||
	    !asked_batch(w->polls, &w->options->asked, id, &batch, err))
		return false;
	bool good = find(w, id) != NULL || add(w, batch);
	json_decref(batch);
	return good || fail_memory(err);
}

bool watch_begin(struct watching *w, struct error *err)
{
	for (size_t i = 0; i < w->options->id_count; i++)
		if (!begin_with(w, w->options->ids[i], err))
			return false;
	if (w->options->id_count == 0 && !begin_with_open(w, err))
		return false;
	w->over = all_ended(w);
	return true;
}

/* ---- the stream ---- */

static enum remote_taken on_event(void *ctx, const char *event, const json_t *data,
				  struct error *err)
{
	(void)err;
	return strcmp(event, "batch") != 0 || on_news(ctx, data) ? REMOTE_MORE : REMOTE_ENOUGH;
}

static char *events_path(struct watching *w)
{
	const char *org = w->options->asked.org;

	if (w->options->id_count > 0 && w->n == 1)
		return asked_batch_path(&w->options->asked, member_string(w->all[0].batch, "id"),
					"/events");
	return org != NULL ? remote_path("/lowtide/events?org=%s", org) : strdup("/lowtide/events");
}

static void leave(struct watching *w)
{
	pthread_mutex_lock(&w->lock);
	w->threads_left--;
	pthread_cond_broadcast(&w->ended);
	pthread_mutex_unlock(&w->lock);
}

/* Where there is no stream, or no longer, the polls find out why, or do without. */
static void *events_main(void *arg)
{
	struct watching *w = arg;
	struct error err;
	AUTO(auto_free) char *path = NULL;

	pthread_mutex_lock(&w->lock);
	path = events_path(w);
	pthread_mutex_unlock(&w->lock);
	bool good = path != NULL && remote_events(w->events, path, on_event, w, &err);
	pthread_mutex_lock(&w->lock);
	w->streamless = !good;
	pthread_mutex_unlock(&w->lock);
	leave(w);
	return NULL;
}

/* ---- polls ---- */

/* With the lock: the batch without news for longest, if that is long enough. */
static bool whom_to_ask(const struct watching *w, char ret[static BATCH_ID_BYTES])
{
	uint64_t now_ms = sys.monotonic_ms(), longest_ms = w->streamless ? POLL_MS : POLL_CALM_MS;
	bool found = false;

	for (size_t i = 0; i < w->n; i++) {
		uint64_t quiet_ms = now_ms - w->all[i].news_ms;
		if (batch_has_ended(w->all[i].batch) || quiet_ms < longest_ms)
			continue;
		longest_ms = quiet_ms;
		found = slice_copy(slice_of(member_string(w->all[i].batch, "id")), ret,
				   BATCH_ID_BYTES);
	}
	return found;
}

static void ask_about(struct watching *w, const char *id)
{
	json_t *batch = NULL;
	struct error err;

	if (asked_batch(w->polls, &w->options->asked, id, &batch, &err)) {
		on_news(w, batch);
		json_decref(batch);
		return;
	}
	pthread_mutex_lock(&w->lock);
	end(w, &err);
	pthread_mutex_unlock(&w->lock);
}

static void *polls_main(void *arg)
{
	struct watching *w = arg;
	char id[BATCH_ID_BYTES];

	pthread_mutex_lock(&w->lock);
	while (!w->over) {
		if (whom_to_ask(w, id)) {
			pthread_mutex_unlock(&w->lock);
			ask_about(w, id);
			pthread_mutex_lock(&w->lock);
		} else {
			struct timespec due = clock_after_ms(POLL_TURN_MS);
			pthread_cond_timedwait(&w->ended, &w->lock, &due);
		}
	}
	pthread_mutex_unlock(&w->lock);
	leave(w);
	return NULL;
}

static bool start(struct watching *w, const char *name, void *(*run)(void *), struct error *err)
{
	pthread_t thread;

	w->threads_left++;
	if (thread_start(&thread, name, run, w, err)) {
		pthread_detach(thread);
		return true;
	}
	w->threads_left--;
	return false;
}

bool watch_start_threads(struct watching *w, struct error *err)
{
	pthread_mutex_lock(&w->lock);
	bool good = start(w, "watch-events", events_main, err) &&
		    start(w, "watch-polls", polls_main, err);
	pthread_mutex_unlock(&w->lock);
	return good;
}

/* sent.c: see sent.h. The thread that asks a server cannot be told to return: the one that waits for
 * the signals asks by itself, and ends the process. */
#include "terminal/sent.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/worker.h"
#include "terminal/signals.h"
#include "terminal/text.h"
#include "terminal/tty.h"

#define CALL_MS 1000u /* that a call which is under way has to end */
#define PATIENCE_S 5u /* with a server that goes */

static struct sent {
	pthread_mutex_t lock;
	pthread_cond_t stopped;
	const struct asked *asked;
	char *file_id, *upload_id;
	bool begun, ending, is_stopped;
} sent = { .lock = PTHREAD_MUTEX_INITIALIZER };

void sent_delete(struct remote *r, const char *file_id)
{
	AUTO(auto_free) char *path = remote_path("/files/%s", file_id);
	const struct remote_request q = { .method = "DELETE", .path = path, .again = true };
	struct error err;

	if (path != NULL && (remote_json(r, &q, NULL, &err) || remote_status(r) == 404))
		return;
	fprintf(stderr, "lowtide: the file stays on the server: lowtide files delete ");
	print_plain(file_id, stderr);
	fputc('\n', stderr);
}

/* ---- the end by a signal ---- */

/* Waits until the other thread has come to rest, or for long enough. False: nothing was sent. */
static bool end_begin(struct upload_state *ret)
{
	struct timespec until = clock_after_ms(CALL_MS);

	pthread_mutex_lock(&sent.lock);
	bool begun = sent.ending = sent.begun;
	while (begun && sent.file_id == NULL && !sent.is_stopped)
		if (pthread_cond_timedwait(&sent.stopped, &sent.lock, &until) != 0)
			break;
	*ret = (struct upload_state){ .file_id = sent.file_id, .upload_id = sent.upload_id };
	sent.file_id = sent.upload_id = NULL;
	pthread_mutex_unlock(&sent.lock);
	return begun;
}

static void *wait_for_signal(void *unused)
{
	struct upload_state there;
	struct remote *r;
	struct error err;
	int number = signals_wait(-1);

	(void)unused;
	signals_end_at_once();
	if (!end_begin(&there))
		_exit(128 + number);
	fprintf(stderr, "%slowtide: stopping: what was sent is deleted; again to stop at once\n",
		tty_is(STDERR_FILENO) ? "\n" : "");
	if (asked_open_patient(sent.asked, PATIENCE_S, &r, &err)) {
		if (there.file_id != NULL)
			sent_delete(r, there.file_id);
		upload_forget(r, &there);
	}
	_exit(128 + number);
}

bool sent_guard(const struct asked *a, struct error *err)
{
	pthread_t thread;

	signals_block();
	clock_cond_init(&sent.stopped);
	sent.asked = a;
	if (!thread_start(&thread, "signals", wait_for_signal, NULL, err))
		return false;
	pthread_detach(thread);
	return true;
}

/* ---- what is sent ---- */

/* Leaves the lock. */
static void stay_if_ending(void)
{
	bool ending = sent.ending;

	sent.is_stopped = ending;
	pthread_cond_signal(&sent.stopped);
	pthread_mutex_unlock(&sent.lock);
	if (!ending)
		return;
	for (;;)
		pause();
}

void sent_begin(void)
{
	pthread_mutex_lock(&sent.lock);
	sent.begun = true;
	stay_if_ending();
}

static bool text_set(char **to, const char *text)
{
	free(*to);
	*to = text != NULL ? strdup(text) : NULL;
	return text == NULL || *to != NULL;
}

bool sent_note(const struct upload_state *s, struct error *err)
{
	pthread_mutex_lock(&sent.lock);
	bool good = text_set(&sent.file_id, s->file_id) && text_set(&sent.upload_id, s->upload_id);
	stay_if_ending();
	return good || fail_memory(err);
}

void sent_release(void)
{
	pthread_mutex_lock(&sent.lock);
	sent.begun = false;
	free(sent.file_id);
	free(sent.upload_id);
	sent.file_id = sent.upload_id = NULL;
	stay_if_ending();
}

/* server.c: opens, closes, and gives each connection to a loop. */
#include "http/server.h"

#include <limits.h>
#include <stdlib.h>

#include "base/log.h"
#include "http/connection.h"
#include "http/listener.h"
#include "http/loop.h"
#include "http/turn.h"

#define IDLE_MS 120000u

/* How many threads a kind of work has, and how many requests may wait for them. Lists are few at a
 * time: each wants a processor. Pieces of bodies are as many as the requests that they are of. */
static const struct {
	const char *name;
	unsigned threads, waiting_max;
} works[HTTP_WORKS] = {
	[HTTP_READ] = { "api-read", 4, 1024 },     [HTTP_LIST] = { "api-list", 2, 128 },
	[HTTP_WRITE] = { "api-write", 8, 512 },    [HTTP_INSTANT] = { "api", 4, 1024 },
	[HTTP_PASS] = { "api-pass", 4, UINT_MAX }, [HTTP_PIECES] = { "api-body", 4, UINT_MAX },
	[HTTP_LONG] = { "api-long", 2, 128 },
};

/* The listener's thread. */
static void on_accepted(void *ctx, int fd)
{
	struct http_server *s = ctx;

	s->loop_turn = (s->loop_turn + 1) % s->loop_count;
	connection_new(s, s->loops[s->loop_turn], fd);
}

/* ---- open, close ---- */

static bool works_open(struct http_server *s, const struct http_config *config, struct error *err)
{
	for (unsigned i = 0; i < HTTP_WORKS; i++) {
		unsigned threads = config->workers > 0 ? config->workers : works[i].threads;

		s->waiting_max[i] = config->waiting_max > 0 ? config->waiting_max
							    : works[i].waiting_max;
		if (!workers_open(works[i].name, threads, &s->workers[i], err))
			return false;
	}
	return true;
}

static bool loops_open(struct http_server *s, unsigned threads, struct error *err)
{
	unsigned n = threads > 0 ? threads : 1;

	s->loops = calloc(n, sizeof(struct http_loop *));
	if (s->loops == NULL)
		return fail_memory(err);
	while (s->loop_count < n) {
		if (!http_loop_open(s, &connection_ops, false, &s->loops[s->loop_count], err))
			return false;
		s->loop_count++;
	}
	return s->guest_leave == NULL || http_loop_open(s, &connection_ops, true, &s->guest, err);
}

static bool server_start(struct http_server *s, const struct http_config *config, struct error *err)
{
	if (!works_open(s, config, err) || !loops_open(s, config->threads, err))
		return false;
	/* Last: from here on requests come in. */
	int fd = config->listening != NULL ? *config->listening : -1;
	if (config->listening != NULL)
		*config->listening = -1;
	else if (!listener_bind(config->host, config->port, &fd, err))
		return false;
	if (!listener_open(fd, on_accepted, s, &s->listener, err))
		return false;
	s->port = listener_port(s->listener);
	return true;
}

bool http_listen(const char *host, uint16_t port, int *ret_fd, struct error *err)
{
	return listener_bind(host, port, ret_fd, err);
}

uint16_t http_listening_port(int fd)
{
	return listener_socket_port(fd);
}

bool http_server_open(const struct http_config *config, struct http_server **ret, struct error *err)
{
	struct http_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return fail_memory(err);
	s->app = config->app;
	s->ctx = config->ctx;
	s->connections_max = config->connections_max;
	s->idle_ms = config->idle_s > 0 ? config->idle_s * UINT64_C(1000) : IDLE_MS;
	s->stream_idle_ms = config->stream_idle_ms;
	s->deadlines = config->deadlines;
	s->guest_leave = config->guest_leave;
	s->guest_ctx = config->guest_ctx;
	s->streams = budget_use(config->budget, BUDGET_STREAMS);
	answers_init(&s->answers);
	if (!server_start(s, config, err)) {
		http_server_close(s);
		return false;
	}
	*ret = s;
	return true;
}

uint16_t http_server_port(const struct http_server *s)
{
	return s->port;
}

int http_guest_fd(const struct http_server *s)
{
	return s->guest->epoll_fd;
}

uint64_t http_guest_due_ms(struct http_server *s)
{
	return http_loop_due_ms(s->guest);
}

void http_guest_turn(struct http_server *s)
{
	http_loop_turn(s->guest, 0);
	http_loop_rest(s->guest);
}

void http_server_quiesce(struct http_server *s)
{
	listener_close(TAKE(s->listener));
}

/* No `handle` runs and no stream goes on after this, and clients have had time to read. */
static void wait_for_answers(struct http_server *s)
{
	unsigned unread = answers_close(&s->answers, HTTP_UNREAD_S * UINT64_C(1000));

	if (unread > 0)
		log_warn("http.answers_cut", kv_u64("answers", unread),
			 kv_str("why", "their clients do not read"));
}

void http_server_close(struct http_server *s)
{
	if (s == NULL)
		return;
	http_server_quiesce(s);
	wait_for_answers(s);
	if (s->guest != NULL) {
		s->guest_leave(s->guest_ctx);
		http_loop_stop(s->guest);
	}
	for (unsigned i = 0; i < s->loop_count; i++)
		http_loop_stop(s->loops[i]);
	http_loop_close(s->guest);
	for (unsigned i = 0; i < s->loop_count; i++)
		http_loop_close(s->loops[i]);
	free(s->loops);
	for (unsigned i = 0; i < HTTP_WORKS; i++)
		workers_close(s->workers[i]);
	answers_done(&s->answers);
	free(s);
}

/* peers.c: a table by descriptor, and the thread that sweeps it.
 *
 * The sweep copies the descriptors, polls the copy without the lock, and then asks again, under the
 * lock, about each that seemed to have ended: meanwhile its number may have passed to a new
 * connection. */
#include "http/peers.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/worker.h"

#define ENDED (POLLRDHUP | POLLHUP | POLLERR)

struct peers {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* the first peer, or the end */
	pthread_t thread;
	bool started, stopping, poll_failed;
	struct peer **by_fd; /* NULL: none of ours */
	size_t slots;
	unsigned count, kept, kept_max, streams;
	uint64_t stream_idle_ms;
	struct log_storm unread;
	struct deadline_limits limits;
	uint64_t slow_logged_ms;      /* when it was last said that clients are too slow */
	unsigned slow;                /* cut since then */
	struct peer *oldest, *newest; /* of the kept ones */
	struct pollfd *asked;         /* the thread's own */
	size_t asked_max;
};

/* ---- the kept ones, in order ---- */

static void kept_remove(struct peers *p, struct peer *peer)
{
	if (!peer->kept)
		return;
	*(peer->older != NULL ? &peer->older->newer : &p->oldest) = peer->newer;
	*(peer->newer != NULL ? &peer->newer->older : &p->newest) = peer->older;
	peer->kept = false;
	assert(p->kept > 0);
	p->kept--;
}

static void kept_add(struct peers *p, struct peer *peer)
{
	peer->older = p->newest;
	peer->newer = NULL;
	*(p->newest != NULL ? &p->newest->newer : &p->oldest) = peer;
	p->newest = peer;
	peer->kept = true;
	p->kept++;
}

static bool oldest_may_go(const struct peers *p)
{
	return p->oldest != NULL && sys.monotonic_ms() - p->oldest->idle_since_ms >= PEERS_KEPT_MS;
}

/* libmicrohttpd then finds them ended, and closes them. */
static void shut_oldest(struct peers *p)
{
	while (p->kept > p->kept_max && oldest_may_go(p)) {
		struct peer *peer = p->oldest;
		kept_remove(p, peer);
		shutdown(peer->fd, SHUT_RDWR);
	}
}

/* ---- what a sweep asks and does ---- */

static bool shows(int fd, short events, int wanted)
{
	struct pollfd one = { .fd = fd, .events = events };

	return poll(&one, 1, 0) > 0 && (one.revents & wanted) != 0;
}

static bool has_ended(int fd)
{
	return shows(fd, POLLRDHUP, ENDED);
}

static void note_end(struct peer *peer)
{
	if (peer->stream != NULL && !atomic_load(&peer->intake.refused)) {
		/* The client that waits for the answer has gone. What libmicrohttpd may be sending
		 * ends. */
		if (!peer->shut)
			shutdown(peer->fd, SHUT_RDWR);
		peer->shut = true;
		peer->stream_ops->gone(peer->stream);
		return;
	}
	/* Changes nothing, the other side having ended already (or intake.c this one), but that
	 * epoll tells of the socket once more. At each sweep: one may fall together with an
	 * event that is read short. */
	shutdown(peer->fd, SHUT_RD);
}

/* ---- deadlines ---- */

#define SLOW_LOG_MS 10000

/* Many may be, at once. */
static void log_slow(struct peers *p)
{
	uint64_t now_ms = sys.monotonic_ms();

	if (p->slow == 0 || now_ms - p->slow_logged_ms < SLOW_LOG_MS)
		return;
	log_info("http.slow_clients_cut", kv_u64("connections", p->slow));
	p->slow_logged_ms = now_ms;
	p->slow = 0;
}

static void check_deadline(struct peers *p, struct peer *peer, uint64_t now_ms)
{
	struct deadline_seen seen = intake_seen(&peer->intake, peer->busy);

	if (!deadline_passed(&peer->deadline, &p->limits, seen, now_ms))
		return;
	if (seen.awaited != AWAITS_CLOSE && shows(peer->fd, POLLIN, POLLIN)) {
		deadline_renew(&peer->deadline, now_ms); /* there is more: the server is slow */
		return;
	}
	p->slow += seen.awaited != AWAITS_CLOSE;
	intake_cut(&peer->intake);
}

/* Streams whose clients take nothing. */
static void note_unread(struct peers *p)
{
	uint64_t now_ms = sys.monotonic_ms(), others;

	if (p->stream_idle_ms == 0 || p->streams == 0)
		return;
	for (size_t i = 0; i < p->slots; i++) {
		struct peer *peer = p->by_fd[i];
		if (peer == NULL || peer->stream == NULL || peer->shut ||
		    peer->stream_ops->unread_ms(peer->stream, peer->fd, now_ms) < p->stream_idle_ms)
			continue;
		if (log_storm_pass(&p->unread, now_ms, &others))
			log_info("online.client_reads_nothing", kv_u64("for_ms", p->stream_idle_ms),
				 kv_u64("others_before", others));
		note_end(peer);
	}
}

/* ---- the sweep ---- */

/* Looks at the deadlines, and copies the descriptors to p->asked: these alone and not the table
 * with its gaps, for poll() takes no more than the process may open. Returns how many. */
static size_t copy_fds(struct peers *p)
{
	if (p->asked_max < p->slots) {
		struct pollfd *larger = realloc(p->asked, p->slots * sizeof(*larger));
		if (larger == NULL)
			return 0; /* next time, perhaps */
		p->asked = larger;
		p->asked_max = p->slots;
	}
	size_t n = 0;
	uint64_t now_ms = sys.monotonic_ms();
	for (size_t i = 0; i < p->slots; i++) {
		if (p->by_fd[i] == NULL)
			continue;
		check_deadline(p, p->by_fd[i], now_ms);
		p->asked[n++] = (struct pollfd){ .fd = (int)i, .events = POLLRDHUP };
	}
	return n;
}

/* Once: the next sweep will hardly fare better. */
static void note_failure(struct peers *p, int error)
{
	if (!p->poll_failed)
		log_warn("http.sweep_failed", kv_str("why", strerrordesc_np(error)));
	p->poll_failed = true;
}

/* Called with the lock, which it lets go of while it asks. */
static void sweep(struct peers *p)
{
	size_t n = copy_fds(p);

	log_slow(p);
	pthread_mutex_unlock(&p->lock);
	int found = poll(p->asked, n, 0);
	if (found < 0 && errno != EINTR)
		note_failure(p, errno);
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < n && found > 0; i++) {
		if (p->asked[i].revents == 0)
			continue;
		found--;
		int fd = p->asked[i].fd;
		if (p->by_fd[fd] != NULL && has_ended(fd))
			note_end(p->by_fd[fd]);
	}
	note_unread(p);
	shut_oldest(p);
}

static void pause_until_next(struct peers *p)
{
	struct timespec until = clock_after_ms(PEERS_SWEEP_MS);

	while (!p->stopping && pthread_cond_timedwait(&p->changed, &p->lock, &until) == 0)
		;
}

static void *peers_main(void *arg)
{
	struct peers *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!p->stopping) {
		if (p->count == 0) {
			pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		pause_until_next(p);
		sweep(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- calls ---- */

bool peers_open(unsigned kept_max, uint64_t stream_idle_ms, const struct deadline_limits *limits,
		struct peers **ret, struct error *err)
{
	struct peers *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return fail_memory(err);
	p->kept_max = kept_max;
	p->stream_idle_ms = stream_idle_ms;
	p->limits = *limits;
	pthread_mutex_init(&p->lock, NULL);
	clock_cond_init(&p->changed);
	p->started = thread_start(&p->thread, "http-peers", peers_main, p, err);
	if (!p->started) {
		peers_close(p);
		return false;
	}
	*ret = p;
	return true;
}

void peers_close(struct peers *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (p->started)
		pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p->by_fd);
	free(p->asked);
	free(p);
}

/* Makes room for `fd` in the table. */
static bool table_grow(struct peers *p, size_t fd)
{
	size_t slots = p->slots > 0 ? p->slots : 64;

	if (fd < p->slots)
		return true;
	while (slots <= fd)
		slots *= 2;
	struct peer **larger = realloc(p->by_fd, slots * sizeof(struct peer *));
	if (larger == NULL)
		return false;
	for (size_t i = p->slots; i < slots; i++)
		larger[i] = NULL;
	p->by_fd = larger;
	p->slots = slots;
	return true;
}

bool peers_add(struct peers *p, struct peer *peer)
{
	pthread_mutex_lock(&p->lock);
	bool ok = table_grow(p, (size_t)peer->fd);
	if (ok) {
		p->by_fd[peer->fd] = peer;
		p->count++;
		if (p->count == 1)
			pthread_cond_signal(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	return ok;
}

void peers_remove(struct peers *p, struct peer *peer)
{
	pthread_mutex_lock(&p->lock);
	kept_remove(p, peer);
	p->streams -= peer->stream != NULL;
	assert(p->by_fd[peer->fd] == peer && p->count > 0);
	p->by_fd[peer->fd] = NULL;
	p->count--;
	pthread_mutex_unlock(&p->lock);
}

void peers_busy(struct peers *p, struct peer *peer)
{
	pthread_mutex_lock(&p->lock);
	kept_remove(p, peer);
	peer->busy = true;
	pthread_mutex_unlock(&p->lock);
}

void peers_idle(struct peers *p, struct peer *peer)
{
	pthread_mutex_lock(&p->lock);
	peer->busy = false;
	peer->idle_since_ms = sys.monotonic_ms();
	if (!peer->kept)
		kept_add(p, peer);
	shut_oldest(p);
	pthread_mutex_unlock(&p->lock);
}

bool peers_may_keep(struct peers *p)
{
	pthread_mutex_lock(&p->lock);
	bool may = p->kept < p->kept_max || oldest_may_go(p);
	pthread_mutex_unlock(&p->lock);
	return may;
}

void peers_stream(struct peers *p, struct peer *peer, const struct peer_stream_ops *ops,
		  void *stream)
{
	pthread_mutex_lock(&p->lock);
	assert(stream != NULL || p->streams > 0 || peer->stream == NULL);
	p->streams += (unsigned)(stream != NULL) - (unsigned)(peer->stream != NULL);
	peer->stream = stream;
	peer->stream_ops = ops;
	pthread_mutex_unlock(&p->lock);
}

bool peer_has_ended(const struct peer *peer)
{
	return has_ended(peer->fd);
}

unsigned peers_count(struct peers *p)
{
	pthread_mutex_lock(&p->lock);
	unsigned n = p->count;
	pthread_mutex_unlock(&p->lock);
	return n;
}

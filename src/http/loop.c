/* loop.c: epoll_wait(), mail, ticks. */
#include "http/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"

#define EVENTS_MAX 256

/* ---- lists ---- */

static void list_remove(struct connection *c)
{
	struct connection_list *list = TAKE(c->list);

	if (list == NULL)
		return;
	*(c->prev != NULL ? &c->prev->next : &list->first) = c->next;
	*(c->next != NULL ? &c->next->prev : &list->last) = c->prev;
}

void http_loop_list(struct connection *c, struct connection_list *to)
{
	list_remove(c);
	c->list = to;
	c->next = NULL;
	c->prev = to->last;
	*(to->last != NULL ? &to->last->next : &to->first) = c;
	to->last = c;
}

void http_loop_again(struct connection *c)
{
	if (c->ready)
		return;
	c->ready = true;
	c->ready_next = NULL;
	*c->loop->ready_end = c;
	c->loop->ready_end = &c->ready_next;
}

void http_loop_leave(struct connection *c)
{
	http_loop_list(c, &c->loop->leaving);
}

void http_loop_drop(struct connection *c)
{
	list_remove(c);
	c->next = c->loop->dead;
	c->loop->dead = c;
}

/* ---- mail ---- */

static void wake(const struct http_loop *l)
{
	uint64_t one = 1;

	if (write(l->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_warn("http.wake_failed", kv_int("errno", errno));
}

static void post(struct connection *c, bool gives_back)
{
	struct http_loop *l = c->loop;

	pthread_mutex_lock(&l->lock);
	c->giving_back |= gives_back;
	if (!c->mailed) {
		c->mailed = true;
		c->mail_next = NULL;
		*l->mail_end = c;
		l->mail_end = &c->mail_next;
	}
	/* Its own thread looks for mail before it waits. */
	bool own = pthread_equal(atomic_load_explicit(&l->owner, memory_order_relaxed),
				 pthread_self()) != 0;
	bool asleep = l->sleeping && !own;
	l->sleeping &= own;
	pthread_mutex_unlock(&l->lock);
	if (asleep)
		wake(l);
}

void http_loop_post(struct connection *c)
{
	post(c, false);
}

void http_loop_give_back(struct connection *c)
{
	post(c, true);
}

/* What comes meanwhile is for the next turn: a connection may post itself in each. */
static void mail_run(struct http_loop *l, void (*run)(struct connection *c))
{
	pthread_mutex_lock(&l->lock);
	struct connection *c = TAKE(l->mail), *next;
	l->mail_end = &l->mail;
	l->sleeping = false;
	pthread_mutex_unlock(&l->lock);
	for (; c != NULL; c = next) {
		pthread_mutex_lock(&l->lock);
		next = c->mail_next;
		c->mailed = false;
		c->back |= TAKE(c->giving_back);
		pthread_mutex_unlock(&l->lock);
		run(c);
	}
}

static bool is_mailed(struct http_loop *l, const struct connection *c)
{
	pthread_mutex_lock(&l->lock);
	bool mailed = c->mailed;
	pthread_mutex_unlock(&l->lock);
	return mailed;
}

/* ---- the clock ---- */

const char *http_loop_date(struct http_loop *l)
{
	int64_t now_s = sys.now_s();
	time_t t = (time_t)now_s;
	struct tm utc;

	if (now_s == l->date_s)
		return l->date;
	l->date_s = now_s;
	l->date[0] = '\0';
	if (gmtime_r(&t, &utc) != NULL)
		strftime(l->date, sizeof(l->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
	return l->date;
}

/* Each goes behind the others when it has had its turn, or leaves the list. */
static void waiting_turn(struct http_loop *l, uint64_t now_ms)
{
	for (struct connection *c; (c = l->waiting.first) != NULL && c->piece_due_ms <= now_ms;)
		c->loop->ops->turn(c);
}

static void tick(struct http_loop *l, uint64_t now_ms)
{
	struct connection *next;

	for (struct connection *c = l->busy.first; c != NULL; c = next) {
		next = c->next;
		l->ops->tick(c, now_ms);
	}
	for (struct connection *c;
	     (c = l->idle.first) != NULL && now_ms >= c->moved_ms + l->server->idle_ms;)
		c->loop->ops->close(c);
	l->tick_ms = now_ms;
}

static uint64_t clock_due_ms(const struct http_loop *l)
{
	uint64_t due = UINT64_MAX;

	if (l->ready != NULL || l->leaving.first != NULL)
		return 0;
	if (l->busy.first != NULL)
		due = l->tick_ms + LOOP_TICK_MS;
	else if (l->idle.first != NULL)
		due = l->idle.first->moved_ms + l->server->idle_ms;
	if (l->waiting.first != NULL && l->waiting.first->piece_due_ms < due)
		due = l->waiting.first->piece_due_ms;
	return due;
}

uint64_t http_loop_due_ms(struct http_loop *l)
{
	pthread_mutex_lock(&l->lock);
	bool mail = l->mail != NULL;
	pthread_mutex_unlock(&l->lock);
	return mail ? 0 : clock_due_ms(l);
}

/* ---- the turn ---- */

static void events_take(const struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		struct connection *c = events[i].data.ptr;
		uint32_t what = events[i].events;
		if (c == NULL)
			continue; /* it is the waking, edge-triggered: there is nothing to read */
		c->readable |= (what & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
		c->writable |= (what & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
		c->ended |= (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
		c->loop->ops->turn(c);
	}
}

static void ready_turn(struct http_loop *l)
{
	struct connection *c = TAKE(l->ready), *next;

	l->ready_end = &l->ready;
	for (; c != NULL; c = next) {
		next = c->ready_next;
		c->ready = false;
		c->loop->ops->turn(c);
	}
}

/* One that is in the mail still is freed at a later turn. */
static void dead_free(struct http_loop *l)
{
	struct connection *c = TAKE(l->dead), *next;

	for (; c != NULL; c = next) {
		next = c->next;
		if (!c->ready && !is_mailed(l, c)) {
			free(c);
			continue;
		}
		c->next = l->dead;
		l->dead = c;
	}
}

/* Those that events or mail of this loop name still stay for another turn. */
static void leaving_turn(struct http_loop *l)
{
	struct connection *next;

	for (struct connection *c = l->leaving.first; c != NULL; c = next) {
		next = c->next;
		if (c->ready || is_mailed(l, c))
			continue;
		list_remove(c);
		(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
		c->loop = TAKE(c->moves_to);
		c->state = CONNECTION_READS;
		http_loop_post(c); /* it is that loop's from here on */
	}
}

/* From now on mail has to wake the loop. False: some has come already, or the loop is to end. */
static bool may_sleep(struct http_loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->sleeping = l->mail == NULL && !l->stopping;
	bool may = l->sleeping;
	pthread_mutex_unlock(&l->lock);
	return may;
}

void http_loop_turn(struct http_loop *l, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];

	atomic_store_explicit(&l->owner, pthread_self(), memory_order_relaxed);
	int n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, timeout_ms);
	mail_run(l, l->ops->turn);
	events_take(events, n);
	ready_turn(l);
	uint64_t now_ms = sys.monotonic_ms();
	waiting_turn(l, now_ms);
	if (now_ms - l->tick_ms >= LOOP_TICK_MS)
		tick(l, now_ms);
	leaving_turn(l);
	dead_free(l);
}

void http_loop_rest(struct http_loop *l)
{
	(void)may_sleep(l); /* what has come already is due (http_loop_due_ms()) */
}

static bool is_stopping(struct http_loop *l)
{
	pthread_mutex_lock(&l->lock);
	bool stopping = l->stopping;
	pthread_mutex_unlock(&l->lock);
	return stopping;
}

static void *http_loop_main(void *arg)
{
	struct http_loop *l = arg;

	while (!is_stopping(l)) {
		uint64_t due = clock_due_ms(l);
		bool sleeps = may_sleep(l);
		http_loop_turn(l, sleeps ? clock_wait_ms(due, sys.monotonic_ms()) : 0);
	}
	return NULL;
}

/* ---- open, close ---- */

static bool descriptors_open(struct http_loop *l)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return l->epoll_fd >= 0 && l->wake_fd >= 0 &&
	       epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &e) == 0;
}

bool http_loop_open(struct http_server *s, const struct http_loop_ops *ops, bool guest,
		    struct http_loop **ret, struct error *err)
{
	struct http_loop *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return fail_memory(err);
	l->server = s;
	l->ops = ops;
	l->epoll_fd = l->wake_fd = -1;
	l->mail_end = &l->mail;
	l->ready_end = &l->ready;
	pthread_mutex_init(&l->lock, NULL);
	if (!descriptors_open(l)) {
		(void)!fail_sys(err, errno, "opening an event loop");
		http_loop_close(l);
		return false;
	}
	l->started = !guest && thread_start(&l->thread, "http-loop", http_loop_main, l, err);
	if (!l->started && !guest) {
		http_loop_close(l);
		return false;
	}
	*ret = l;
	return true;
}

/* One that has just come, and is in no list yet. */
static void come_close(struct connection *c)
{
	if (c->list == NULL && c->state != CONNECTION_CLOSED)
		c->loop->ops->close(c);
}

static void close_all(struct connection_list *list)
{
	while (list->first != NULL)
		list->first->loop->ops->close(list->first);
}

void http_loop_stop(struct http_loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	pthread_mutex_unlock(&l->lock);
	if (l->started) {
		wake(l);
		pthread_join(l->thread, NULL);
	}
	http_loop_turn(l, 0);
}

void http_loop_close(struct http_loop *l)
{
	if (l == NULL)
		return;
	mail_run(l, come_close);
	close_all(&l->idle);
	close_all(&l->waiting);
	close_all(&l->leaving);
	close_all(&l->busy);
	for (struct connection *c; (c = l->dead) != NULL; free(c))
		l->dead = c->next;
	auto_close(&l->epoll_fd);
	auto_close(&l->wake_fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* loop.c: epoll, and an eventfd whose lower half counts loop_wake(), its upper half loop_tell(). */
#include "client/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"

#define EVENTS_MAX 128
#define ONE_TOLD (UINT64_C(1) << 32)

void loop_look(struct loop *l)
{
	l->now_ms = sys.monotonic_ms();
}

bool loop_open(struct loop *l, struct error *err)
{
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event wake = { .events = EPOLLIN }; /* of no watch */
	loop_look(l);
	if (l->epoll_fd >= 0 && l->wake_fd >= 0 &&
	    epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &wake) == 0)
		return true;
	int saved = errno;
	loop_close(l);
	return fail_sys(err, saved, "opening the event loop");
}

void loop_close(struct loop *l)
{
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
}

static void woken_read(const struct loop *l, struct loop_woken *ret)
{
	uint64_t count;

	if (read(l->wake_fd, &count, sizeof(count)) < 0) {
		if (errno != EAGAIN)
			log_warn("client.wake_failed", kv_int("errno", errno));
		return;
	}
	ret->woken = count % ONE_TOLD > 0;
	ret->told = count / ONE_TOLD > 0;
}

struct loop_woken loop_wait(struct loop *l, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	struct loop_woken ret = { 0 };
	int n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, timeout_ms);

	loop_look(l);
	for (int i = 0; i < n; i++) {
		struct loop_watch *watch = events[i].data.ptr;
		if (watch != NULL)
			watch->ready(watch, events[i].events);
		else
			woken_read(l, &ret);
	}
	return ret;
}

static void count_up(const struct loop *l, uint64_t by)
{
	if (write(l->wake_fd, &by, sizeof(by)) < 0 && errno != EAGAIN)
		log_warn("client.wake_failed", kv_int("errno", errno));
}

void loop_wake(const struct loop *l)
{
	count_up(l, 1);
}

void loop_tell(const struct loop *l)
{
	count_up(l, ONE_TOLD);
}

/* `before` is what the caller believes; where the kernel knows better it is right. */
bool loop_watch(const struct loop *l, int fd, uint32_t before, uint32_t events,
		struct loop_watch *watch)
{
	struct epoll_event e = { .events = events, .data.ptr = watch };
	int op = before == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	if (events == 0)
		op = EPOLL_CTL_DEL;
	int failed = epoll_ctl(l->epoll_fd, op, fd, &e);
	if (failed != 0 && op == EPOLL_CTL_MOD && errno == ENOENT)
		failed = epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &e);
	else if (failed != 0 && op == EPOLL_CTL_ADD && errno == EEXIST)
		failed = epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, fd, &e);
	if (failed != 0 && errno != EBADF && errno != ENOENT) /* those two: it is closed already */
		log_warn("client.epoll_failed", kv_int("errno", errno));
	return failed == 0;
}

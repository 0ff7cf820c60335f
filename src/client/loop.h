/* loop.h: the one epoll set of a client, for all its sockets, and the descriptor that wakes it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

/* Embedded in what waits for a descriptor. It stays where it is for as long as the loop may have
 * seen an event of it: until the loop_wait() after the descriptor was taken out or closed. */
struct loop_watch {
	void (*ready)(struct loop_watch *watch, uint32_t events);
};

struct loop {
	int epoll_fd, wake_fd;
	uint64_t now_ms; /* since loop_wait() woke, or loop_look() */
};

/* What has woken it beside sockets and time. */
struct loop_woken {
	bool woken, told; /* loop_wake(), loop_tell() */
};

MUST_USE bool loop_open(struct loop *l, struct error *err);
void loop_close(struct loop *l);
/* Waits until `timeout_ms` have passed (-1: without end) or something happens, and calls those that
 * are ready. */
struct loop_woken loop_wait(struct loop *l, int timeout_ms);
/* The clock is read anew. */
void loop_look(struct loop *l);
/* Ends loop_wait(), now or at its next call. Any thread. */
void loop_wake(const struct loop *l);
/* Likewise, of another kind. */
void loop_tell(const struct loop *l);
/* Waits for `events` of the descriptor instead of `before`; 0: for none. False: it waits for
 * none. */
bool loop_watch(const struct loop *l, int fd, uint32_t before, uint32_t events,
		struct loop_watch *watch);

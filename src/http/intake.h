/* intake.h: reads for libmicrohttpd what clients send, and hands it only what framing.h has
 * checked.
 *
 * libmicrohttpd 0.9.75 puts a folded line behind its header's name, cuts values at a NUL, answers
 * some faults with a page of its own, one of them with two heads, and has no call through which its
 * user could see the bytes. But libmicrohttpd has one way to read: recv(). The program defines that
 * function itself (intake.c), before the C library's; for descriptors that were opened here the
 * bytes are checked on their way. That costs no system call, and no copy. A server on which that
 * had no effect refuses every request: request_begin() compares the two counts.
 *
 * A fault is answered here, straight into the socket, once all requests before it are answered;
 * then the sending side is closed, and what still comes is dropped until the client closes, too, or
 * DEADLINE_CLOSE_MS have gone: closing at once would send a reset, which can cost the client the
 * answer.
 *
 * Threads: one loop reads a connection. intake_seen() and intake_cut() may be called by any
 * thread. */
#pragma once

#include <stdatomic.h>

#include "http/deadline.h"
#include "http/framing.h"

struct intake {
	int fd;
	/* Makes the whole answer to a fault. In the loop. */
	void (*answer)(void *ctx, const struct framing_fault *fault, struct buf *to);
	void *ctx;
	struct framing framing;
	struct framing_fault fault;   /* found; its answer waits for the answers before it */
	_Atomic(enum awaited) stands; /* in the head, in a body, ... by what has been read */
	_Atomic uint64_t request, bytes;
	_Atomic uint64_t begun; /* requests of which the server knows */
	atomic_bool cut;        /* too late: no more is read */
	atomic_bool refused;    /* a fault was found, or it was cut */
};

/* `in` is the caller's, all zero but for answer and ctx; it must not move. False: no memory. */
MUST_USE bool intake_open(struct intake *in, int fd);
/* Before the descriptor is closed. */
void intake_close(struct intake *in);
/* The server begins a request. False: its bytes were not checked here. */
MUST_USE bool intake_begin(struct intake *in);

/* What the server waits for. `busy`: a request has begun and is not over. */
struct deadline_seen intake_seen(const struct intake *in, bool busy);
/* The client's time is over: 408, where a request was under way. The loop sends it. */
void intake_cut(struct intake *in);

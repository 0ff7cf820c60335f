/* intake.c: the table of descriptors, and recv(). */
#include "http/intake.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

/* ---- which descriptors: two levels, read without a lock ---- */

#define PAGE 1024u
#define PAGES 1024u

typedef struct intake *_Atomic intake_slot;

static intake_slot *_Atomic pages[PAGES]; /* never freed: each serves later connections */
static pthread_mutex_t pages_lock = PTHREAD_MUTEX_INITIALIZER;

static intake_slot *slot_of(int fd)
{
	if (fd < 0 || (unsigned)fd >= PAGE * PAGES)
		return NULL;
	intake_slot *page = atomic_load_explicit(&pages[(unsigned)fd / PAGE], memory_order_acquire);
	return page != NULL ? &page[(unsigned)fd % PAGE] : NULL;
}

static bool page_make(int fd)
{
	if (fd < 0 || (unsigned)fd >= PAGE * PAGES)
		return false;
	pthread_mutex_lock(&pages_lock);
	intake_slot *page = atomic_load(&pages[(unsigned)fd / PAGE]);
	if (page == NULL) {
		page = calloc(PAGE, sizeof(*page));
		atomic_store(&pages[(unsigned)fd / PAGE], page);
	}
	pthread_mutex_unlock(&pages_lock);
	return page != NULL;
}

bool intake_open(struct intake *in, int fd)
{
	if (!page_make(fd))
		return false;
	in->fd = fd;
	framing_init(&in->framing);
	atomic_store(slot_of(fd), in);
	return true;
}

void intake_close(struct intake *in)
{
	atomic_store(slot_of(in->fd), NULL);
	framing_done(&in->framing);
}

/* ---- the server's side ---- */

bool intake_begin(struct intake *in)
{
	uint64_t begun = atomic_fetch_add(&in->begun, 1) + 1;

	return begun <= in->framing.requests;
}

struct deadline_seen intake_seen(const struct intake *in, bool busy)
{
	struct deadline_seen seen = {
		.awaited = atomic_load(&in->stands),
		.request = atomic_load(&in->request),
		.bytes = atomic_load(&in->bytes),
	};
	bool begun = seen.request <= atomic_load(&in->begun);

	/* While a request before it is answered nothing is read. */
	if ((seen.awaited == AWAITS_HEAD && busy) ||
	    (seen.awaited == AWAITS_BODY && !(busy && begun)))
		seen.awaited = AWAITS_NOTHING;
	return seen;
}

void intake_cut(struct intake *in)
{
	atomic_store(&in->cut, true);
	atomic_store(&in->refused, true);
	/* The loop is told of it as of the other side's end, and reads. */
	shutdown(in->fd, SHUT_RD);
}

/* ---- reading ---- */

static void note_progress(struct intake *in, size_t n)
{
	const struct framing *f = &in->framing;
	enum awaited stands = framing_is_idle(f)      ? AWAITS_NOTHING
			      : framing_is_in_body(f) ? AWAITS_BODY
						      : AWAITS_HEAD;

	atomic_store_explicit(&in->request, f->requests, memory_order_relaxed);
	atomic_store_explicit(&in->bytes, in->bytes + n, memory_order_relaxed);
	atomic_store_explicit(&in->stands, stands, memory_order_relaxed);
}

#define DROPPED_MAX (1u << 20) /* in one go */

/* Reads and drops what comes after a refusal; as recv(). */
static ssize_t drop(const struct intake *in)
{
	char sink[16384];
	ssize_t n;

	for (size_t dropped = 0; dropped < DROPPED_MAX; dropped += (size_t)n) {
		n = recvfrom(in->fd, sink, sizeof(sink), MSG_DONTWAIT, NULL, NULL);
		if (n <= 0)
			return n;
	}
	return 0; /* it does not listen */
}

/* The answer fits into any socket that has nothing left to send; what does not is lost. */
static void send_answer(struct intake *in)
{
	struct buf answer = BUF(64u << 10);

	in->answer(in->ctx, &in->fault, &answer);
	if (!answer.failed)
		send(in->fd, answer.p, answer.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	buf_free(&answer);
	shutdown(in->fd, SHUT_WR);
	atomic_store(&in->stands, AWAITS_CLOSE);
}

static ssize_t refuse(struct intake *in)
{
	if (atomic_load(&in->stands) == AWAITS_CLOSE)
		return atomic_load(&in->cut) ? 0 : drop(in);
	send_answer(in);
	return drop(in);
}

static struct framing_fault late(const struct framing *f)
{
	return (struct framing_fault){ 408, framing_is_in_body(f) ? "its body comes too slowly"
								  : "its head comes too slowly" };
}

static ssize_t intake_read(struct intake *in, void *to, size_t size, int flags)
{
	if (atomic_load_explicit(&in->cut, memory_order_relaxed) && in->fault.why == NULL) {
		if (framing_is_idle(&in->framing))
			return 0; /* the rest has just come, and was answered */
		in->fault = late(&in->framing);
	}
	if (in->fault.why != NULL)
		return refuse(in);
	ssize_t n = recvfrom(in->fd, to, size, flags, NULL, NULL);
	if (n <= 0)
		return n;
	size_t whole = framing_read(&in->framing, (struct slice){ to, (size_t)n }, &in->fault);
	if (in->fault.why == NULL) {
		note_progress(in, (size_t)n);
		return n;
	}
	atomic_store(&in->refused, true);
	if (whole == 0)
		return refuse(in);
	/* The requests before the fault go first. After a short read the loop asks again only when
	 * told. */
	shutdown(in->fd, SHUT_RD);
	return (ssize_t)whole;
}

/* The C library's recv(), for the whole program. Its recvfrom() is the same system call. */
ssize_t intake_recv(int fd, void *to, size_t size, int flags) __asm__("recv");

ssize_t intake_recv(int fd, void *to, size_t size, int flags)
{
	intake_slot *slot = slot_of(fd);
	struct intake *in = slot != NULL ? atomic_load_explicit(slot, memory_order_acquire) : NULL;

	if (in == NULL || (flags & MSG_PEEK) != 0)
		return recvfrom(fd, to, size, flags, NULL, NULL);
	return intake_read(in, to, size, flags);
}

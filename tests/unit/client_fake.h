/* client_fake.h: a second client (client/client.h): a script answers each request, in virtual time.
 *
 *	exchange_start() -> script(request) -> answer: after_ms later its head, its body, its end
 *
 * client_wait() does not wait: it moves the clock on to what is due next, or by its time-out. The
 * clock is the whole program's: the fake takes sys.monotonic_* and sys.now_s over until it is
 * closed. One at a time; all in the test's own thread, but for client_wake(). */
#pragma once

#include "client/client.h"

#define FAKE_START_S 1700000000
#define FAKE_NEVER UINT64_MAX

struct fake_request {
	const char *method, *url;
	const struct header *headers; /* header_find() */
	size_t header_count;
	struct slice body;
	bool fresh, look_up, hasty;
	const char *header; /* the request's own; NULL: none */
	uint64_t at_ms;     /* of the fake's clock */
};

/* Zeroed it is a 200 without a body, at once. Texts are static. */
struct fake_answer {
	enum exchange_end how; /* EXCHANGE_UNREACHABLE, _CERTIFICATE, _PROXY: nothing is sent */
	int status;            /* 0: 200 where it is whole, else none came */
	struct header headers[4];
	const char *body;    /* NULL: "" */
	size_t piece;        /* bytes; 0: all of it is one */
	uint64_t connect_ms; /* until the request goes out */
	uint64_t after_ms; /* from then until its head; FAKE_NEVER: the exchange's time-out ends it */
	uint64_t gap_ms;   /* before each further piece, and before the end */
	const char *said; /* where it is not whole */
};

typedef void (*fake_script)(void *ctx, const struct fake_request *rq, struct fake_answer *ret);

/* The clock begins at 1,000 s, the date at FAKE_START_S. */
struct client *client_fake_open(fake_script script, void *ctx);
/* Moves the clock on by itself. */
void client_fake_sleep(uint64_t ms);
uint64_t client_fake_now_ms(void);
/* No wait goes beyond that, until it is set anew; FAKE_NEVER at first. */
void client_fake_until(struct client *c, uint64_t ms);
/* The connections break of all exchanges under way whose URL begins so. */
void client_fake_break(struct client *c, const char *url);

/* send.h: an answer's way into the socket. Private to http/. Loop thread. */
#pragma once

#include "http/server_impl.h"

enum sent {
	SEND_AGAIN,  /* there is more, but other connections have their turn first */
	SEND_FULL,   /* the socket takes no more */
	SEND_WAITS,  /* there is nothing more now: a worker or a stream will bring it */
	SEND_DONE,   /* all of it is sent */
	SEND_BROKEN, /* it cannot be sent to its end */
};

void out_init(struct out *out);
/* Lets go of what it holds; ready for the next. */
void out_done(struct out *out);

enum sent send_some(struct connection *c);

/* receive.h: reading. Private to http/. All in the thread of the connection's loop; true: there may be
 * more to do. */
#pragma once

#include "http/server_impl.h"

/* Reads on; of a connection that READS. */
bool receive_turn(struct connection *c);
/* A worker has begun the request; of one that was HANDED. */
void receive_begun(struct connection *c);
/* Offers the piece again for which there was no memory; of one that WAITS. */
bool receive_again(struct connection *c);
/* Drops what still comes; of one that DRAINS. */
bool receive_drain(struct connection *c);

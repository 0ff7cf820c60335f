/* address.h: which addresses events are sent to (contract 12): public ones. A receiver's URL comes
 * from a client, and what lowtide can reach of its own network is none of the client's business:
 * databases, consoles, the cloud's metadata.
 *
 * Public is what IANA's registries of special-purpose addresses leave (RFC 6890 and its updates),
 * less what carries another address inside: that one is judged, or the whole refused. Pure. */
#pragma once

#include <sys/socket.h>

/* NULL: it is public; else why it is refused, a sentence (static). A client_guard_fn. */
const char *address_refusal(const struct sockaddr *address);

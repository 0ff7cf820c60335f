/* command.h: what other threads ask of the dispatch thread: an entry of its queue, embedded in what it
 * is about. Asking again before it was seen adds to what is asked; the entry stands in the queue once. */
#pragma once

struct dispatch_command {
	struct dispatch_command *next;
	unsigned asked; /* bits, of the kind's own; 0: not in the queue */
	enum command_kind { COMMAND_BATCH, COMMAND_ONLINE, COMMAND_CALL } kind;
};

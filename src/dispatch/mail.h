/* mail.h: what other threads ask of the dispatch thread.
 *
 *	any thread: mail_post() ---> mailbox ---> mail_run(): m->run(d, m, asked)  (dispatch thread)
 *
 * An entry is embedded in what it is about and carries its function, so the mailbox knows no kind.
 * Posting an entry again before it was run adds to what is asked: an entry stands in the mailbox
 * once, and is run once for all that was asked of it. Entries are run in the order in which they
 * came to stand there. The owner keeps an entry until it was run for the last time. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct client;
struct dispatch;
struct mail;

/* `asked`: the bits that were posted since it was run last. The entry is out of the mailbox: the
 * function may free it, and any thread may post it again. */
typedef void (*mail_fn)(struct dispatch *d, struct mail *m, unsigned asked);

struct mail {
	struct mail *next;
	mail_fn run;
	unsigned asked; /* bits, of its function's own; 0: not in the mailbox */
};

struct mailbox {
	pthread_mutex_t lock; /* for all entries in it; innermost: nothing is locked under it */
	struct mail *first, **end;
	struct client *wakes;
};

/* The client is woken by each entry; NULL: none is. */
void mailbox_open(struct mailbox *b, struct client *wakes);
/* Entries that are still in it are never run. */
void mailbox_close(struct mailbox *b);

/* Any thread; does not block. `asked`: one bit at least. An entry is always posted with one and the
 * same function. */
void mail_post(struct mailbox *b, struct mail *m, mail_fn run, unsigned asked);
/* Whether mail_run() has something to do. Any thread. */
bool mail_waits(struct mailbox *b);
/* Runs all entries, those also that come meanwhile. The dispatch thread alone. */
void mail_run(struct mailbox *b, struct dispatch *d);

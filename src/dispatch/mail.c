/* mail.c: a list under one lock; an entry is taken out before its function runs, without the
 * lock. */
#include "dispatch/mail.h"

#include <assert.h>
#include <stddef.h>

#include "client/client.h"
#include "dispatch/thread.h"

void mailbox_open(struct mailbox *b, struct client *wakes)
{
	b->wakes = wakes;
	pthread_mutex_init(&b->lock, NULL);
	b->first = NULL;
	b->end = &b->first;
}

void mailbox_close(struct mailbox *b)
{
	pthread_mutex_destroy(&b->lock);
}

void mail_post(struct mailbox *b, struct mail *m, mail_fn run, unsigned asked)
{
	assert(asked != 0);
	pthread_mutex_lock(&b->lock);
	if (m->asked == 0) {
		m->next = NULL;
		m->run = run;
		*b->end = m;
		b->end = &m->next;
	}
	assert(m->run == run);
	m->asked |= asked;
	pthread_mutex_unlock(&b->lock);
	if (b->wakes != NULL && !on_dispatch_thread()) /* that one looks before it waits */
		client_wake(b->wakes);
}

bool mail_waits(struct mailbox *b)
{
	pthread_mutex_lock(&b->lock);
	bool waits = b->first != NULL;
	pthread_mutex_unlock(&b->lock);
	return waits;
}

/* NULL: the mailbox is empty. What is returned of the entry is of this moment: out of the mailbox it
 * may be posted again at any. */
static struct mail *mail_take(struct mailbox *b, mail_fn *ret_run, unsigned *ret_asked)
{
	pthread_mutex_lock(&b->lock);
	struct mail *m = b->first;
	if (m != NULL) {
		assert(m->asked != 0);
		b->first = m->next;
		if (b->first == NULL)
			b->end = &b->first;
		*ret_run = m->run;
		*ret_asked = m->asked;
		m->asked = 0;
	}
	pthread_mutex_unlock(&b->lock);
	return m;
}

void mail_run(struct mailbox *b, struct dispatch *d)
{
	struct mail *m;
	mail_fn run;
	unsigned asked;

	assert(on_dispatch_thread());
	while ((m = mail_take(b, &run, &asked)) != NULL)
		run(d, m, asked);
}

/* answers.c: two counters, and the condition that one of them has become 0. */
#include "http/answers.h"

#include <assert.h>

#include "base/clock.h"

void answers_init(struct answers *a)
{
	*a = (struct answers){ 0 };
	pthread_mutex_init(&a->lock, NULL);
	clock_cond_init(&a->none);
}

void answers_done(struct answers *a)
{
	pthread_cond_destroy(&a->none);
	pthread_mutex_destroy(&a->lock);
}

/* With the lock. */
static void one_less(struct answers *a, unsigned *count)
{
	assert(*count > 0);
	(*count)--;
	if (*count == 0)
		pthread_cond_signal(&a->none);
}

bool answers_begin(struct answers *a)
{
	pthread_mutex_lock(&a->lock);
	bool open = !a->closing;
	a->handling += open;
	pthread_mutex_unlock(&a->lock);
	return open;
}

void answers_ended(struct answers *a)
{
	pthread_mutex_lock(&a->lock);
	one_less(a, &a->handling);
	pthread_mutex_unlock(&a->lock);
}

void answers_to_client(struct answers *a)
{
	pthread_mutex_lock(&a->lock);
	a->sending++;
	one_less(a, &a->handling);
	pthread_mutex_unlock(&a->lock);
}

void answers_sent(struct answers *a)
{
	pthread_mutex_lock(&a->lock);
	one_less(a, &a->sending);
	pthread_mutex_unlock(&a->lock);
}

unsigned answers_close(struct answers *a, uint64_t unread_ms)
{
	pthread_mutex_lock(&a->lock);
	a->closing = true;
	while (a->handling > 0)
		pthread_cond_wait(&a->none, &a->lock);
	struct timespec until = clock_after_ms(unread_ms);
	while (a->sending > 0 && pthread_cond_timedwait(&a->none, &a->lock, &until) == 0)
		;
	unsigned unread = a->sending;
	pthread_mutex_unlock(&a->lock);
	return unread;
}

/* several.c: see several.h. */
#include "base/several.h"

#include <pthread.h>

#include "base/worker.h"

struct several {
	several_fn step;
	void *ctx;
	size_t steps;
	pthread_mutex_t lock; /* for all below */
	size_t next;
	bool failed;
	struct error fault; /* the first */
};

/* False: there is none left, or one has failed. */
static bool step_take(struct several *s, size_t *ret)
{
	pthread_mutex_lock(&s->lock);
	bool more = !s->failed && s->next < s->steps;
	if (more)
		*ret = s->next++;
	pthread_mutex_unlock(&s->lock);
	return more;
}

static void step_failed(struct several *s, const struct error *err)
{
	pthread_mutex_lock(&s->lock);
	if (!s->failed)
		s->fault = *err;
	s->failed = true;
	pthread_mutex_unlock(&s->lock);
}

static void *steps_run(void *arg)
{
	struct several *s = arg;
	struct error err;
	size_t i;

	while (step_take(s, &i))
		if (!s->step(s->ctx, i, &err))
			step_failed(s, &err);
	return NULL;
}

bool several_do(const char *name, several_fn step, void *ctx, size_t steps, struct error *err)
{
	struct several s = { .step = step, .ctx = ctx, .steps = steps };
	pthread_t threads[SEVERAL - 1];
	unsigned n = 0;

	pthread_mutex_init(&s.lock, NULL);
	while (n < SEVERAL - 1 && n + 1 < steps &&
	       thread_start(&threads[n], name, steps_run, &s, err))
		n++;
	steps_run(&s);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&s.lock);
	if (s.failed)
		*err = s.fault;
	return !s.failed;
}

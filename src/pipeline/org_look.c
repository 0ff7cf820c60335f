/* org_look.c: see org_look.h. */
#include "pipeline/org_look.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"
#include "pipeline/cancel.h"
#include "pipeline/coordinator.h"
#include "pipeline/day_look.h"
#include "pipeline/pipeline.h"

#define LOOK_MS 100
#define QUEUE_LOOKS 4 /* so many of these for a look at the queues */
#define ASK_EVERY_MS 5000
#define CANCEL_AT_ONCE 64

void org_look_init(struct org_look *o, struct coordinator_env *env, struct batch_table *table)
{
	*o = (struct org_look){ .env = env, .table = table };
}

void org_look_done(struct org_look *o)
{
	free(o->suspended);
}

/* ---- what is asked, and when ---- */

static bool is_due(const struct org_question *q, uint64_t stamp)
{
	return q->stamp != stamp || sys.monotonic_ms() >= q->until_ms;
}

/* `stamp` is from before it was asked. What failed is asked again at the next look. */
static void answered(struct org_question *q, uint64_t stamp, bool ok)
{
	q->stamp = stamp;
	q->until_ms = ok ? sys.monotonic_ms() + ASK_EVERY_MS : 0;
}

/* ---- organizations that are suspended ---- */

struct suspended_call {
	const char (*orgs)[ID_SIZE];
	size_t n;
};

static void on_suspended(void *ctx, struct coordinator *c)
{
	const struct suspended_call *call = ctx;

	coordinator_suspend(c, call->orgs, call->n);
}

/* Batches are told of a change; who begins to run asks the store itself. */
static bool suspended_tell(struct org_look *o, struct error *err)
{
	char(*orgs)[ID_SIZE] = NULL;
	size_t n;

	if (!store_orgs_suspended(o->env->store, NULL, &orgs, &n, err))
		return false;
	if (n == o->suspended_n && (n == 0 || memcmp(orgs, o->suspended, n * ID_SIZE) == 0)) {
		free(orgs);
		return true;
	}
	free(o->suspended);
	o->suspended = orgs;
	o->suspended_n = n;
	struct suspended_call call = { (const char(*)[ID_SIZE])orgs, n };
	batch_table_each(o->table, on_suspended, &call);
	return true;
}

/* A crash in between leaves batches that are asked for again. */
static bool suspended_cancel(struct org_look *o, struct error *err)
{
	AUTO(auto_free) char(*ids)[ID_SIZE] = NULL;
	size_t n;
	bool final, ok = true;

	if (!store_batches_to_cancel(o->env->store, CANCEL_AT_ONCE, &ids, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct batch_call call = { o->env->store, o->table, NULL, ids[i] };
		if (batch_cancel(&call, &final, err))
			log_info("batch.cancelled_by_operator", kv_str("batch", ids[i]));
		else
			ok = false;
	}
	return ok;
}

/* While any is suspended, batches of it may come that were made as it was. */
static bool suspended_look(struct org_look *o, uint64_t stamp, struct error *err)
{
	if (o->suspended_n == 0 && !is_due(&o->suspended_asked, stamp))
		return true;
	bool ok = suspended_tell(o, err);
	ok = suspended_cancel(o, err) && ok;
	answered(&o->suspended_asked, stamp, ok);
	return ok;
}

/* ---- what waits for the limits of its organization ---- */

struct queue_call {
	const struct queue_place *places; /* NULL: there are no limits */
	size_t n;
};

static void on_queue(void *ctx, struct coordinator *c)
{
	const struct queue_call *call = ctx;

	coordinator_queue(c, call->places, call->n);
}

static bool queue_tell(struct org_look *o, struct error *err)
{
	AUTO(auto_free) struct queue_place *places = NULL;
	bool limited, was_limited = o->env->queue_limited;
	size_t n;

	if (!store_queue(o->env->store, &o->env->config->org_queue, &limited, &places, &n, err))
		return false;
	o->env->queue_limited = limited;
	if (!limited && !was_limited)
		return true;
	struct queue_call call = { limited ? places : NULL, n };
	batch_table_each(o->table, on_queue, &call);
	return true;
}

static bool queue_look(struct org_look *o, uint64_t stamp, struct error *err)
{
	if (o->looks++ % QUEUE_LOOKS != 0 ||
	    (!o->env->queue_limited && !is_due(&o->queue_asked, stamp)))
		return true;
	bool ok = queue_tell(o, err);
	answered(&o->queue_asked, stamp, ok);
	return ok;
}

/* ---- tokens of the day ---- */

static bool days_look(struct org_look *o, uint64_t stamp, struct error *err)
{
	struct coordinator_env *env = o->env;
	bool due = is_due(&o->days_asked, stamp);
	bool ok = day_look(env->day, env->store, o->table, env->time_is_good(env->ctx), due, err);

	if (due || !ok)
		answered(&o->days_asked, stamp, ok);
	return ok;
}

/* ---- all of it ---- */

bool org_look_begin(struct org_look *o, struct error *err)
{
	uint64_t stamp = store_operator_stamp(o->env->store);

	return queue_tell(o, err) && days_look(o, stamp, err);
}

/* Each is done, whatever the others came to. */
static void look(void *arg)
{
	struct org_look *o = arg;
	struct error err;
	uint64_t stamp = store_operator_stamp(o->env->store);

	bool ok = suspended_look(o, stamp, &err);
	ok = queue_look(o, stamp, &err) && ok;
	ok = days_look(o, stamp, &err) && ok;
	if (!ok && !o->failed)
		log_fault("pipeline.suspended_unknown", &err);
	o->failed = !ok;
	if (!o->env->closing)
		workers_post_after(o->env->workers, &o->work, look, o, LOOK_MS);
}

void org_look_start(struct org_look *o)
{
	look(o);
}

/* whole_unit.h: the pipeline itself (pipeline.h) on what pipeline_unit.h has: dispatch as a whole
 * is the test's too, and while the pipeline waits for its batches at the opening they have their
 * turns, and time passes (--wrap=usleep). */
#pragma once

#include "pipeline_unit.h"

#include "client/client.h"
#include "pipeline/pipeline.h"

static struct {
	struct pipeline_config config;
	struct pipeline *p; /* NULL: closed */
	char batch_id[ID_SIZE];
	bool opening; /* in the test's thread */
	/* what dispatch was told */
	struct client *client; /* that it took over */
	size_t upstreams;
	uint64_t drain_ms;
	bool online_closed, stopped;
} whole;

/* ---- dispatch ---- */

bool dispatch_open(const struct dispatch_config *config, const struct upstream_config *upstreams,
		   size_t upstream_count, const struct dispatch_ops *ops, void *ctx,
		   struct dispatch **ret, struct error *e)
{
	(void)upstreams;
	(void)ctx;
	(void)e;
	assert_ptr_equal(ops->ended, worker_dispatch_ops.ended);
	whole.client = config->client;
	whole.upstreams = upstream_count;
	whole.stopped = false;
	*ret = (struct dispatch *)&whole; /* opaque to those who get it */
	return true;
}

void dispatch_stop(struct dispatch *d)
{
	whole.stopped = d != NULL;
}

void dispatch_close(struct dispatch *d)
{
	if (d != NULL)
		client_close(TAKE(whole.client));
}

bool dispatch_drain(struct dispatch *d, uint64_t timeout_ms)
{
	(void)d;
	whole.drain_ms = timeout_ms;
	return true;
}

/* Of nodes alone: none of the tests has any. */
void dispatch_drives(struct dispatch *d, const char *upstream, bool drives)
{
	(void)d;
	(void)upstream;
	(void)drives;
	abort();
}

void dispatch_deadline(struct dispatch *d, int64_t (*deadline_us)(void *ctx), void *ctx)
{
	(void)d;
	(void)deadline_us;
	(void)ctx;
	abort();
}

bool dispatch_idle_upstream(struct dispatch *d, const char *upstream)
{
	(void)d;
	(void)upstream;
	abort();
}

size_t dispatch_driven_models(struct dispatch *d, char ***ret)
{
	(void)d;
	(void)ret;
	abort();
}

bool dispatch_drives_model(struct dispatch *d, const char *model, enum drives_how how)
{
	(void)d;
	(void)model;
	(void)how;
	abort();
}

bool dispatch_view(struct dispatch *d, const struct view_asked *asked, struct scheduling_view *ret,
		   struct error *e)
{
	(void)e;
	assert_ptr_equal(d, &whole);
	*ret = (struct scheduling_view){ .whose = asked->whose, .online_requests = 5 };
	return true;
}

void scheduling_view_done(struct scheduling_view *v)
{
	buf_free(&v->memory);
}

void dispatch_online_close(struct dispatch *d)
{
	(void)d;
	whole.online_closed = true;
}

bool dispatch_guest(struct dispatch *d, const struct client_guest *guest, struct error *e)
{
	(void)d;
	(void)guest;
	(void)e;
	return true;
}

bool dispatch_upstreams(struct dispatch *d, const struct upstream_config *list, size_t n,
			struct error *e)
{
	(void)d;
	(void)list;
	(void)e;
	whole.upstreams = n;
	return true;
}

/* ---- waiting ---- */

int __real_usleep(useconds_t us);
int __wrap_usleep(useconds_t us);

int __wrap_usleep(useconds_t us)
{
	if (!whole.opening)
		return __real_usleep(us);
	world_sys.ms += us / 1000;
	(void)turn_take();
	return 0;
}

/* ---- the pipeline ---- */

static inline void whole_init(void)
{
	memset(&whole, 0, sizeof(whole));
	turns_forget();
	fake_reset();
	world_open();
	recorder_close(TAKE(world.recorder)); /* the pipeline has its own */
	whole.config = (struct pipeline_config){ .rules = { .profile = PROFILE_OPENAI },
						 .upstream_count = 1,
						 .drain_ms = 5000,
						 .sweep_ms = 3600000 };
}

static inline bool whole_open(void)
{
	whole.opening = true;
	bool ok = pipeline_open(world.dir, &whole.config, world.store, world.blobs, &whole.p, &err);
	whole.opening = false;
	return ok;
}

/* The process ends. */
static inline void whole_close(void)
{
	pipeline_close(TAKE(whole.p));
	turns_forget();
	fake_reset();
}

/* A batch of `n` lines is made, and the pipeline told. */
static inline void whole_batch(unsigned n)
{
	upload_lines(n);
	batch_insert(whole.batch_id);
	pipeline_submit(whole.p, whole.batch_id);
	turns_take();
}

static inline enum batch_status whole_status(void)
{
	struct batch b = batch_row(whole.batch_id);

	batch_done(&b);
	return b.status;
}

/* Without the texts of its row. */
static inline struct batch_view whole_view(void)
{
	struct batch_view v = { .row = batch_row(whole.batch_id) };

	pipeline_view(whole.p, &v);
	batch_view_done(&v);
	return v;
}

/* Answers that line, durably. */
static inline void whole_answer(uint64_t record)
{
	unsigned before = fake.recorded;

	fake_answer(record, 200);
	WAIT_UNTIL(fake.recorded == before + 1);
}

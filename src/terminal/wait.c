/* wait.c: see wait.h. */
#include "terminal/wait.h"

#include "terminal/batches.h"
#include "terminal/report.h"
#include "terminal/waiting.h"

/* People read what came of it on standard error; scripts get the object. */
static bool on_ended(void *ctx, const json_t *batch, struct error *err)
{
	struct output *out = ctx;

	if (out->form != OUTPUT_TABLE)
		return output_object(out, &batches_layout, batch, err);
	waiting_tell(batch);
	return true;
}

/* Whole ids, in one allocation: *ret. */
static bool ids_make(const struct wait_options *o, char (**ret)[BATCH_ID_BYTES],
		     const char ***ret_ids, struct error *err)
{
	*ret = calloc(o->id_count, sizeof(**ret));
	*ret_ids = calloc(o->id_count, sizeof(**ret_ids));
	if (*ret == NULL || *ret_ids == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < o->id_count; i++) {
		if (!asked_batch_id(o->ids[i], (*ret)[i], err))
			return false;
		(*ret_ids)[i] = (*ret)[i];
	}
	return true;
}

static bool wait_on(const struct wait_options *o, enum waiting_code *ret, struct error *err)
{
	AUTO(auto_free) char(*texts)[BATCH_ID_BYTES] = NULL;
	AUTO(auto_free) const char **ids = NULL;
	struct waiting w = { .org = o->asked.org, .timeout_s = o->timeout_s, .ended = on_ended };
	struct output out;

	if (!ids_make(o, &texts, &ids, err) ||
	    !asked_open_patient(&o->asked, WAITING_PATIENCE_S, &w.remote, err))
		return false;
	output_open(&out, o->asked.form);
	w.ctx = &out;
	w.shows = o->asked.form == OUTPUT_TABLE;
	bool good = waiting_run(&w, ids, o->id_count, ret, err);
	remote_close(w.remote);
	return good;
}

int batches_wait(const struct wait_options *o)
{
	enum waiting_code code;
	struct error err;

	if (!wait_on(o, &code, &err)) {
		report(&err);
		return EXIT_FAULT;
	}
	if (code == WAITING_TIMEOUT)
		fputs("lowtide: time is up, and not all have ended; the same call waits on\n",
		      stderr);
	return (int)code;
}

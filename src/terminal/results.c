/* results.c: see results.h. */
#include "terminal/results.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "terminal/batches.h"
#include "terminal/file_get.h"
#include "terminal/member.h"
#include "terminal/place.h"
#include "terminal/questions.h"
#include "terminal/report.h"
#include "terminal/waiting.h"

static bool fail_running(const json_t *batch, struct error *err)
{
	const char *id = member_string(batch, "id");

	return fail(
		err, ERR_CONFLICT,
		"%s is %s, and its result files are made at the end: `lowtide results --follow %s` "
		"shows what there is and what comes, `lowtide wait %s` waits",
		id, member_string(batch, "status"), id, id);
}

static bool files_get(struct remote *r, const struct results_options *o, const json_t *batch,
		      struct questions *q, struct error *err)
{
	return file_get(r, member_string(batch, "output_file_id"), o->output, q, err) &&
	       file_get(r, member_string(batch, "error_file_id"), o->errors, q, err);
}

static void tell_unanswered(const struct results_options *o, uint64_t n)
{
	if (o->errors == NULL && n > 0)
		fprintf(stderr,
			"lowtide: %" PRIu64
			" lines have no answer: --errors FILE gets them, each with the reason\n",
			n);
}

static bool batch_files_get(struct remote *r, const struct results_options *o, struct questions *q,
			    struct error *err)
{
	json_t *batch = NULL;

	if (!asked_batch(r, &o->asked, o->id, &batch, err))
		return false;
	bool good = batch_has_ended(batch) || fail_running(batch, err);
	if (good && !o->told && strcmp(member_string(batch, "status"), "failed") == 0)
		waiting_tell(batch);
	good = good && files_get(r, o, batch, q, err);
	if (good)
		tell_unanswered(o, waiting_unanswered(batch));
	json_decref(batch);
	return good;
}

static void tell_missing(const struct results_options *o, const struct questions *q)
{
	if (q != NULL && q->missing > 0)
		fprintf(stderr,
			"lowtide: %" PRIu64
			" lines have no request in %s: is it the file that the batch was "
			"made of?\n",
			q->missing, o->merge);
}

bool results_fetch(struct remote *r, const struct results_options *o, struct error *err)
{
	struct questions questions = { .fd = -1 };
	struct questions *q = o->merge != NULL ? &questions : NULL;
	uint64_t unanswered = 0;
	bool good = q == NULL || questions_open(q, o->merge, err);

	if (good && o->follow) {
		good = results_follow(r, o, q, &unanswered, err);
		if (good)
			tell_unanswered(o, unanswered);
	} else if (good) {
		good = batch_files_get(r, o, q, err);
	}
	if (good)
		tell_missing(o, q);
	questions_close(&questions);
	return good;
}

bool results_places_check(const char *input, const char *output, const char *errors,
			  struct error *err)
{
	if (place_same(output, errors))
		return fail(err, ERR_INVALID, "-o and --errors name the same file, %s", output);
	if (place_same(input, output) || place_same(input, errors))
		return fail(err, ERR_INVALID, "the results cannot go into the input file %s",
			    input);
	return place_check(output, err) && place_check(errors, err);
}

int results(const struct results_options *o)
{
	struct results_options with = *o;
	char id[BATCH_ID_BYTES];
	struct remote *r = NULL;
	struct error err;

	with.output = o->output != NULL ? o->output : "-";
	with.id = id;
	bool good = asked_batch_id(o->id, id, &err) &&
		    results_places_check(with.merge, with.output, with.errors, &err) &&
		    asked_open_patient(&o->asked, WAITING_PATIENCE_S, &r, &err) &&
		    results_fetch(r, &with, &err);
	remote_close(r);
	if (good)
		return EXIT_GOOD;
	report(&err);
	return exit_code(&err);
}

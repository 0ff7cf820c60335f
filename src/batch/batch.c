/* batch.c: the tables behind the nouns, and the state machine:
 *
 *	validating ---> in_progress ---> finalizing ---> completed
 *	     |               |                |
 *	     +---------------+----------------+---> cancelling ---> cancelled
 *	     +---------------+----------------+---> failed
 *	     +---------------+--------------------> expired
 *	     +------------------------------------> cancelled, if there is nothing to stop
 *
 * BATCH_STATES in batch.h is the whole of it; no other edge exists. */
#include "batch/batch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/duration.h"

/* ---- file ---- */

const char *file_purpose_name(enum file_purpose purpose)
{
	static const char *const names[] = {
		[PURPOSE_BATCH] = "batch",
		[PURPOSE_BATCH_OUTPUT] = "batch_output",
	};

	return names[purpose];
}

/* ---- batch ---- */

#define TO(status) (1u << BATCH_##status)
static const struct {
	const char *name;
	unsigned next; /* a bit for each state that may follow */
} states[BATCH_STATUS_COUNT] = {
#define X(name, text, next) [BATCH_##name] = { text, next },
	BATCH_STATES(X)
#undef X
};

const char *batch_status_name(enum batch_status status)
{
	return states[status].name;
}

bool batch_status_from_name(struct slice name, enum batch_status *ret)
{
	for (unsigned i = 0; i < BATCH_STATUS_COUNT; i++) {
		if (!slice_is(name, states[i].name))
			continue;
		*ret = (enum batch_status)i;
		return true;
	}
	return false;
}

bool batch_may(enum batch_status from, enum batch_status to)
{
	return (states[from].next & (1u << to)) != 0;
}

bool batch_is_final(enum batch_status status)
{
	return states[status].next == 0;
}

void batch_done(struct batch *b)
{
	free(b->model);
	free(b->metadata);
	free(b->errors);
	free(b->causes);
	batch_options_done(&b->options);
	b->model = NULL;
	b->metadata = NULL;
	b->errors = NULL;
	b->causes = NULL;
}

/* ---- completion_window ---- */

bool window_parse(struct slice text, const struct window_rule *rule, uint64_t *ret_s)
{
	uint64_t window_s;

	if (rule->only_24h && !slice_is(text, "24h"))
		return false;
	if (!duration_parse(text, &window_s) || text.p[0] == '0')
		return false;
	char unit = text.p[text.n - 1];
	if ((unit == 's' || unit == 'm') && !rule->seconds_and_minutes)
		return false;
	if (!rule->only_24h && (window_s < rule->min_s || window_s > rule->max_s))
		return false;
	*ret_s = window_s;
	return true;
}

void window_describe(const struct window_rule *rule, char *to, size_t size)
{
	char least[24], most[24];
	uint64_t day_s = 86400;

	if (rule->only_24h) {
		snprintf(to, size, "'24h'");
		return;
	}
	duration_format(rule->min_s, least);
	duration_format(rule->max_s, most);
	int n = snprintf(to, size, "a whole number of %s from %s to %s, such as ",
			 rule->seconds_and_minutes ? "seconds, minutes, hours or days"
						   : "hours or days",
			 least, most);
	if (n < 0 || (size_t)n >= size)
		return;
	/* The examples have to be ones that would be taken. */
	if (rule->min_s <= day_s && rule->max_s >= 3 * day_s)
		snprintf(to + n, size - (size_t)n, "'24h' or '3d'");
	else
		snprintf(to + n, size - (size_t)n, "'%s'", most);
}

/* model.c: see model.h. */
#include "dispatch/model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct model *model_new(const char *name, const struct schedule_ops *ops)
{
	struct model *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->name = strdup(name);
	m->schedule = schedule_open(ops);
	if (m->name == NULL || m->schedule == NULL) {
		model_free(m);
		return NULL;
	}
	return m;
}

void model_free(struct model *m)
{
	assert(m->lanes == NULL && m->batches == 0 && !retry_has_any(&m->retry));
	schedule_close(m->schedule);
	retry_done(&m->retry);
	free(m->name);
	free(m);
}

struct model *model_find(struct model *first, const char *name)
{
	for (struct model *m = first; m != NULL; m = m->next)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

#define LEARN_LINES 256u /* a line counts for one in so many */

void model_learn(struct model *m, double body_bytes, uint64_t input_tokens, uint64_t output_tokens)
{
	struct model_learnt *l = &m->learnt;

	l->lines++;
	double weight = 1.0 / (double)(l->lines < LEARN_LINES ? l->lines : LEARN_LINES);
	l->body_bytes += (body_bytes - l->body_bytes) * weight;
	l->input_tokens += ((double)input_tokens - l->input_tokens) * weight;
	l->output_tokens += ((double)output_tokens - l->output_tokens) * weight;
}

bool model_has_line(const struct model *m)
{
	return schedule_has_line(m->schedule) || retry_has_any(&m->retry);
}

bool model_is_told(const struct model *m)
{
	return (m->known || m->labelled) && strcmp(m->name, OTHER_MODELS) != 0 &&
	       strlen(m->name) <= MODEL_LABEL_MAX;
}

bool model_label_get(struct model_labels *labels, const char *name)
{
	for (unsigned i = 0; i < labels->count; i++)
		if (strcmp(labels->names[i], name) == 0)
			return true;
	if (labels->count == OTHER_MODELS_MAX || strlen(name) > MODEL_LABEL_MAX)
		return false;
	labels->names[labels->count] = strdup(name);
	return labels->names[labels->count] != NULL && ++labels->count > 0;
}

void model_labels_free(struct model_labels *labels)
{
	while (labels->count > 0)
		free(labels->names[--labels->count]);
}

/* model.h: a model that batches ask for: its schedule, the lines of it that wait to be sent again,
 * and the lanes to the upstreams that serve it. The struct is laid out for dispatch's files;
 * dispatch's thread alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "batch/stall.h"
#include "dispatch/pace.h"
#include "dispatch/retry.h"
#include "schedule/schedule.h"

/* Clients invent names of models. A label in the figures has each that an upstream lists or
 * reports, and the first so many others since the start; the rest are told of as one. */
#define OTHER_MODELS_MAX 32u
#define OTHER_MODELS "(others)"
#define MODEL_LABEL_MAX 128u /* bytes; a longer name is one of the others */

struct flow;
struct lane;

/* What its lines took, lately, of those whose answers said their tokens: means. Forgotten with the
 * model, and at a restart; learnt anew from the first lines. */
struct model_learnt {
	uint64_t lines;
	double body_bytes, input_tokens, output_tokens; /* of a line */
};

struct model {
	struct model *next;
	char *name; /* "": lines that name none */
	struct schedule *schedule;
	struct lane *lanes;
	struct retry retry; /* lines that wait to be sent again; room for all that it has */
	unsigned batches;
	struct flow *probed; /* of batches that have failed a probe: others take their turn first */
	enum batch_stall stall; /* of its batches, as far as upstreams are the reason */
	char stall_text[STALL_TEXT_BYTES];
	bool certificate;    /* a refused certificate is the reason */
	bool unlisted_told;  /* the log was told that no upstream lists it */
	double answer_bytes; /* of its lines, lately; 0: none has come */
	struct model_learnt learnt;
	bool no_memory; /* at the last look there was none for one more */
	bool known;     /* some upstream lists or reports it */
	bool labelled;  /* it has a label all the same */
	double slots;   /* for its lines, in use or free, lately */
	struct pace pace;
	uint64_t idle_since_ms, busy_since_ms;
};

/* Those of the invented names that have a label, for as long as we run: who collects the figures
 * keeps every label that ever was. */
struct model_labels {
	char *names[OTHER_MODELS_MAX];
	unsigned count;
};

/* NULL: no memory. */
struct model *model_new(const char *name, const struct schedule_ops *ops);
/* It has no lanes, and no line waits. */
void model_free(struct model *m);

/* Among those from `first` on; NULL: there is none of that name. */
struct model *model_find(struct model *first, const char *name);
/* Whether lines of it wait or are to come. */
bool model_has_line(const struct model *m);
/* Whether it has a label of its own in the figures. */
bool model_is_told(const struct model *m);

/* One more line has ended. */
void model_learn(struct model *m, double body_bytes, uint64_t input_tokens, uint64_t output_tokens);

/* Whether the name has one of the labels, or gets one now. */
bool model_label_get(struct model_labels *labels, const char *name);
void model_labels_free(struct model_labels *labels);

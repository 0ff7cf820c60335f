/* reported.h: which models an upstream says that it has: the answer to GET /v1/models. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

struct reported_model {
	char *id, *owned_by; /* `owned_by` may be NULL */
	int64_t created;     /* Unix s; 0: it does not say */
	char *more;          /* its other members as they came: `,"root":"/m"`; or NULL */
};

/* Begins as { 0 }: the upstream has not said. */
struct reported {
	struct reported_model *models;
	size_t n;
};

/* Reads {"object":"list","data":[…]}. False: the text is something else, or memory is out; *ret is
 * empty then. A model without a usable id is passed over. */
MUST_USE bool reported_read(struct slice text, struct reported *ret);
void reported_done(struct reported *r);
/* Whether both name the same models in the same order, whatever else they say of these. */
bool reported_same(const struct reported *a, const struct reported *b);
/* NULL: there is none of that id. */
const struct reported_model *reported_find(const struct reported *r, const char *id);

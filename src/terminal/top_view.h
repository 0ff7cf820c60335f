/* top_view.h: what a server does, as rows: nodes where there are several, upstreams, models on
 * them, models, organizations, limits. Made of the API's answers; what the key may not see is not
 * there. No I/O, no clock. */
#pragma once

#include "terminal/output.h"

struct top_look {
	json_t *scheduling; /* GET /lowtide/scheduling */
	json_t *orgs;       /* with an operator's key, an array of /lowtide/orgs/NAME; else NULL */
	json_t *limits;     /* else the data of /lowtide/limits; or NULL */
	json_t *nodes;      /* with an operator's key, the data of /lowtide/nodes; or NULL */
};

void top_look_done(struct top_look *l);

/* Appends tables, within `width`; `at`: what the server is. */
void top_tables(const struct top_look *l, const char *at, size_t width, bool colored, int64_t now_s,
		struct buf *to);
/* Appends lines of values between tabs, the first of which is the kind: node, upstream, lane, model,
 * org, limit. */
void top_plain(const struct top_look *l, struct buf *to);
/* Appends {"scheduling":…,"orgs":…,"limits":…,"nodes":…} as one line. */
void top_json(const struct top_look *l, struct buf *to);

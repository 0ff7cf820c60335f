/* filter.h: what a list of batches is asked for in its query (contract 11.3):
 *
 *	?status=failed,expired&created_after=N&created_before=N&metadata[KEY]=VALUE
 *
 * `status` may come several times, and as `status[]`, as SDKs write an array; `metadata[...]` for
 * each pair. A bracket in a key is the key's. */
#pragma once

#include "api/metadata.h"
#include "http/server.h"
#include "store/store.h"

struct batch_filter {
	struct batch_query query; /* but `org`, `after` and `limit` */
	struct batch_label labels[BATCH_LABELS_MAX];
	char keys[BATCH_LABELS_MAX][METADATA_KEY_CHARACTERS_MAX * 4 + 1];
};

/* Values are borrowed from the request. *ret stays where it is: its query points into it. INVALID,
 * with the codes of contract 5.2. */
MUST_USE bool filter_read(const struct http_request *q, struct batch_filter *ret,
			  struct error *err);

/* The parts of it: nothing is asked for; and one name and value of the query, decoded, is taken or,
 * where the name is no filter's, passed over. */
void filter_begin(struct batch_filter *f);
MUST_USE bool filter_add(struct batch_filter *f, const char *name, const char *value,
			 struct error *err);

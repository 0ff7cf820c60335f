/* asked.h: what the commands that ask a server have in common: where it is, the key, the form of the
 * answer; and their calls about one batch. */
#pragma once

#include "remote/remote.h"
#include "terminal/output.h"

struct asked {
	const char *url, *key, *ca_file; /* NULL: not given */
	const char *org;                 /* with an operator's key; NULL: the key's own */
	enum output_form form;
};

/* An outage is told on standard error. */
MUST_USE bool asked_open(const struct asked *a, struct remote **ret, struct error *err);
/* The same, for one that puts up with `patience_s` of it. */
MUST_USE bool asked_open_patient(const struct asked *a, unsigned patience_s, struct remote **ret,
				 struct error *err);

/* The id of a batch as it was given, or, of 32 hex digits alone, with the "batch_" before it. */
#define BATCH_ID_BYTES 128u
MUST_USE bool asked_batch_id(const char *given, char ret[static BATCH_ID_BYTES], struct error *err);
/* "/batches/ID", and behind it `action` ("/cancel", or "") and the organization. malloc'ed; NULL: no
 * memory. */
char *asked_batch_path(const struct asked *a, const char *id, const char *action);
/* The batch object. */
MUST_USE bool asked_batch(struct remote *r, const struct asked *a, const char *id, json_t **ret,
			  struct error *err);

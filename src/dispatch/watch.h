/* watch.h: what is asked of an upstream beside its work: its metrics, two to four times a second
 * while lines are in flight; now and then which models it has; once, of SGLang and llama.cpp, how
 * many slots it has; and, while it is down, whether it is well.
 *
 * Whatever comes back (rubbish, 404, nothing at all) costs no more than a small request now and
 * then: an answer that is of no use is asked for less and less often.
 *
 * Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "dispatch/transfer.h"
#include "upstream/gauges.h"

/* Who is told what the polls find out, and asked what they are for. */
struct poll_ops {
	/* The load of its engine matters at the moment. */
	bool (*busy)(const struct upstream *u);
	/* Since when it or a model on it is down: then its health is asked for. 0: it is not. */
	uint64_t (*ailing_since_ms)(const struct upstream *u);
	/* u->gauges are new, or, !u->has_gauges, there are none. */
	void (*gauges)(struct upstream *u, uint64_t now_us);
	/* What an upstream reports is new. `others`: other models than before. */
	void (*models)(struct dispatch *d, bool others);
	void (*health)(struct upstream *u, bool good, uint64_t now_ms);
};

/* A question that is put to an upstream regularly. */
struct watch {
	struct watches *of;
	struct transfer transfer; /* opened when it is first asked */
	struct buf text;
	uint64_t sent_us; /* the last time */
	uint64_t due_ms;
	unsigned failures; /* in a row */
};

/* All that one upstream is asked. */
struct watches {
	struct upstream *upstream;
	const struct poll_ops *ops;
	const struct headers *headers; /* of each question */
	char *metrics_url, *models_url, *health_url;
	struct watch metrics, models, health, slots;
	bool models_told;      /* the log was told that it does not say which models it has */
	bool health_by_models; /* it has no /health */
	enum gauges_kind kind; /* of the last metrics that were read; GAUGES_AUTO: there were none */
	uint64_t kind_changed_ms;  /* 0: it never has */
	uint64_t disbelieved_ms;   /* its metrics are not asked for until then */
	enum gauges_kind slots_of; /* the kind as which it was asked for slots; 0: not yet */
	bool slots_old_path;       /* it has no /server_info: SGLang before it was called so */
};

/* `as`: dispatch, upstream and route of each question. The headers are the caller's, and outlive
 * it. False: no memory; to be closed all the same. */
MUST_USE bool watches_open(struct watches *w, const struct poll_ops *ops, const struct transfer *as,
			   const struct headers *headers);
/* One that was never opened as well, if it is zeroed. */
void watches_close(struct watches *w);

/* Asks what is due to be asked. */
void watches_run(struct watches *w, uint64_t now_ms);
/* When something will be; UINT64_MAX: something has to happen first. */
uint64_t watches_due_ms(const struct watches *w);
/* It may be another server now: its models, metrics and slots are asked for at once. */
void watches_renew(struct watches *w, uint64_t now_ms);
/* Whether the upstream's gauges are of this moment: they are asked for only while lines are in
 * flight. */
bool watches_gauges_current(const struct watches *w, uint64_t now_ms);

/* view.h: what dispatch is doing at this moment, in numbers: for /metrics, the console and who
 * else asks. Copied in one turn of the dispatch thread's loop, so all of it is of one instant;
 * written as text by api/.
 *
 *	upstreams[0]  upstreams[1]              in the order of the configuration, then those that
 *	  |  lanes      |  lanes                came with a reload; retired ones until they are idle
 *	  v             v
 *	lanes[0] lanes[1] lanes[2] ...          a model on an upstream: the models with a row
 *	  | decisions
 *	  v
 *	decisions[0..] ...
 *
 * On a node all of it is of that node alone; view_sum() (view_sum.h) makes one of those of all.
 *
 * Ownership. All of it, names included, is one allocation, charged to the budget as a body of the
 * API's calls; scheduling_view_done() releases it. Its size is bounded by what dispatch knows:
 * UPSTREAMS_MAX upstreams, and the models that are told apart (64 without a batch, see
 * upstreams.c). */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "batch/stall.h"

struct dispatch;

/* The concurrency limit of a lane. */
struct view_limit {
	double requests;    /* in flight that are right, all together */
	const char *reason; /* why it is that; static */
	unsigned batch;     /* lines in flight */
	unsigned online;    /* online requests in flight */
	double others;      /* requests on the engine that did not come through us */
	unsigned reserve;   /* requests kept free for online ones */
	double best_per_s;  /* units of work a second at that limit, as learnt; 0: not yet */
	double work_ms;     /* time of a unit of work there */
	double work_s;      /* the same */
};

struct view_decision {
	int64_t at; /* Unix s */
	struct view_limit limit;
};

/* One model on one upstream. */
struct view_lane {
	struct slice upstream, model;
	bool retired;         /* the upstream is */
	unsigned in_flight;   /* lines */
	unsigned not_durable; /* lines that were answered and are not durable yet */
	struct view_limit limit;
	const struct view_decision *decisions; /* about its limit, lately; the oldest first */
	size_t decision_count;
};

/* Something of this program's is on its way there. */
static inline bool view_lane_is_busy(const struct view_lane *lane)
{
	return lane->in_flight > 0 || lane->not_durable > 0 || lane->limit.online > 0;
}

struct view_upstream {
	struct slice name;
	bool retired;  /* gone from the configuration: one of the same name may be here too */
	bool draining; /* retired, or set to drain */
	bool driven;   /* by this node, which alone knows how it is; of one machine always */
	enum batch_stall state; /* up to STALL_REFUSED */
	struct slice said; /* what it said last that was not well, or whose it is; of a state but
				 * STALL_NONE */
	bool up;           /* it takes requests, or will after a pause; from whichever node */
	unsigned weight, max_concurrency;
	unsigned batch, online; /* requests in flight */
	uint64_t trips;         /* how often it, or a model on it, went down */
	uint64_t sent_batch, sent_online;
	uint64_t answered_2xx, answered_4xx, answered_throttled, answered_5xx, broken; /* lines */
	uint64_t tokens; /* that lines took, prompt and answer */
	const char
		*engine; /* its metrics are of this kind; static; NULL: it has none at the moment */
	double running, waiting; /* as they say; NAN: they do not */
	double cache;            /* likewise, the share of the KV cache in use */
	const struct view_lane *lanes;
	size_t lane_count;
};

/* In the view of an organization `batches` and `waiting_again` are its own. */
struct view_model {
	struct slice name;
	uint64_t batches;       /* in progress */
	double slots;           /* for all its lines, in use or free, lately */
	uint64_t waiting_again; /* lines that failed and wait to be sent again */
};

/* As nodes tell one another: a mean that comes to rest after a while. */
static inline double view_slots_rounded(double slots)
{
	return (double)(uint64_t)(slots * 1000 + 0.5) / 1000;
}

/* A run of lines of a model: of a batch, or on a node of one of its spans. */
struct view_flow {
	struct slice model, org, batch;
	uint64_t waiting_again;
};

/* Which models have rows of their own, as far as they have a label, and lanes (contract 13.1). All
 * upstreams are in each view, with figures that are of all organizations. */
enum view_whose {
	VIEW_ALL,
	/* those that upstreams list or report, which each key sees in GET /v1/models; the row of
	 * the others counts the rest */
	VIEW_LISTED,
	/* those that the organization has batches of, in dispatch at this moment; the row of the
	 * others counts such without a label, and of the rest there is nothing */
	VIEW_ORG,
};

struct view_asked {
	enum view_whose whose;
	const char *org; /* VIEW_ORG: its id */
	bool decisions;  /* the lanes' as well */
	bool flows;      /* what the models' counts are made of, as well */
};

struct scheduling_view {
	int64_t at; /* Unix s */
	enum view_whose whose;
	const struct view_upstream *upstreams;
	size_t upstream_count;
	const struct view_lane *lanes; /* of all upstreams */
	size_t lane_count;
	/* Behind the last one is one more row, which all models without a label share. */
	const struct view_model *models;
	size_t model_count;
	bool other_models; /* there are some */
	const struct view_flow *flows;
	size_t flow_count;
	unsigned online_requests; /* that have not ended */
	unsigned online_waiting;  /* of these, those that wait for an upstream */
	/* Of other nodes, where this one drives, as they tell; in no other count, nor in a sum. */
	unsigned online_elsewhere;
	struct buf memory;
};

/* Any thread; waits for a turn of the dispatch thread's loop. False: no memory; *ret is not to be
 * used then. */
MUST_USE bool dispatch_view(struct dispatch *d, const struct view_asked *asked,
			    struct scheduling_view *ret, struct error *err);
void scheduling_view_done(struct scheduling_view *v);

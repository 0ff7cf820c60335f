/* upstream.h: one server that answers: its configuration, whether it takes a request, and what is
 * learnt from the end of one. This folder knows no lane, no line and no HTTP library: dispatch
 * embeds struct upstream in its target (dispatch/target.h), keeps a circuit for each model on it,
 * and hands that circuit in here.
 *
 *	may a request go?     upstream_takes(), upstream_due_ms()
 *	one is sent           upstream_sent(), upstream_online_sent()
 *	one has ended         upstream_judge() whose fault, upstream_learn() what follows
 *	time has passed       upstream_tick()
 *	the file was read     upstream_configure()
 *
 * Times are given in: ms of the monotonic clock. No I/O. Threads: dispatch alone, but for
 * `slots`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "upstream/circuit.h"
#include "upstream/config.h"
#include "upstream/gauges.h"
#include "upstream/judge.h"
#include "upstream/rate_limit.h"
#include "upstream/reported.h"
#include "upstream/slots.h"
#include "upstream/throttle.h"

struct upstream_counts {
	uint64_t sent, answered_2xx, answered_4xx, answered_throttled, answered_5xx, broken, online;
	uint64_t tokens; /* as answers say, prompt and output */
};

struct upstream {
	struct upstream *next;         /* in the order of the configuration, removed ones last */
	struct upstream_config config; /* our own copy */
	unsigned number;               /* below 64; unique among those that are here */
	bool elsewhere;                /* another node drives it: lines are not for us to send */
	bool shared;  /* among nodes: what is in flight or not durable is under twice its limit */
	bool retired; /* removed from the configuration: freed when nothing is in flight */

	struct circuit circuit;   /* whether it is reached, accepts our key and asks for no pause */
	struct throttle throttle; /* the pauses that it asks for */
	struct rate_limit rate_limit;   /* the limits a minute of its configuration */
	uint64_t rate_limited_until_ms; /* a line did not fit into these: not before then */
	bool certificate;               /* circuit.said is of a certificate that is refused */

	uint64_t opened_ms;
	bool asked; /* its models are known, or that it does not report them */
	struct reported reported;
	bool has_gauges;
	struct gauges gauges;     /* of its engine, at the last poll, with its slots */
	uint64_t gauges_asked_us; /* when that poll was sent */
	unsigned engine_slots;    /* that its engine says it has, gauges or none; 0: it does not */
	enum gauges_kind engine_slots_of; /* the kind of that engine */

	struct slots slots; /* of all that is in flight there */
	struct upstream_counts counts;
};

/* `all`: the account above its own; or NULL. False: no memory, and nothing is to be freed in
 * *ret. */
MUST_USE bool upstream_init(struct upstream *ret, struct slots *all,
			    const struct upstream_config *config, uint64_t now_ms);
void upstream_done(struct upstream *u);
/* Takes over other terms; `config` changes hands and is empty then. What was learnt stays. */
void upstream_configure(struct upstream *u, struct upstream_config *config, uint64_t now_ms);

/* The kind of its engine: by its gauges, else by the configuration, else by who owns the models
 * that it reports. GAUGES_NONE: nobody says. */
enum gauges_kind upstream_engine(const struct upstream *u);

/* ---- may a request go? ---- */

/* New requests may go to it: it is configured, and not set to drain. */
bool upstream_takes(const struct upstream *u);
/* Lines may: and it is this node that drives it. */
bool upstream_takes_lines(const struct upstream *u);
/* When its circuit and that of the model, its pauses and its limits a minute all let a line
 * through: at once (<= now_ms), at the time given, or UINT64_MAX: something has to happen first.
 * *ret_probe: the line is a probe. */
uint64_t upstream_due_ms(const struct upstream *u, const struct circuit *model,
			 const struct slots *model_slots, uint64_t now_ms, bool *ret_probe);
/* Requests in flight on it, and how many may be. */
unsigned upstream_load(const struct upstream *u);
unsigned upstream_most(const struct upstream *u);

/* ---- one is sent ---- */

/* A line that is expected to take `tokens`; an online request. */
void upstream_sent(struct upstream *u, uint64_t tokens, uint64_t now_ms);
void upstream_online_sent(struct upstream *u, uint64_t tokens, uint64_t now_ms);

/* ---- one has ended ---- */

/* Whose fault an end is. `model`: the circuit of the request's model; NULL: the request is for a
 * model that has none. `in_flight`: lines of the model on this upstream, the one that has ended
 * with them. */
struct judgement upstream_judge(const struct upstream *u, const struct circuit *model,
				unsigned in_flight, const struct attempt_end *e);

struct lesson {
	const struct attempt_end *end;
	enum blame blame;   /* as upstream_judge() says */
	unsigned in_flight; /* lines of the model here, without the one that has ended */
	bool line_new;      /* see breaker.h */
	int64_t now_s;      /* Unix */
};

/* What has changed; the caller reports it. */
struct learnt {
	bool upstream, model;           /* the condition (`stall`) of the upstream, of the model */
	bool shut_upstream, shut_model; /* a slow start: for all models, for this one */
	bool came_back;                 /* it was down: it is asked anew what it has */
};

/* `model` may be NULL, as above. */
struct learnt upstream_learn(struct upstream *u, struct circuit *model, const struct lesson *l);
/* A pause may end by time alone. True: its condition has changed. */
bool upstream_tick(struct upstream *u, uint64_t now_ms, int64_t now_s);
/* Counts the end of a line's attempt. What a good answer took beyond the `expected` tokens, or
 * short of them, is settled with the limits a minute. */
void upstream_settle(struct upstream *u, const struct attempt_end *e, enum blame blame,
		     uint64_t expected);

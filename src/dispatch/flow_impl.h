/* flow_impl.h: a flow as dispatch's files know it. All of it belongs to the dispatch thread but
 * where it says otherwise. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "dispatch/flow.h"
#include "dispatch/mail.h"
#include "schedule/schedule.h"
#include "upstream/slots.h"

struct line;
struct model;

#define FAILED_TEXT_BYTES 224u

struct flow {
	struct dispatch *of;

	/* the owner's until it is opened, then constant */
	void *owner;
	const char *id, *endpoint, *model_name; /* model_name "": none is known */
	unsigned max_attempts;                  /* of a line */
	uint64_t line_timeout_ms;               /* 0: the exchange's */
	struct spending *spending;              /* NULL: it has no budget */
	struct trace_context trace;             /* the batch's span; zeroed: it is not traced */

	/* any thread */
	struct mail mail;
	struct slots slots;       /* but for slots_held() and slot_durable() dispatch's */
	_Atomic uint64_t retried; /* see flow_view */
	_Atomic bool suspended;   /* what flow_suspend() asked for last */
	pthread_mutex_t lock;     /* for `shown`; innermost */
	struct {                  /* set by dispatch, which may read it without the lock */
		enum batch_stall stall;
		bool certificate, at_risk;
		unsigned queue_position;
		char *text; /* NULL: "" */
		int64_t eta_at;
		double rate_per_s;
	} shown; /* as in struct flow_view */

	/* dispatch's own */
	struct model *model; /* NULL: not added yet, or dropped */
	struct schedule_batch entry;
	struct line *lines; /* in flight or waiting to be sent again */
	unsigned waiting;
	bool spent_up; /* a line does not fit into the budget: see spending.h */
	struct flow *next_spent_up;
	bool probed; /* it failed a probe: others' turn first; then it is linked to others such */
	struct flow *next_probed, *prev_probed;
	bool faulted;      /* its input cannot be read: nothing more is sent */
	char *failed_text; /* what the line that failed last was told; NULL: none has failed */
	enum batch_stall failed_as;
	int64_t failed_at;            /* Unix s */
	uint64_t ended, ended_before; /* lines; at the last tick */
	double rate;                  /* lines a second, over about RATE_OVER_S */
	unsigned rated;               /* ticks that it is made of */
};

/* dispatch_impl.h: dispatch's own state, for its files. All of it belongs to the dispatch thread
 * but where it says otherwise. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "dispatch/dispatch.h"
#include "dispatch/driven.h"
#include "dispatch/load.h"
#include "dispatch/mail.h"
#include "dispatch/memory.h"
#include "dispatch/model.h"
#include "dispatch/online_shared.h"
#include "upstream/catalogue.h"
#include "upstream/slots.h"

struct dispatch {
	struct dispatch_config config;
	struct dispatch_ops ops;
	void *ctx;
	struct client *client; /* ours from dispatch_open() */
	struct memory memory;
	struct upstream
		*upstreams; /* of targets, in the order of the configuration, retired ones last */
	struct catalogue catalogue; /* which of them serves what */
	const struct poll_ops *polls;
	struct model *models;
	struct model_labels labels;
	struct driven driven;  /* which of them by this node, and until when */
	struct heard heard;    /* online requests that other nodes have there */
	struct slots slots;    /* of all upstreams */
	struct online *online; /* that have not ended, the newest first */
	unsigned online_count;
	unsigned online_waiting; /* those that were not sent yet: there was no room */
	struct load load;
	uint64_t tick_at_ms, ticked_at_ms;
	bool filled;      /* something was sent in the last turn */
	bool disk_behind; /* at the last tick nothing was sent for the disk's sake */
	struct log_storm disk_told;
	int64_t started_at; /* Unix s */

	pthread_t thread;
	bool thread_started;
	struct mailbox mailbox;
	struct mail driven_mail; /* `driven` was told something */
	struct mail heard_mail;  /* `heard` was */

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t idle;
	pthread_cond_t called; /* a call was carried out */
	bool idle_now;         /* it drains, and nothing is in flight */
	bool stopping;
	_Atomic bool draining, online_closed;
};

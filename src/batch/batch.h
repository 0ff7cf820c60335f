/* batch.h: the nouns: organization, file, batch, and the states a batch goes through.
 * Plain values, no I/O; any thread may hold its own copy. */
#pragma once

#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "batch/options.h"

/* ---- profile: which vendor's rules hold (contract 1) ---- */

enum profile { PROFILE_KIMI, PROFILE_OPENAI };

/* ---- file ---- */

enum file_purpose { PURPOSE_BATCH, PURPOSE_BATCH_OUTPUT };
const char *file_purpose_name(enum file_purpose purpose); /* "batch", "batch_output" */

/* A file of an organization, as the API shows it. Its bytes are the blob named by `id`. */
struct file {
	char id[ID_SIZE];
	char org[ID_SIZE];
	enum file_purpose purpose;
	uint64_t bytes;
	int64_t created_at; /* Unix s */
	int64_t expires_at; /* Unix s, 0: never */
	char sha256[65];    /* hex of the content; "" for result files */
	uint64_t lines;     /* of a result file; else 0 */
	char filename[512]; /* as the client gave it, without directories */
};

/* ---- batch ---- */

/*       name          may go on to (contract 6)                     stamped member */
#define BATCH_STATES(X)                                                                           \
	X(VALIDATING, "validating",                                                               \
	  TO(IN_PROGRESS) | TO(FAILED) | TO(CANCELLING) | TO(CANCELLED) | TO(EXPIRED))            \
	X(IN_PROGRESS, "in_progress", TO(FINALIZING) | TO(EXPIRED) | TO(CANCELLING) | TO(FAILED)) \
	X(FINALIZING, "finalizing", TO(COMPLETED) | TO(CANCELLING) | TO(FAILED))                  \
	X(CANCELLING, "cancelling", TO(CANCELLED))                                                \
	X(COMPLETED, "completed", 0)                                                              \
	X(FAILED, "failed", 0)                                                                    \
	X(EXPIRED, "expired", 0)                                                                  \
	X(CANCELLED, "cancelled", 0)

enum batch_status {
#define X(name, text, next) BATCH_##name,
	BATCH_STATES(X)
#undef X
		BATCH_STATUS_COUNT
};

const char *batch_status_name(enum batch_status status);
bool batch_status_from_name(struct slice name, enum batch_status *ret);
/* Whether contract 6 has the edge. */
bool batch_may(enum batch_status from, enum batch_status to);
bool batch_is_final(enum batch_status status);

/* Token sums over the 2xx lines (contract 8.2). */
struct usage {
	uint64_t input, cached, output, reasoning, total;
};

/* Lines by how they ended; `total` is fixed once validated. What is in none of them is pending or
 * running (struct batch_view in view.h tells them apart). */
struct counts {
	uint64_t total;
	uint64_t completed; /* 2xx */
	uint64_t failed;    /* HTTP error, transport failure, timeout */
	uint64_t expired;   /* cut off by the window */
	uint64_t cancelled; /* cut off by a cancel */
	uint64_t retried;   /* requests beyond the first, over all lines, what they cost aside */
};

/* Why a batch is held: it sends no new lines until it is resumed (contract 11.3). The numbers stand in
 * databases. */
enum batch_hold {
	BATCH_GOES_ON = 0,
	BATCH_HELD = 1,   /* a client asked for it */
	BATCH_CANARY = 2, /* its canary has ended (contract 11.1) */
};

#define BATCH_TRACEPARENT_SIZE 56

/* A batch, as the store keeps it. Timestamps are Unix seconds, 0: not set. `metadata`, `model`,
 * `errors`, `causes` and `options.override` are malloc'ed and NULL when null; batch_done() frees
 * them. */
struct batch {
	char id[ID_SIZE];
	char org[ID_SIZE];
	char endpoint[64];      /* as asked for; endpoint_path() (endpoint.h) is where it is sent */
	char input_file_id[80]; /* as asked for */
	bool input_missing;     /* input_file_id named no file when the batch was made */
	char completion_window[24]; /* as asked for */
	enum batch_status status;
	int64_t created_at, expires_at;
	int64_t changed; /* number of its last change of state, of all its organization's */
	int64_t at[BATCH_STATUS_COUNT]; /* when the state was entered; [VALIDATING] unused */
	int64_t output_expires_after_s; /* 0: never, or the configured default */
	struct batch_options options;   /* as asked for (contract 11.1) */
	/* The trace that it is made in, as a header `traceparent` that is well formed; "": none. For
	 * the insert alone: store_batch_trace() reads it. */
	char traceparent[BATCH_TRACEPARENT_SIZE];
	char retried_from[ID_SIZE];   /* the batch whose lines it runs again; "": none */
	enum batch_hold hold;         /* while it is validating or in progress */
	int64_t held_at;              /* since when; 0: it is not */
	bool canary_over;             /* the lines of its canary have ended, and it was held */
	struct counts counts;         /* of what is merged; whole once final */
	struct usage usage;           /* likewise */
	char output_file_id[ID_SIZE]; /* "": null. Shown only once the state is final */
	char error_file_id[ID_SIZE];
	char *model;    /* of all lines, or NULL */
	char *metadata; /* JSON text of the object as given */
	char *errors;   /* JSON text: the array `errors.data` */
	char *causes;   /* why lines failed, as batch/causes.h writes it; of what is merged */
};

void batch_done(struct batch *b);

/* ---- completion_window (contract 5.1) ---- */

/* Least and longest window, and how it may be written. */
struct window_rule {
	uint64_t min_s, max_s;
	bool seconds_and_minutes; /* `s` and `m` allowed: the least was configured below 12 h */
	bool only_24h;            /* openai, unless configured */
};

/* True and the length in seconds if `text` is a window that `rule` allows. */
bool window_parse(struct slice text, const struct window_rule *rule, uint64_t *ret_s);
/* "'24h'" or "a whole number of hours or days from 12h to 7d, such as '24h' or '3d'". */
void window_describe(const struct window_rule *rule, char *to, size_t size);

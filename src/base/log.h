/* log.h: events with fields, one line each on standard error, as text or as a JSON object:
 *
 *   2026-11-24T00:39:21.123Z info  batch.started batch=batch_… lines=300000
 *   {"time":"2026-11-24T00:39:21.123Z","level":"info","event":"batch.started","batch":"batch_…",
 *    "lines":300000}
 *
 * Events and fields are the same in both, and in the same order; numbers are JSON numbers. Bytes
 * that are no UTF-8 are U+FFFD in JSON. An object is whole however long its fields are: those that
 * do not fit are left out, and "cut":true stands at its end.
 *
 * Event names are stable and can be searched for. Bodies, prompts and keys are never logged.
 * Any thread may log; a line is written with one write(2). */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

struct log_field {
	const char *key; /* NULL ends the list */
	enum { LOG_TEXT, LOG_U64, LOG_I64, LOG_SLICE } type;
	union {
		const char *text;
		uint64_t u64;
		int64_t i64;
		struct slice slice;
	};
};

#define kv_str(k, v) ((struct log_field){ .key = (k), .type = LOG_TEXT, .text = (v) })
#define kv_u64(k, v) ((struct log_field){ .key = (k), .type = LOG_U64, .u64 = (v) })
#define kv_int(k, v) ((struct log_field){ .key = (k), .type = LOG_I64, .i64 = (v) })
#define kv_slice(k, v) ((struct log_field){ .key = (k), .type = LOG_SLICE, .slice = (v) })

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

void log_set_level(enum log_level level);    /* default LOG_INFO */
void log_set_format(enum log_format format); /* default LOG_FORMAT_TEXT */

/* Sets where whole lines (with their LF) go instead of standard error: for a program that draws
 * there. NULL: to standard error again; on return no call is under way any more. */
typedef void (*log_write_fn)(void *ctx, const char *text, size_t n);
void log_divert(log_write_fn write, void *ctx);
void log_write(enum log_level level, const char *event, const struct log_field *fields);
/* `err` as fields error=, detail=, errno=, sqlite=, line= before the rest; what it has not is left
 * out. */
void log_write_error(enum log_level level, const char *event, const struct error *err,
		     const struct log_field *fields);

#define LOG_FIELDS(...)                    \
	(const struct log_field[])         \
	{                                  \
		__VA_ARGS__ __VA_OPT__(, ) \
		{                          \
			.key = NULL        \
		}                          \
	}
#define log_debug(event, ...) log_write(LOG_DEBUG, event, LOG_FIELDS(__VA_ARGS__))
#define log_info(event, ...) log_write(LOG_INFO, event, LOG_FIELDS(__VA_ARGS__))
#define log_warn(event, ...) log_write(LOG_WARN, event, LOG_FIELDS(__VA_ARGS__))
#define log_error(event, ...) log_write(LOG_ERROR, event, LOG_FIELDS(__VA_ARGS__))
#define log_fault(event, err, ...) log_write_error(LOG_ERROR, event, err, LOG_FIELDS(__VA_ARGS__))

/* ---- lines of which very many may come at once ---- */

/* One line of a kind is written in LOG_STORM_MS, the others are counted. Zeroed at first; any
 * thread. */
struct log_storm {
	_Atomic uint64_t until_ms, held;
};
#define LOG_STORM_MS 10000u

/* Whether a line may be written now; *ret_held: lines since the last one that were not. `now_ms` is
 * sys.monotonic_ms(). */
bool log_storm_pass(struct log_storm *s, uint64_t now_ms, uint64_t *ret_held);
/* How many lines were held back and not yet reported by a later line; to be called now and then. */
uint64_t log_storm_rest(struct log_storm *s, uint64_t now_ms);

/* prometheus.h: writes metrics as Prometheus text from an array of structs, by a table. Pure.
 *
 *	struct row { struct slice upstream; unsigned lines, online; };
 *
 *	static const struct metric table[] = {
 *		{ "in_flight", "gauge", "Requests in flight.", COLUMN(struct row, lines),
 *		  LABEL("kind", "batch") },
 *		{ .value = COLUMN(struct row, online), LABEL("kind", "online") },
 *	};
 *
 *	# HELP in_flight Requests in flight.
 *	# TYPE in_flight gauge
 *	in_flight{upstream="a",kind="batch"} 3
 *	in_flight{upstream="a",kind="online"} 0
 *	in_flight{upstream="b",kind="batch"} 1
 *	in_flight{upstream="b",kind="online"} 0 */
#pragma once

#include "api/column.h"

#define METRIC_LABELS_MAX 2u

struct metric_label {
	const char *name;   /* NULL: no label */
	const char *value;  /* NULL: the column's */
	struct column from; /* text */
};
/* A label that is the same for each row, and one whose value is a member of the struct `of`. */
#define LABEL(label, text) .own = { .name = (label), .value = (text) }
#define LABEL_FROM(label, of, member) .own = LABEL_OF(label, of, member)
#define LABEL_OF(label, of, member)                         \
	{                                                   \
		.name = (label), .from = COLUMN(of, member) \
	}

struct metric {
	const char *name; /* NULL: one more series of the metric above */
	const char *type; /* "gauge", "counter" */
	const char *help;
	struct column value;     /* a number; of one that is unknown there is no line */
	struct metric_label own; /* of this series, behind those of the row */
	unsigned decimals;       /* of a double; 0: as many as it takes */
};
/* The value of a series whose labels tell all. */
#define METRIC_ONE                 \
	{                          \
		.type = COLUMN_ONE \
	}

/* What a table is written of. */
struct metric_rows {
	const void *first;
	size_t n;
	size_t bytes;                                  /* of one row */
	struct metric_label labels[METRIC_LABELS_MAX]; /* of each row */
	bool (*shown)(const void *row);                /* whether it has lines; NULL: each has */
};
/* `count` rows at `rows`, with the labels behind: LABEL_OF(). */
#define METRIC_ROWS(rows, count, ...)                                                              \
	{                                                                                          \
		.first = (rows), .n = (count), .bytes = sizeof(*(rows)), .labels = { __VA_ARGS__ } \
	}

/* The head of each metric, also where it has no line, and its lines: a row's, then the next
 * row's. */
void prometheus_write(struct buf *to, const struct metric *table, size_t n,
		      const struct metric_rows *rows);

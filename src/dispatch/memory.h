/* memory.h: what batch lines take of the memory budget (base/budget.h). Back-pressure, and no line
 * lost:
 *
 *	no room for one more answer     nothing new is sent
 *	no room for what arrives        the answer is not read on; its sender waits in the socket
 *
 * How large an answer will be is known from those of its model; so much is promised to a line when
 * it is sent, until its answer begins. Where that was too little, or nothing was known, many
 * answers may be half there and none have room to end. Then one of them goes on whatever the budget
 * says, and the next when it is durable: so what is over the budget is one answer.
 *
 * Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/budget.h"
#include "base/buf.h"

struct client;
struct exchange;
struct slots;

/* The account of all lines. */
struct memory {
	struct budget *budget;                 /* NULL: nothing is counted */
	struct budget_use *requests, *answers; /* of it */
	const struct slots *slots;             /* of all lines */
	uint64_t answer_bytes_max;             /* of one answer */
	uint64_t promised; /* bytes, to lines in flight whose answers have not begun */
	struct memory_line *paused, **paused_end;
	struct memory_line *alone; /* it may go over the budget */
};

/* What one exchange of lines takes: its buffers, and their places in the account. */
struct memory_line {
	struct memory *of;
	struct exchange *exchange;
	struct buf request, answer;

	/* memory's own, readable */
	uint64_t promised; /* bytes, until its answer begins */
	bool paused;       /* its answer is not read on: it waits for room */
	struct memory_line *next_paused;
};

/* Zeroed before. The client is woken when there may be room again; all that is named is the
 * caller's and outlives the account. */
void memory_open(struct memory *m, struct budget *budget, uint64_t answer_bytes_max,
		 const struct slots *slots, struct client *client);

void memory_line_open(struct memory_line *l, struct memory *m, struct exchange *x);
void memory_line_close(struct memory_line *l);
/* Its answer has changed hands: a new buffer takes its place. */
MUST_USE struct buf memory_answer_take(struct memory_line *l);
/* The attempt has ended. */
void memory_line_over(struct memory_line *l);

/* Whether there is room for one more line, and its answer, where one of the model's has
 * `answer_bytes` (0: none has come). */
bool memory_has(const struct memory *m, double answer_bytes);
/* The loop is woken when there may be more room. */
void memory_await(const struct memory *m);
/* It was sent. */
void memory_promise(struct memory_line *l, double answer_bytes);
/* Makes room for a piece of the answer. False: it is paused, see memory_resume(). */
bool memory_take(struct memory_line *l, size_t piece);
/* Goes on with paused answers, as far as there is room. */
void memory_resume(struct memory *m);

/* What an answer of a model has, lately: `mean` (0: none has come) moved by one more answer.
 * Pure. */
double memory_mean(double mean, size_t answer_bytes);

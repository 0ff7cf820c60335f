/* breaker.h: a circuit breaker (contract 8.3): whether a server takes requests. There is one for
 * each upstream (can it be reached, does it accept our key) and one for each lane (does the
 * upstream answer for this model).
 *
 *	            faults and nothing well beside them
 *	   CLOSED ---------------------------------------> DOWN: a probe a second, after a minute
 *	   |  ^ ^                                            |    less often, at last one in 30 s
 *	   |  | +---- well: an answer that speaks for it ----+
 *	   |  +------ well ----------------------------------+
 *	   |        only the operator can mend it            |
 *	   +-------------------------------------------> REFUSED: a probe a minute, and at a reload
 *
 * One fault opens the breaker when the fault leaves no doubt (no connection at all), or when
 * nothing else is in flight that might say otherwise and nothing was well lately; else FAULTS_MAX
 * in a row do. "Well" is an answer of 2xx, or a refusal of a request for its content. While the
 * breaker is open only probes are sent; a probe is any request that was sent since one was due, an
 * online one too. Faults of requests that were in flight when the breaker opened say nothing new:
 * hundreds that break together do not put the next probe off.
 *
 * While the breaker is DOWN, the server's health call is asked beside the probes. Its answer closes
 * nothing. But when it turns good, the next probe is due at once; and when it is good for a long
 * time while fewer than OUTAGE_LINES different lines fail, the lines are at fault
 * (breaker_is_lines()).
 *
 * Begins as { 0 }: closed. Pure; times are given in. Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_FAULTS_MAX 3u    /* in a row, beside others in flight: then it is down */
#define BREAKER_LATELY_MS 10000u /* so long a good answer speaks for the server */
#define BREAKER_PROBE_MS 1000u   /* between probes in the first minute */
#define BREAKER_MINUTE_MS 60000u /* later; and while it refuses us */
#define BREAKER_PROBE_MOST_MS 30000u
#define BREAKER_OUTAGE_LINES 20u /* so many different lines that fail are an outage */

enum breaker_state { BREAKER_CLOSED, BREAKER_DOWN, BREAKER_REFUSED };

struct breaker {
	enum breaker_state state;
	bool sure;                      /* opened by what leaves no doubt */
	bool been_well;                 /* ever */
	bool health_known, health_good; /* as the health call said last, since it opened */
	unsigned faults;                /* in a row */
	unsigned failed_lines;          /* different ones, since it was last well */
	double fault_share;             /* of the last answers, some sixteen */
	uint64_t since_ms;              /* that it is open */
	uint64_t probe_at_ms, probe_delay_ms;
	uint64_t well_ms;          /* when it was last well; 0: never */
	uint64_t fault_ms;         /* when an attempt last failed; 0: none has */
	uint64_t health_ms;        /* when the health call was last good; 0: never */
	uint64_t healthy_since_ms; /* the health call is good, and nothing is well; 0: it is not */
	uint64_t trips;            /* how often it opened */
};

enum breaker_change { BREAKER_NO_CHANGE, BREAKER_OPENED, BREAKER_CAME_BACK };

/* What an attempt that failed says. */
struct breaker_sign {
	uint64_t sent_ms;
	bool sure;       /* no doubt: it cannot be reached, or does not know our key */
	bool alone;      /* nothing else is in flight there */
	bool line_new;   /* the first failure of its line since the breaker was last well */
	int64_t wait_ms; /* that it asks for; <= 0: none */
};

enum breaker_change breaker_fault(struct breaker *b, const struct breaker_sign *s, uint64_t now_ms);
enum breaker_change breaker_refused(struct breaker *b, const struct breaker_sign *s,
				    uint64_t now_ms);
/* `sent_ms`: of the request that was answered. */
enum breaker_change breaker_well(struct breaker *b, uint64_t sent_ms, uint64_t now_ms);
/* The server answers, though not well: it wants less. Closes a breaker that was DOWN. */
enum breaker_change breaker_answers(struct breaker *b);
/* What the health call said, while the breaker is open. */
void breaker_health(struct breaker *b, bool good, uint64_t now_ms);
/* If the breaker is open, the next probe is due at `at_ms`: now, when the configuration was read
 * anew. */
void breaker_probe_at(struct breaker *b, uint64_t at_ms);

/* UINT64_MAX: not before something is learnt; <= now_ms: a request may be sent now; else: then.
 * `probes`: those in flight: one is enough. *ret_probe: the request that may be sent (now or then)
 * is a probe. */
uint64_t breaker_due_ms(const struct breaker *b, unsigned probes, uint64_t now_ms, bool *ret_probe);
/* The last sign of the server was good: an answer, or, while the breaker is open, the health
 * call. */
bool breaker_is_up(const struct breaker *b);
/* The server has answered well since then, or in that millisecond. */
bool breaker_well_since(const struct breaker *b, uint64_t sent_ms);
/* The server has answered well later than that: what failed meanwhile is not its fault alone. A
 * good answer frees the slot of the next line, so an answer in the millisecond of sending came
 * before the line. */
bool breaker_well_after(const struct breaker *b, uint64_t sent_ms);
/* The health call was good for `patience_ms`, yet the few lines that were tried all fail. */
bool breaker_is_lines(const struct breaker *b, uint64_t patience_ms, uint64_t now_ms);

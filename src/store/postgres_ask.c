/* postgres_ask.c: questions to PostgreSQL and the wait for their answers, which has an end: a server that
 * says nothing more, or whatever stands before it, may take all that it is sent. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "store/postgres.h"

bool postgres_is_good(const PGresult *r)
{
	ExecStatusType status = PQresultStatus(r);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* The connection is broken from here on. */
static void give_up(struct postgres_db *db)
{
	(void)shutdown(PQsocket(db->conn), SHUT_RDWR);
	(void)PQconsumeInput(db->conn);
}

/* Until an answer is whole, or the connection is broken. */
static void answer_wait(struct postgres_db *db, uint64_t end_ms)
{
	while (PQstatus(db->conn) == CONNECTION_OK && PQisBusy(db->conn) != 0) {
		struct pollfd fd = { .fd = PQsocket(db->conn), .events = POLLIN };
		uint64_t now_ms = clock_ms();
		int n = now_ms < end_ms ? poll(&fd, 1, (int)(end_ms - now_ms)) : 0;

		if (n == 0 || (n < 0 && errno != EINTR))
			give_up(db);
		else if (n > 0 && PQconsumeInput(db->conn) == 0)
			return;
	}
}

/* The last one of several, or the first that is no good. NULL: the connection is broken. */
static PGresult *answer(struct postgres_db *db, uint64_t end_ms)
{
	PGresult *kept = NULL, *r;

	for (;;) {
		answer_wait(db, end_ms);
		r = PQgetResult(db->conn);
		if (r == NULL)
			return kept;
		if (kept != NULL && !postgres_is_good(kept)) {
			PQclear(r);
			continue;
		}
		PQclear(kept);
		kept = r;
	}
}

PGresult *postgres_ask(struct postgres_db *db, const char *text)
{
	uint64_t end_ms = clock_ms() + db->answer_ms;

	return PQsendQuery(db->conn, text) == 1 ? answer(db, end_ms) : NULL;
}

PGresult *postgres_ask_prepared(struct postgres_db *db, const char *name, int n,
				const char *const *texts)
{
	uint64_t end_ms = clock_ms() + db->answer_ms;

	return PQsendQueryPrepared(db->conn, name, n, texts, NULL, NULL, 0) == 1
		       ? answer(db, end_ms)
		       : NULL;
}

/* postgres_ask.c: questions to PostgreSQL and the wait for their answers, which has an end: a server that
 * says nothing more, or whatever stands before it, may take all that it is sent. */
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "store/postgres.h"

bool postgres_is_good(const PGresult *r)
{
	ExecStatusType status = PQresultStatus(r);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

void postgres_give_up(struct postgres_db *db)
{
	(void)shutdown(PQsocket(db->conn), SHUT_RDWR);
	(void)PQconsumeInput(db->conn);
}

bool postgres_result_wait(struct postgres_db *db, uint64_t until_ms)
{
	for (;;) {
		int unsent = PQflush(db->conn);
		if (unsent < 0 || PQstatus(db->conn) == CONNECTION_BAD)
			return false;
		if (unsent == 0 && PQisBusy(db->conn) == 0)
			return true;
		uint64_t now_ms = clock_ms();
		struct pollfd fd = { PQsocket(db->conn), POLLIN, 0 };
		if (unsent > 0)
			fd.events |= POLLOUT;
		if (now_ms >= until_ms)
			return false;
		(void)poll(&fd, 1, clock_wait_ms(until_ms, now_ms));
		if ((fd.revents & ~POLLOUT) != 0 && PQconsumeInput(db->conn) == 0)
			return false;
	}
}

/* The last one of several, or the first that is no good. NULL: the connection is broken. */
static PGresult *answer(struct postgres_db *db, uint64_t end_ms)
{
	PGresult *kept = NULL, *r;

	for (;;) {
		if (!postgres_result_wait(db, end_ms))
			postgres_give_up(db);
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

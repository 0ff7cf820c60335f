#include "store/node_db.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "store/db_kind.h"
#include "store/postgres.h"

#define TOLD_ALL (unsigned)(TOLD_NODES | TOLD_UPSTREAMS | TOLD_SPANS | TOLD_BATCHES)

bool node_db_open(const char *url, struct db **ret, struct error *err)
{
	return db_open(&db_postgres, NULL, url, DB_NODE, ret, err);
}

void node_db_close(struct db *db)
{
	db_close(db);
}

/* ---- what others tell ---- */

/* One that breaks here is made again, and listens, as the next are. */
bool node_db_listen(struct db *base, struct error *err)
{
	struct postgres_db *db = postgres_of(base);

	db->listens = true;
	if (!postgres_revive(db, err) || !postgres_listen(db, err))
		return false;
	db->told_seen = db->told;
	return true;
}

static unsigned told_of(const char *channel)
{
	static const struct {
		const char *channel;
		enum node_told told;
	} channels[] = { { "lowtide_nodes", TOLD_NODES },
			 { "lowtide_upstreams", TOLD_UPSTREAMS },
			 { "lowtide_spans", TOLD_SPANS },
			 { "lowtide_batches", TOLD_BATCHES } };

	for (size_t i = 0; i < ARRAY_LEN(channels); i++)
		if (strcmp(channel, channels[i].channel) == 0)
			return channels[i].told;
	return 0;
}

static unsigned told_take(struct postgres_db *db)
{
	unsigned told = 0;
	PGnotify *one;

	if (db->told_seen != db->told) {
		db->told_seen = db->told;
		told = TOLD_ALL;
	}
	while ((one = PQnotifies(db->conn)) != NULL) {
		told |= told_of(one->relname);
		PQfreemem(one);
	}
	return told;
}

bool node_db_wait(struct db *base, int wake_fd, unsigned wait_ms, unsigned *ret_told,
		  struct error *err)
{
	struct postgres_db *db = postgres_of(base);
	uint64_t until_ms = clock_ms() + wait_ms;

	for (;;) {
		(void)PQconsumeInput(db->conn); /* of one that is broken its status tells */
		if (!postgres_revive(db, err))
			return false;
		*ret_told = told_take(db);
		uint64_t now_ms = clock_ms();
		if (*ret_told != 0 || now_ms >= until_ms)
			return true;
		struct pollfd fds[] = { { PQsocket(db->conn), POLLIN, 0 }, { wake_fd, POLLIN, 0 } };
		(void)poll(fds, ARRAY_LEN(fds), clock_wait_ms(until_ms, now_ms));
		if (fds[1].revents != 0)
			return true;
	}
}

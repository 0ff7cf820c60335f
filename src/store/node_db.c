#include "store/node_db.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/asks.h"
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

/* A number and a space behind it; NULL: that is something else. */
static const char *number_read(const char *text, int base, uint64_t *ret)
{
	char *end;

	if (!isxdigit((unsigned char)*text))
		return NULL;
	errno = 0;
	*ret = strtoull(text, &end, base);
	return errno == 0 && *end == ' ' ? end + 1 : NULL;
}

/* What is no name is some other program's word. */
static bool name_read(const char *text, char ret[static TOLD_NAME_SIZE])
{
	return text != NULL && *text != '\0' && slice_copy(slice_of(text), ret, TOLD_NAME_SIZE);
}

/* "NODE UNITS NAME", as store_online_tell() writes it. */
static bool online_read(const char *text, struct online_told *ret)
{
	uint64_t units = 0;

	text = number_read(text, 16, &ret->node);
	if (text != NULL)
		text = number_read(text, 10, &units);
	ret->units = units < UINT_MAX ? (unsigned)units : UINT_MAX;
	return name_read(text, ret->upstream);
}

/* "NODE MODEL". */
static bool wanted_read(const char *text, struct wanted_told *ret)
{
	return name_read(number_read(text, 16, &ret->node), ret->model);
}

static bool is_of(const PGnotify *one, const char *channel)
{
	return strncmp(one->relname, channel, strlen(channel)) == 0;
}

static void news_add(struct node_news *ret, const PGnotify *one)
{
	if (is_of(one, "lowtide_online_"))
		ret->online_n += online_read(one->extra, &ret->online[ret->online_n]);
	else if (is_of(one, "lowtide_wanted_"))
		ret->wanted_n += wanted_read(one->extra, &ret->wanted[ret->wanted_n]);
	else
		ret->told |= told_of(one->relname);
}

static void news_take(struct postgres_db *db, struct node_news *ret)
{
	PGnotify *one;

	*ret = (struct node_news){ 0 };
	if (db->told_seen != db->told) {
		db->told_seen = db->told;
		ret->told = TOLD_ALL;
	}
	while (ret->online_n < NEWS_MAX && ret->wanted_n < NEWS_MAX &&
	       (one = PQnotifies(db->conn)) != NULL) {
		news_add(ret, one);
		PQfreemem(one);
	}
}

bool store_online_tell(struct db *db, const struct online_told *told, struct error *err)
{
	char text[TOLD_NAME_SIZE + 48];
	int64_t one;

	snprintf(text, sizeof(text), "%" PRIx64 " %u %s", told->node, told->units, told->upstream);
	return ask_number(db, SQL_online_tell, VALUES(txt(text)), &one, err);
}

bool store_wanted_tell(struct db *db, const struct wanted_told *told, struct error *err)
{
	char text[TOLD_NAME_SIZE + 32];
	int64_t one;

	snprintf(text, sizeof(text), "%" PRIx64 " %s", told->node, told->model);
	return ask_number(db, SQL_wanted_tell, VALUES(txt(text)), &one, err);
}

bool node_db_wait(struct db *base, int wake_fd, unsigned wait_ms, struct node_news *ret,
		  struct error *err)
{
	struct postgres_db *db = postgres_of(base);
	uint64_t until_ms = clock_ms() + wait_ms;

	for (;;) {
		(void)PQconsumeInput(db->conn); /* of one that is broken its status tells */
		if (!postgres_revive(db, err))
			return false;
		news_take(db, ret);
		uint64_t now_ms = clock_ms();
		if (ret->told != 0 || ret->online_n + ret->wanted_n > 0 || now_ms >= until_ms)
			return true;
		struct pollfd fds[] = { { PQsocket(db->conn), POLLIN, 0 }, { wake_fd, POLLIN, 0 } };
		(void)poll(fds, ARRAY_LEN(fds), clock_wait_ms(until_ms, now_ms));
		if (fds[1].revents != 0)
			return true;
	}
}

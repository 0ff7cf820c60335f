/* servers.h: servers a, b, c … whose answers the test sets, and the list of all lines that came to
 * them. A script for world.h; one set of them at a time. */
#pragma once

#include "world.h"

#include "log_seen.h"

#define SERVERS_MAX 4u
#define REQUESTS_MAX 4096u

#define ANSWER_200                                                    \
	"{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":" \
	"{\"prompt_tokens\":3,\"completion_tokens\":2}}"

/* A line, as it came. */
struct request {
	uint64_t at_ms; /* since the world began */
	unsigned server, batch, line;
	bool fresh, look_up, hasty;
	char url[80], body[96];
};

struct server {
	struct fake_answer answer; /* to a line */
	/* another answer to some lines; NULL: to none */
	void (*choose)(const struct request *rq, struct fake_answer *ret);
	int health;                   /* status; 0: it has no such call */
	const char *models;           /* that it reports; NULL: it does not */
	const char *(*metrics)(void); /* of this moment; NULL: it has none */
	bool unreachable;
	unsigned lines; /* that came */
};

static struct {
	struct server of[SERVERS_MAX];
	struct request requests[REQUESTS_MAX];
	unsigned n;
	uint64_t begun_ms;
} servers;

static uint64_t world_ms(void)
{
	return client_fake_now_ms() - servers.begun_ms;
}

static void servers_poll(const struct server *s, const char *url, struct fake_answer *ret)
{
	ret->status = 404;
	if (url_ends(url, "/health") && s->health != 0)
		ret->status = s->health;
	if (url_ends(url, "/models") && s->models != NULL) {
		ret->status = 200;
		ret->body = s->models;
	}
	if (url_ends(url, "/metrics") && s->metrics != NULL) {
		ret->status = 200;
		ret->body = s->metrics();
	}
}

/* UINT_MAX: there is none. */
static unsigned number_behind(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at != NULL ? (unsigned)strtoul(at + strlen(key), NULL, 10) : UINT_MAX;
}

static void servers_line(struct server *s, const struct fake_request *rq, struct fake_answer *ret)
{
	struct request *r = &servers.requests[servers.n++];

	assert_true(servers.n <= REQUESTS_MAX);
	*r = (struct request){ .at_ms = world_ms(),
			       .server = (unsigned)(s - servers.of),
			       .fresh = rq->fresh,
			       .look_up = rq->look_up,
			       .hasty = rq->hasty };
	snprintf(r->url, sizeof(r->url), "%s", rq->url);
	snprintf(r->body, sizeof(r->body), "%.*s", SLICE_ARG(rq->body));
	r->batch = number_behind(r->body, "\"batch\":");
	r->line = number_behind(r->body, "\"line\":");
	s->lines++;
	*ret = s->answer;
	if (s->choose != NULL && !s->unreachable)
		s->choose(r, ret);
}

static void servers_script(void *ctx, const struct fake_request *rq, struct fake_answer *ret)
{
	struct server *s = &servers.of[rq->url[strlen("http://")] - 'a'];

	(void)ctx;
	if (strcmp(rq->method, "GET") == 0)
		servers_poll(s, rq->url, ret);
	else
		servers_line(s, rq, ret);
	if (s->unreachable)
		*ret = (struct fake_answer){ .how = EXCHANGE_UNREACHABLE, .said = "nobody there" };
}

/* ---- their configuration ---- */

static struct upstream_config server_config(unsigned i)
{
	static char names[SERVERS_MAX][2] = { "a", "b", "c", "d" };
	static char urls[SERVERS_MAX][20] = { "http://a.test/v1", "http://b.test/v1",
					      "http://c.test/v1", "http://d.test/v1" };
	static char key[] = "sk-secret";

	return (struct upstream_config){
		.name = names[i],
		.base_url = urls[i],
		.api_key = key,
		.weight = 1,
		.concurrency = 4,
		.max_concurrency = 8,
		.metrics = GAUGES_NONE,
	};
}

/* They answer every line well after 100 ms. */
static void servers_reset(void)
{
	memset(&servers, 0, sizeof(servers));
	for (unsigned i = 0; i < SERVERS_MAX; i++)
		servers.of[i].answer = (struct fake_answer){ .body = ANSWER_200, .after_ms = 100 };
}

static inline void servers_open_with(struct world *w, struct dispatch_config config,
				     const struct upstream_config *list, size_t n)
{
	servers_reset();
	world_open_with(w, servers_script, NULL, config, list, n);
	servers.begun_ms = client_fake_now_ms();
}

/* The first `n` of them. */
static inline void servers_open(struct world *w, size_t n)
{
	struct upstream_config list[SERVERS_MAX];

	for (unsigned i = 0; i < n; i++)
		list[i] = server_config(i);
	servers_open_with(w, WORLD_CONFIG, list, n);
}

/* ---- what came ---- */

/* Lines that came to the server in [from, to) ms since the world began. */
static inline unsigned servers_count(unsigned server, uint64_t from_ms, uint64_t to_ms)
{
	unsigned count = 0;

	for (unsigned i = 0; i < servers.n; i++) {
		const struct request *r = &servers.requests[i];

		count += r->server == server && r->at_ms >= from_ms && r->at_ms < to_ms;
	}
	return count;
}

/* The `nth` request (from 0) of a line of the first batch; NULL: it did not come so often. */
static inline const struct request *servers_find(unsigned line, unsigned nth)
{
	for (unsigned i = 0; i < servers.n; i++)
		if (servers.requests[i].batch == 0 && servers.requests[i].line == line &&
		    nth-- == 0)
			return &servers.requests[i];
	return NULL;
}

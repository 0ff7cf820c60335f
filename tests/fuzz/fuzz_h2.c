/* What comes on a connection of HTTP/2, behind TLS: each request on it ends, once, whatever comes and
 * wherever it is cut; a pause holds no more than a stream's window. The first byte is how many bytes come
 * at a time. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "client/plain_impl.h"
#include "fuzz.h"

#define ASKS 3

struct ask {
	struct exchange exchange; /* first: the ops are handed it */
	unsigned heads, dones;
	bool pauses;
};

/* Its CA certificates are parsed once. */
static struct {
	struct loop loop;
	struct trust trust;
	struct plain *plain;
	struct client_route *route;
} world;

static void ask_head(struct exchange *x, const struct exchange_head *h)
{
	struct ask *a = (struct ask *)x;

	PROMISE(++a->heads == 1 && h->status >= 200 && h->status <= 999);
	(void)exchange_header(x, "content-type");
	(void)exchange_length(x);
}

static enum exchange_taken ask_body(struct exchange *x, struct slice piece)
{
	const struct ask *a = (struct ask *)x;

	PROMISE(piece.n > 0 && a->dones == 0);
	return a->pauses ? EXCHANGE_PAUSED : EXCHANGE_TAKEN;
}

static void ask_done(struct exchange *x, const struct exchange_result *r)
{
	PROMISE(++((struct ask *)x)->dones == 1);
	PROMISE(r->how != EXCHANGE_WHOLE || r->status >= 200);
	PROMISE(r->how == EXCHANGE_WHOLE || *r->said != '\0');
}

static const struct exchange_ops head_ops = {
	.head = ask_head,
	.body = ask_body,
	.done = ask_done,
};
static const struct exchange_ops ops = { .body = ask_body, .done = ask_done };

static void world_make(void)
{
	static struct client nobody;
	struct error err;

	log_set_level(LOG_OFF);
	PROMISE(loop_open(&world.loop, &err));
	world.plain = plain_open(&world.loop, &world.trust);
	PROMISE(world.plain != NULL);
	world.route = plain_route_new(world.plain, "https://127.0.0.1:1/", &(struct tls_pem){ 0 });
	PROMISE(world.route != NULL);
	world.route->client = &nobody;
	world.route->ops = &plain_route_ops;
}

static void ready(struct loop_watch *watch, uint32_t events)
{
	struct plain_conn *c = (struct plain_conn *)watch;

	if (c->fd >= 0)
		streams_ready(c, events);
}

/* A connection that stands; returns the server's end. */
static int conn_make(void)
{
	struct plain_host *h = ((struct plain_route *)world.route)->host;
	struct plain_conn *c = calloc(1, sizeof(*c));
	int ends[2];

	PROMISE(c != NULL);
	PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	*c = (struct plain_conn){ .watch.ready = ready,
				  .host = h,
				  .fd = ends[0],
				  .in_wants = EPOLLIN,
				  .out_wants = EPOLLOUT,
				  .number = ++world.plain->stood };
	h->users++;
	PROMISE(streams_begin(c));
	conn_watch(c);
	return ends[1];
}

static void turn(int server)
{
	char out[4096];

	loop_wait(&world.loop, 0);
	plain_run(world.plain);
	while (read(server, out, sizeof(out)) > 0)
		;
	plain_deliver(world.plain);
}

static void say(int server, const uint8_t *bytes, size_t n)
{
	(void)!send(server, bytes, n, MSG_NOSIGNAL); /* the client may have closed it */
	turn(server);
}

static void asks_start(struct ask all[static ASKS])
{
	for (int i = 0; i < ASKS; i++) {
		struct exchange_setup s = { .route = world.route,
					    .ops = i == 0 ? &head_ops : &ops,
					    .decode = i == 1,
					    .sends_max = 1 };
		all[i] = (struct ask){ .pauses = i == 2 };
		PROMISE(exchange_open(&all[i].exchange, &s));
		PROMISE(exchange_url(&all[i].exchange, "https://127.0.0.1:1/"));
		PROMISE(exchange_start(&all[i].exchange,
				       &(struct exchange_request){ .body = SLICE("{}") }));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t settings[] = { 0, 0, 0, 4, 0, 0, 0, 0, 0 };
	struct ask all[ASKS];

	if (size == 0)
		return 0;
	if (world.plain == NULL)
		world_make();
	int server = conn_make();
	say(server, settings, sizeof(settings));
	asks_start(all);
	turn(server);
	size_t step = data[0] > 0 ? data[0] : size;
	for (size_t at = 1; at < size; at += step)
		say(server, data + at, size - at < step ? size - at : step);
	const struct plain_exchange *waits = all[2].exchange.state;
	PROMISE(waits->held.n <= STREAM_WINDOW_BYTES);
	all[2].pauses = false;
	if (all[2].exchange.under_way)
		exchange_resume(&all[2].exchange);
	close(server);
	for (int i = 0; i < 4; i++)
		turn(-1);
	for (int i = 0; i < ASKS; i++) {
		PROMISE(all[i].dones == 1);
		exchange_close(&all[i].exchange);
	}
	PROMISE(world.plain->idle.n == 0 && world.plain->touched == NULL);
	return 0;
}

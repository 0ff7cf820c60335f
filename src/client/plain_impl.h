/* plain_impl.h: what the files of lowtide's own HTTP share. Private to them. From the top:
 *
 *	plain.c           what network.c has of it: the turn of the loop
 *	plain_exchange.c  what client.h has of an exchange
 *	plain_flight.c    a request on its way to a connection, and by HTTP/1.1 on it: what happens to a
 *	                  connection comes in here
 *	plain_streams.c   the requests on a connection of HTTP/2: what happens to that comes in here
 *	plain_fields.c    a request as HTTP/2 has it
 *	plain_frames.c    what goes out on such a connection
 *	plain_answer.c    what comes: head, body, pauses
 *	plain_end.c       how an exchange ends, and when it has to
 *	plain_conn.c      connections: made, written, read, kept
 *	plain_h2.c        what a connection of HTTP/2 has beside others
 *	plain_tls.c       TLS on them
 *	plain_host.c      servers: their addresses, their idle connections
 *	plain_time.c      one timer an exchange
 *	plain_decode.c, plain_parse.c, plain_url.c, lookup.c
 */
#pragma once

#include "client/lookup.h"
#include "client/plain.h"
#include "client/plain_decode.h"
#include "client/plain_parse.h"
#include "client/plain_url.h"
#include "client/trust.h"

struct plain_exchange;

struct exchange_list {
	struct plain_exchange *first, *last;
};

/* TLS to a server: what all its connections have alike. */
struct tls_way {
	struct ssl_ctx_st *ctx;
	struct ssl_session_st *session; /* that the next one resumes; NULL: none */
	struct tls_pem pem;             /* what it was made of; of the CA certificates the mark */
	char name[PLAIN_HOST_BYTES];    /* that a certificate must have; in small letters */
	bool is_address;                /* that name */
	char fault[160]; /* why lowtide's own certificate cannot be used; "": it can, or is none */
	/* Which HTTP a server speaks is known when a connection to it stands. While that is not
	 * known, and where it is HTTP/2, one exchange makes a connection, and those that come
	 * meanwhile wait for it: it may carry them all. */
	enum { HTTP_UNKNOWN, HTTP_1_1, HTTP_2 } speaks;
	struct plain_exchange *opener;
	struct exchange_list waiting;
};

/* A server, for all routes to it: by host and port, and by what is known of its TLS. */
struct plain_host {
	struct plain_host *next;
	struct plain *plain;
	unsigned users; /* routes and connections */
	uint16_t port;
	char name[PLAIN_HOST_BYTES];
	struct tls_way *tls;       /* NULL: without */
	struct plain_conn *idle;   /* the newest first */
	struct plain_conn *shared; /* of HTTP/2, that are not idle; likewise */
	bool known;                /* its addresses need no look-up */
	struct addresses addresses;
	uint64_t good_until_ms;       /* that they are */
	unsigned well;                /* which of them was connected to last: it is tried first */
	struct lookup *lookup;        /* NULL: none is under way */
	struct exchange_list waiting; /* for it */
};

struct plain_route {
	struct client_route base; /* first */
	struct plain_host *host;
};

struct plain_conn {
	struct loop_watch watch; /* first */
	struct plain_host *host;
	struct plain_exchange *x; /* whose it is; NULL: it is idle, closed, or of HTTP/2 */
	struct plain_h2 *h2;      /* NULL: it is HTTP/1.1, or not known yet */
	int fd;                   /* -1: closed */
	uint32_t events;          /* that the loop waits for */
	uint32_t in_wants;        /* what reading waits for: EPOLLIN, but in the midst of TLS */
	uint32_t out_wants;       /* likewise writing: EPOLLOUT */
	struct ssl_st *ssl;       /* NULL: without */
	unsigned long fault;      /* OpenSSL's code of what ended it; 0: nothing of TLS */
	bool kept;                /* it has carried a request before this one */
	uint64_t number;          /* of those that have come to stand */
	/* of the same host: those that are idle, or shared; older also: buried */
	struct plain_conn *host_newer, *host_older;
	/* while it is idle */
	bool is_idle;
	uint64_t idle_ms;                 /* since when */
	struct plain_conn *newer, *older; /* of all */
};

/* A connection's HTTP/2. What it has to say goes out at the end of the loop's turn (touched): frames
 * of all its requests in one record. */
struct plain_h2 {
	struct plain_conn *conn;
	struct nghttp2_session *session;
	struct exchange_list streams; /* requests on it */
	unsigned n;                   /* of them */
	bool settled;                 /* the server has said how many it takes */
	bool leaves;                  /* it takes no more, and ends with the last */
	bool gone;                    /* nothing goes out any more */
	uint64_t reads;               /* how often something has come */
	struct buf out;               /* what the socket has not taken yet */
	struct slice rest;            /* of a frame that is in parts in a record; nghttp2's */
	bool touched;
	struct plain_h2 *next_touched;
};

enum plain_state {
	PLAIN_IDLE,
	PLAIN_STARTED, /* it begins in the next turn */
	PLAIN_LOOKUP,
	PLAIN_WAITING, /* for another's connection (struct tls_way) */
	PLAIN_CONNECTING,
	PLAIN_SHAKING, /* hands, of TLS */
	PLAIN_SENT,    /* a part of it at least */
	PLAIN_ENDED    /* `done` is to be called */
};

/* What an exchange has here: one block, with the headers that are sent behind it. */
struct plain_exchange {
	struct exchange *of;
	struct plain *plain;
	struct plain_host *host;
	enum plain_state state;
	struct exchange_list *in; /* NULL: in none */
	struct plain_exchange *prev, *next;
	struct plain_conn *conn; /* NULL: none */

	/* what is late when (plain_time.c) */
	size_t timer;      /* where it stands in the heap, from 1; 0: nowhere */
	uint64_t timer_ms; /* when it is looked at: as early as it may be late, or earlier */
	uint64_t start_ms, end_ms, connect_ms; /* began · ends, connects by then */
	uint64_t address_ms;                   /* by then to the address that is tried */
	uint64_t heard_ms;                     /* when something came or went */

	/* the request */
	uint64_t timeout_ms, silence_ms; /* of the setup */
	const char *method;
	bool has_body, decode;
	bool asks_identity; /* Accept-Encoding */
	char *line;         /* with Host; NULL: the URL cannot be sent */
	size_t line_n;
	struct slice target, authority; /* in it */
	struct exchange_request rq;
	size_t own_n;                  /* of rq.header */
	char tail[48];                 /* Content-Length and the end of the head */
	size_t tail_n, whole_n, out_n; /* bytes: of the request · of it that have gone out */
	unsigned address;              /* how many have been tried */
	int write_errno;               /* it could not be sent on, but an answer may have come */
	const char *kept_off;          /* the guard's words; NULL: it let all pass */
	uint64_t born;                 /* connections that had come to stand when it began */
	int32_t stream;                /* of its connection of HTTP/2; 0: none */
	uint64_t reads;                /* of that connection, before it went out */

	/* the answer */
	struct parse parse;
	bool has_head, paused;
	bool all_in;         /* HTTP/2: nothing more comes */
	uint64_t body_bytes; /* that have been taken */
	uint64_t consumed;   /* of them, that the stream's window has again */
	struct buf held;     /* what came while it was paused, and was not taken apart yet */
	struct body_decoder decoder;
	struct slice decoded; /* by it, and not taken yet */
	struct exchange_result result;
	char said[256];

	size_t headers_n;
	char headers[]; /* "Name: value\r\n"... */
};

struct plain {
	struct loop *loop;
	struct trust *trust;
	client_guard_fn guard;
	struct plain_host *hosts;
	struct exchange_list started, ended;
	struct exchange_list released; /* have waited for another's connection, or go again */
	struct {
		struct plain_exchange **list; /* a heap by timer_ms */
		size_t n, cap, open;          /* exchanges that are open: cap is no less */
	} timers;
	struct {
		unsigned n, most;
		struct plain_conn *newest, *oldest;
	} idle;
	struct plain_conn *buried; /* closed; the loop may have an event of them yet */
	uint64_t stood;            /* connections that have come to stand */
	struct plain_h2 *touched;
	void *fields; /* of a request of HTTP/2, put together here; nghttp2's */
	size_t fields_cap;
	char *in;     /* what is read lies here until it is taken */
	char *record; /* what is written by TLS is put together here */
};

#define PLAIN_IN_BYTES (64u << 10)
#define PLAIN_RECORD_BYTES (16u << 10) /* the longest of TLS */
#define PLAIN_RECORDS 16u              /* of TLS, that are written in one turn of the loop */
#define IDLE_MAX_MS 4000u
/* What may come of one answer by HTTP/2 while its owner has no room. */
#define STREAM_WINDOW_BYTES (256u << 10)

/* ---- plain_exchange.c ---- */

bool plain_exchange_open(struct exchange *of, const struct exchange_setup *s);
void plain_exchange_free(struct exchange *of);
bool plain_exchange_url(struct exchange *of, const char *text);
bool plain_exchange_start(struct exchange *of, const struct exchange_request *rq);
void plain_exchange_stop(struct exchange *of);
void plain_exchange_resume(struct exchange *of);
struct slice plain_exchange_header(const struct exchange *of, const char *name);
uint64_t plain_exchange_length(const struct exchange *of);

/* ---- plain_flight.c ---- */

/* Takes a started one on its way. */
void flight_begin(struct plain_exchange *x);
/* Likewise one that has waited for another's connection. */
void flight_go_on(struct plain_exchange *x);
/* What is there already of an answer that is paused no more. */
void flight_resume(struct plain_exchange *x);
/* Look-ups may have ended. */
void flights_looked_up(struct plain *p);
/* Ends those that are late. */
void flights_late(struct plain *p);

/* ---- plain_streams.c ---- */

/* The connection stands, and the server has chosen HTTP/2. False: no memory. */
MUST_USE bool streams_begin(struct plain_conn *c);
/* x->conn carries its request from now on. */
void stream_send(struct plain_exchange *x);
/* What is there already of an answer that is paused no more. */
void stream_resume(struct plain_exchange *x);
/* The loop's events. */
void streams_ready(struct plain_conn *c, uint32_t events);
/* Sends what there is to say on all connections; those that carry nothing are kept, or closed. */
void streams_flush(struct plain *p);

/* ---- plain_frames.c ---- */

/* Sends what the connection has to say, as far as the socket takes it; false: errno. */
MUST_USE bool frames_write(struct plain_h2 *h2);

/* ---- plain_fields.c ---- */

MUST_USE bool fields_reserve(struct plain *p, size_t headers); /* of an open exchange */
/* Into p->fields; returns how many. They are borrowed from the exchange. */
size_t fields_of(const struct plain_exchange *x);

/* ---- plain_answer.c ---- */

void answer_begin(struct plain_exchange *x);
/* Bytes of it, of which nothing is kept but in x->held. */
void answer_take(struct plain_exchange *x, struct slice in);
/* The connection has ended, and a byte had come; by HTTP/2: the answer has. */
void answer_closed(struct plain_exchange *x);
/* Bytes of a body while it is paused. */
void answer_hold(struct plain_exchange *x, struct slice in);
/* A line of a head that comes in lines: status, fields, and at last none. */
void answer_line(struct plain_exchange *x, struct slice name, struct slice value);

/* ---- plain_end.c ---- */

void exchange_put(struct exchange_list *to, struct plain_exchange *x);
void exchange_take_out(struct plain_exchange *x);
/* It ends, and its connection with it, unless the answer is whole and lets it be kept. The words are
 * of no whole one. */
void exchange_end(struct plain_exchange *x, enum exchange_end how, const char *format, ...)
	PRINTF_LIKE(3, 4);
/* If others wait for the connection that it makes, they wait no longer. `failed`: nor for the next. */
void exchange_opens_no_more(struct plain_exchange *x, bool failed);
/* It has waited, or is to go again: in the next turn. */
void exchange_release(struct plain_exchange *x);
/* UINT64_MAX: never. */
uint64_t exchange_due_ms(const struct plain_exchange *x);

/* ---- plain_conn.c ---- */

/* Begins to connect for `x`. False: errno says why it cannot. */
MUST_USE bool conn_open(struct plain_exchange *x, const union address *a,
			void (*ready)(struct loop_watch *watch, uint32_t events));
/* Why it is not connected; 0: it is. */
int conn_fault(const struct plain_conn *c);
/* Sends what there is still to send of its exchange's request; false: x->write_errno. */
MUST_USE bool conn_write(struct plain_conn *c);
/* Reads into p->in. As read(); EPROTO: c->fault. `again`: in this turn it was read before. */
ssize_t conn_read(struct plain_conn *c, bool again);
/* Waits for an answer, or for room to write, or, while its exchange is paused, for nothing. */
void conn_watch(struct plain_conn *c);
/* As write(); EPROTO: c->fault. */
ssize_t conn_send(struct plain_conn *c, const char *from, size_t n);
/* Gives it back: another request may use it. */
void conn_keep(struct plain_conn *c);
/* It is HTTP/2's from now on. */
void conn_share(struct plain_conn *c);
/* One that stands, for a request: with room beside others, else the newest that is idle, and is no
 * longer; NULL: none. */
struct plain_conn *conn_take(const struct plain_exchange *x);
void conn_close(struct plain_conn *c);
void conns_bury(struct plain *p); /* frees those that were closed: between two waits of the loop */
/* Closes those that have been idle for too long, or are more than `most`. */
void conns_trim(struct plain *p, unsigned most);

/* ---- plain_h2.c ---- */

/* How many more requests may go out on it. */
unsigned h2_room(const struct plain_h2 *h2);
/* The end of this turn looks after it. */
void h2_touch(struct plain_h2 *h2);
/* Its stream is done with: the server is told, if it does not know. */
void h2_leave(struct plain_h2 *h2, struct plain_exchange *x);
void h2_free(struct plain_h2 *h2); /* NULL is fine */

/* ---- plain_tls.c ---- */

enum tls_shaken {
	TLS_SHAKEN, /* the connection is the server's, and may be used */
	TLS_SHAKES, /* it goes on: conn_watch() */
	TLS_REFUSED,
};

/* NULL: no memory. `ca` is what `pem` has a mark of. */
struct tls_way *tls_way_new(struct trust *t, const struct tls_pem *pem, const char *ca,
			    const char *host);
void tls_way_free(struct tls_way *w); /* NULL is fine */
/* On a connection that stands. False: no memory. */
MUST_USE bool tls_begin(struct plain_conn *c);
/* *ret_how, `why`: where it is refused, or errno. */
enum tls_shaken tls_shake(struct plain_conn *c, enum exchange_end *ret_how, char *why, size_t size);
/* The server has chosen HTTP/2. */
bool tls_is_http2(const struct plain_conn *c);
/* As read() and write(); EPROTO: c->fault. */
ssize_t tls_read(struct plain_conn *c, char *to, size_t size, bool again);
ssize_t tls_write(struct plain_conn *c, const char *from, size_t n);
/* Bytes have been read of which the loop tells nothing more. */
bool tls_holds(const struct plain_conn *c);
/* What has come on one that is idle is TLS's own, a ticket. */
bool tls_is_quiet(struct plain_conn *c);
/* Says farewell, unless it is broken. */
void tls_end(struct plain_conn *c);
/* c->fault in words; whether it is the other side's refusal of lowtide's certificate, or the end
 * without a farewell. */
const char *tls_fault_words(unsigned long fault);
bool tls_fault_certificate(unsigned long fault);
bool tls_fault_cut(unsigned long fault);

/* ---- plain_host.c ---- */

/* NULL: no memory. `tls` is for https. */
struct plain_host *host_take(struct plain *p, const struct plain_url *url,
			     const struct tls_pem *tls);
void host_give(struct plain_host *h); /* NULL is fine */
/* Its addresses are there, and good. */
bool host_is_known(const struct plain_host *h);
/* Begins a look-up, if none is under way; false: it cannot. */
MUST_USE bool host_look_up(struct plain_host *h);
/* A look-up has just ended; *ret_why: as lookup_ended(). */
MUST_USE bool host_looked_up(struct plain_host *h, const char **ret_why);

/* ---- plain_time.c ---- */

MUST_USE bool timers_reserve(struct plain *p); /* for one more open exchange */
void timers_remove(struct plain_exchange *x);  /* it is closed */
/* It is looked at by then, or earlier; UINT64_MAX: need not be. */
void timer_set(struct plain_exchange *x, uint64_t due_ms);
/* Takes out one whose time has come to be looked at; NULL: none. */
struct plain_exchange *timers_next(struct plain *p);
/* UINT64_MAX: none. */
uint64_t timers_due_ms(const struct plain *p);

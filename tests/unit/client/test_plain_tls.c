/* test_plain_tls.c: what https has of its own: certificates, names, sessions, ends, TLS's own traffic
 * amid a request, and which HTTP a server chooses. */
#include "unit.h"

#include "plain_world.h"

static char http_1_1[] = "\x08http/1.1", h2[] = "\x02h2";

/* ---- a world with a server of the test's making ---- */

static void world_open_with(struct world *w, SSL_CTX *server, const char *host)
{
	SSL_CTX_free(server_ctx);
	server_ctx = server;
	world_open_at(w, &(struct exchange_setup){ 0 }, host);
}

static enum exchange_end started(struct world *w)
{
	char request[4096];
	unsigned dones = w->ask.dones;
	bool answers = false;

	start(&w->ask, &(struct exchange_request){ .fresh = true });
	while (w->ask.dones == dones) {
		turn(w);
		taken(w);
		if (!answers && w->fd >= 0 && server_read(w->fd, request, sizeof(request)) > 0) {
			answers = true;
			server_send(w->fd, TWO, sizeof(TWO) - 1);
		}
	}
	return w->ask.how;
}

static void ended_as(struct world *w, enum exchange_end how, const char *said)
{
	enum exchange_end got = started(w);

	if (got != how || strstr(w->ask.said, said) == NULL)
		fail_msg("%d: %s; not %d: %s", (int)got, w->ask.said, (int)how, said);
	assert_int_equal(w->ask.status, got == EXCHANGE_WHOLE ? 200 : 0);
}

/* ---- the server's certificate ---- */

static void names_of_certificates(void **state)
{
	static const struct {
		const char *host, *name, *names;
		bool fits;
	} all[] = {
		{ "127.0.0.1", "server", "IP:127.0.0.1", true },
		{ "127.0.0.1", "server", "IP:127.0.0.2", false },
		{ "127.0.0.1", "server", "DNS:127.0.0.1", false },
		{ "127.0.0.1", "127.0.0.1", "DNS:elsewhere.test", false },
		{ "127.0.0.1", "127.0.0.1", NULL, true },
		{ "127.0.0.1", "127.0.0.2", NULL, false },
		{ "model.test", "server", "DNS:MODEL.test", true },
		{ "Model.Test.", "server", "DNS:model.test", true },
		{ "model.test", "model.test", NULL, true },
		{ "model.test", "model.test", "DNS:elsewhere.test", false },
		{ "a.model.test", "server", "DNS:*.model.test", true },
		{ "a.b.model.test", "server", "DNS:*.model.test", false },
		{ "ab.model.test", "server", "DNS:a*.model.test", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct cert c = cert_make(&(struct cert_wanted){
			.name = all[i].name, .names = all[i].names, .signer = &ca });
		char said[100];
		struct world w;
		names[0] = "127.0.0.1";
		world_open_with(&w, server_ctx_of(&c), all[i].host);
		snprintf(said, sizeof(said), "target host name '%s'", all[i].host);
		if (all[i].fits)
			ended_as(&w, EXCHANGE_WHOLE, "");
		else
			ended_as(&w, EXCHANGE_CERTIFICATE, said);
		assert_int_equal(w.ask.exchange.sent, all[i].fits);
		world_close(&w);
		cert_free(&c);
	}
}

static void certificates_that_are_not_trusted(void **state)
{
	struct cert other = cert_make(&(struct cert_wanted){ .name = "other", .is_ca = true });
	struct cert strange = cert_make(&(struct cert_wanted){
		.name = "server", .names = "IP:127.0.0.1", .signer = &other });
	struct cert expired = cert_make(&(struct cert_wanted){
		.name = "server", .names = "IP:127.0.0.1", .signer = &ca, .expired = true });
	struct world w;

	(void)state;
	world_open_with(&w, server_ctx_of(&strange), "127.0.0.1");
	ended_as(&w, EXCHANGE_CERTIFICATE, "unable to get local issuer certificate");
	world_close(&w);
	world_open_with(&w, server_ctx_of(&expired), "127.0.0.1");
	ended_as(&w, EXCHANGE_CERTIFICATE, "certificate has expired");
	assert_int_equal(w.ask.exchange.sent, 0);
	world_close(&w);
	cert_free(&other);
	cert_free(&strange);
	cert_free(&expired);
}

static char asked_for[64];

/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's signature */
static int note_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	(void)arg;
	snprintf(asked_for, sizeof(asked_for), "%s", name != NULL ? name : "none");
	return SSL_TLSEXT_ERR_OK;
}

static void a_name_is_asked_for(void **state)
{
	static const char *const all[][2] = { { "Model.Test.", "model.test" },
					      { "127.0.0.1", "none" } };
	struct world w;

	(void)state;
	names[0] = "127.0.0.1";
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		SSL_CTX *server = server_ctx_of(&usual);
		SSL_CTX_set_tlsext_servername_callback(server, note_name);
		world_open_with(&w, server, all[i][0]);
		ended_as(&w, EXCHANGE_WHOLE, "");
		assert_string_equal(asked_for, all[i][1]);
		world_close(&w);
	}
}

/* ---- lowtide's own certificate ---- */

static SSL_CTX *strict_ctx(int version)
{
	SSL_CTX *ctx = server_ctx_of(&usual);

	SSL_CTX_set_max_proto_version(ctx, version);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca.x509);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return ctx;
}

static void shown_ends(int version, const struct tls_pem *shown, enum exchange_end how,
		       const char *said)
{
	struct world w;
	struct tls_pem tls = *shown;
	char url[64];

	tls.ca = ca.pem;
	world_open_with(&w, strict_ctx(version), "127.0.0.1");
	exchange_close(&w.ask.exchange);
	client_route_free(w.route);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/v1", w.port);
	w.route = client_route_new(w.client, url, &tls);
	ask_open(&w, &w.ask, &(struct exchange_setup){ 0 }, "127.0.0.1");
	ended_as(&w, how, said);
	world_close(&w);
}

/* In TLS 1.3 the refusal comes as the answer to the request. */
static void what_is_shown(void **state)
{
	struct cert middle = cert_make(
		&(struct cert_wanted){ .name = "middle", .signer = &ca, .is_ca = true });
	struct cert mine = cert_make(&(struct cert_wanted){ .name = "lowtide", .signer = &middle });
	struct cert alone = cert_make(&(struct cert_wanted){ .name = "alone" });
	char chain[8192], both[8192];
	const struct tls_pem none = { 0 }, strange = { .cert = alone.pem, .key = alone.key_pem },
			     pair = { .cert = chain, .key = mine.key_pem }, one = { .cert = both };

	(void)state;
	snprintf(chain, sizeof(chain), "%s%s", mine.pem, middle.pem);
	snprintf(both, sizeof(both), "%s%s%s", mine.pem, middle.pem, mine.key_pem);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		shown_ends(version, &pair, EXCHANGE_WHOLE, "");
		shown_ends(version, &one, EXCHANGE_WHOLE, "");
		shown_ends(version, &none,
			   version == TLS1_3_VERSION ? EXCHANGE_CERTIFICATE : EXCHANGE_UNREACHABLE,
			   version == TLS1_3_VERSION ? "alert certificate required"
						     : "handshake failure");
		shown_ends(version, &strange, EXCHANGE_CERTIFICATE, "alert unknown ca");
	}
	cert_free(&middle);
	cert_free(&mine);
	cert_free(&alone);
}

/* The configuration takes it; OpenSSL does not. */
static void a_certificate_that_cannot_be_shown(void **state)
{
	struct cert weak = cert_make(&(struct cert_wanted){ .name = "weak", .weak = true });

	(void)state;
	shown_ends(TLS1_3_VERSION, &(struct tls_pem){ .cert = weak.pem, .key = weak.key_pem },
		   EXCHANGE_CERTIFICATE, "lowtide's own certificate cannot be used: ");
	cert_free(&weak);
}

/* ---- handshakes ---- */

static void sessions_are_resumed(void **state)
{
	struct world w;

	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_CTX *server = server_ctx_of(&usual);
		SSL_CTX_set_max_proto_version(server, version);
		world_open_with(&w, server, "127.0.0.1");
		for (int i = 0; i < 4; i++) {
			ended_as(&w, EXCHANGE_WHOLE, "");
			assert_int_equal(SSL_session_reused(server_ssl[w.fd]), i > 0);
		}
		world_close(&w);
	}
}

/* Another CA judges anew. */
static void no_session_of_another_trust(void **state)
{
	struct cert other = cert_make(&(struct cert_wanted){ .name = "other", .is_ca = true });
	struct world w;
	struct ask ask;
	char url[64];

	(void)state;
	world_open_with(&w, server_ctx_of(&usual), "127.0.0.1");
	ended_as(&w, EXCHANGE_WHOLE, "");
	struct client_route *trusted = w.route;
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/v1", w.port);
	w.route = client_route_new(w.client, url, &(struct tls_pem){ .ca = other.pem });
	ask_open(&w, &ask, &(struct exchange_setup){ 0 }, "127.0.0.1");
	start(&ask, &(struct exchange_request){ 0 }); /* nor a connection */
	while (ask.dones == 0) {
		turn(&w);
		taken(&w);
	}
	assert_int_equal(ask.how, EXCHANGE_CERTIFICATE);
	ask_close(&ask);
	client_route_free(w.route);
	w.route = trusted;
	world_close(&w);
	cert_free(&other);
}

static void handshakes_that_fail(void **state)
{
	struct world w;
	SSL_CTX *old = server_ctx_of(&usual);

	(void)state;
	SSL_CTX_set_security_level(old, 0);
	SSL_CTX_set_min_proto_version(old, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(old, TLS1_1_VERSION);
	world_open_with(&w, old, "127.0.0.1");
	ended_as(&w, EXCHANGE_UNREACHABLE, "alert protocol version");
	world_close(&w);
	over_tls = false; /* the server */
	for (int i = 0; i < 3; i++) {
		over_tls = true;
		world_open(&w, &(struct exchange_setup){ 0 });
		over_tls = false;
		start(&w.ask, &(struct exchange_request){ .hasty = i == 2 });
		while (!taken(&w))
			turn(&w);
		if (i == 0)
			(void)!write(w.fd, EMPTY, sizeof(EMPTY) - 1);
		else if (i == 1)
			shutdown(w.fd, SHUT_WR);
		for (int n = 0; n < 5; n++)
			turn(&w);
		if (i == 2) {
			later_s += 2;
			turn(&w);
			assert_int_equal(w.ask.dones, 0);
			later_s += 2;
		}
		while (w.ask.dones == 0)
			turn(&w);
		assert_int_equal(w.ask.how, EXCHANGE_UNREACHABLE);
		static const char *const said[] = { "wrong version number",
						    "closed without close_notify",
						    "in the TLS handshake" };
		if (strstr(w.ask.said, said[i]) == NULL)
			fail_msg("%d: %s", i, w.ask.said);
		assert_int_equal(w.ask.outs, 0);
		world_close(&w);
	}
	over_tls = true;
}

static const char *nobody(const struct sockaddr *address)
{
	(void)address;
	return "nobody";
}

static void a_guard_is_asked(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	client_guard(w.client, nobody);
	start(&w.ask, &(struct exchange_request){ 0 });
	assert_int_equal(ended(&w), EXCHANGE_UNREACHABLE);
	assert_string_equal(w.ask.said, "nobody");
	assert_false(taken(&w));
	world_close(&w);
}

/* ---- ends ---- */

/* What goes on until the connection ends may have been cut off, if nobody said farewell. */
static void an_end_without_a_farewell(void **state)
{
	static const struct {
		const char *text, *said;
	} all[] = {
		{ OK "\r\nall of it?", "closed without close_notify" },
		{ OK "Content-Length: 9\r\n\r\n{}", "closed without close_notify" },
		{ OK "Content-Le", "closed without close_notify" },
		{ "", "closed without close_notify" },
	};
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		asked(&w, &(struct exchange_request){ .fresh = true });
		say(&w, all[i].text, strlen(all[i].text));
		server_drop(w.fd);
		w.fd = -1;
		assert_int_equal(ended(&w), EXCHANGE_BROKEN);
		if (strstr(w.ask.said, all[i].said) == NULL)
			fail_msg("%s: %s", all[i].text, w.ask.said);
	}
	/* one that was kept was dead */
	assert_int_equal(answered(&w, TWO), EXCHANGE_WHOLE);
	asked(&w, &(struct exchange_request){ 0 });
	server_drop(w.fd);
	w.fd = -1;
	char request[4096];
	heard(&w, request, sizeof(request), 0);
	SAY(&w, TWO);
	assert_int_equal(ended(&w), EXCHANGE_WHOLE);
	assert_int_equal(w.ask.outs, 2);
	world_close(&w);
}

/* Its FIN may never come. */
static void a_farewell_to_an_idle_connection(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	assert_int_equal(answered(&w, TWO), EXCHANGE_WHOLE);
	assert_int_equal(SSL_shutdown(server_ssl[w.fd]), 0);
	turn(&w);
	assert_true(is_closed(&w));
	assert_int_equal(answered(&w, TWO), EXCHANGE_WHOLE);
	assert_int_equal(w.ask.outs, 1);
	world_close(&w);
}

/* ---- TLS's own traffic ---- */

/* The server takes what comes until it has nothing left to do. */
static void served(struct world *w)
{
	char request[4096];

	for (int i = 0; i < 10; i++) {
		turn(w);
		(void)server_read(w->fd, request, sizeof(request));
	}
}

static void tickets_while_it_is_idle(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	for (int i = 0; i < 3; i++) {
		assert_int_equal(answered(&w, TWO), EXCHANGE_WHOLE);
		assert_int_equal(SSL_new_session_ticket(server_ssl[w.fd]), 1);
		assert_int_equal(SSL_do_handshake(server_ssl[w.fd]), 1);
		assert_false(is_closed(&w));
	}
	assert_false(taken(&w)); /* all on one connection */
	world_close(&w);
}

static void new_keys_amid_an_answer(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	for (int i = 0; i < 3; i++) {
		asked(&w, &(struct exchange_request){ 0 });
		SAY(&w, OK "Content-Length: 4\r\n\r\n12");
		assert_int_equal(SSL_key_update(server_ssl[w.fd], SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(server_ssl[w.fd]), 1);
		served(&w);
		assert_int_equal(w.ask.dones, i);
		SAY(&w, "34");
		assert_int_equal(ended(&w), EXCHANGE_WHOLE);
		body_is(&w, "1234");
	}
	assert_false(taken(&w));
	world_close(&w);
}

/* TLS 1.2, amid an answer and while the connection is idle. */
static void a_renegotiation(void **state)
{
	SSL_CTX *server = server_ctx_of(&usual);
	struct world w;

	(void)state;
	SSL_CTX_set_max_proto_version(server, TLS1_2_VERSION);
	world_open_with(&w, server, "127.0.0.1");
	asked(&w, &(struct exchange_request){ 0 });
	SAY(&w, OK "Content-Length: 4\r\n\r\n12");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(SSL_renegotiate(server_ssl[w.fd]), 1);
		(void)SSL_do_handshake(server_ssl[w.fd]);
		served(&w);
		assert_int_equal(SSL_renegotiate_pending(server_ssl[w.fd]), 0);
		if (i == 0) {
			SAY(&w, "34");
			assert_int_equal(ended(&w), EXCHANGE_WHOLE);
			body_is(&w, "1234");
		}
	}
	assert_int_equal(answered(&w, TWO), EXCHANGE_WHOLE);
	assert_false(taken(&w));
	world_close(&w);
}

/* ---- pieces that are no records ---- */

/* The records of what the server says. */
static size_t records_of(struct world *w, const char *const *texts, char *to, size_t size)
{
	BIO *memory = BIO_new(BIO_s_mem());

	SSL_set0_wbio(server_ssl[w->fd], memory);
	for (; *texts != NULL; texts++)
		assert_int_equal(server_send(w->fd, *texts, strlen(*texts)), strlen(*texts));
	int n = BIO_read(memory, to, (int)size);
	SSL_set0_wbio(server_ssl[w->fd], BIO_new_socket(w->fd, BIO_NOCLOSE));
	return (size_t)n;
}

static void records_cut_at_every_byte(void **state)
{
	static const char *const texts[] = { OK "Content-Length: 9\r\n\r\n12", "345", "6789",
					     NULL };
	char records[1024];
	struct world w;
	size_t n = 2;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	for (size_t at = 1; at < n; at++) {
		asked(&w, &(struct exchange_request){ 0 });
		n = records_of(&w, texts, records, sizeof(records));
		assert_int_equal(send(w.fd, records, at, MSG_NOSIGNAL), at);
		turn(&w);
		assert_true(w.ask.exchange.under_way);
		assert_int_equal(send(w.fd, records + at, n - at, MSG_NOSIGNAL), n - at);
		assert_int_equal(ended(&w), EXCHANGE_WHOLE);
		body_is(&w, "123456789");
	}
	assert_false(taken(&w));
	world_close(&w);
}

/* What TLS has taken from the socket is there when its owner has room again. */
static void records_that_wait(void **state)
{
	static const char *const texts[] = { OK "Content-Length: 6\r\n\r\n", "12", "3456", NULL };
	char records[1024];
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	for (int cut = 0; cut < 2; cut++) {
		asked(&w, &(struct exchange_request){ 0 });
		w.ask.takes = EXCHANGE_PAUSED;
		size_t n = records_of(&w, texts, records, sizeof(records));
		size_t first = n - (cut != 0 ? 3 : 0);
		assert_int_equal(send(w.fd, records, first, MSG_NOSIGNAL), first);
		for (int i = 0; i < 5; i++)
			turn(&w);
		assert_int_equal(w.ask.body.n, 0);
		w.ask.takes = EXCHANGE_TAKEN;
		exchange_resume(&w.ask.exchange);
		body_is(&w, cut != 0 ? "12" : "123456");
		if (cut != 0)
			assert_int_equal(send(w.fd, records + first, 3, MSG_NOSIGNAL), 3);
		assert_int_equal(ended(&w), EXCHANGE_WHOLE);
		body_is(&w, "123456");
	}
	assert_false(taken(&w));
	world_close(&w);
}

static void a_record_behind_the_answer(void **state)
{
	static const char *const texts[] = { TWO, "HTTP/1.1 408 Late\r\n\r\n", NULL };
	char records[1024];
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	asked(&w, &(struct exchange_request){ 0 });
	size_t n = records_of(&w, texts, records, sizeof(records));
	assert_int_equal(send(w.fd, records, n, MSG_NOSIGNAL), n);
	assert_int_equal(ended(&w), EXCHANGE_WHOLE);
	body_is(&w, "{}");
	assert_true(is_closed(&w));
	world_close(&w);
}

/* ---- which HTTP ---- */

#define MANY 8u

static void many_start(struct world *w, struct ask all[static MANY])
{
	connections = 0;
	for (size_t i = 0; i < MANY; i++) {
		ask_open(w, &all[i], &(struct exchange_setup){ .ops = &head_ops }, "127.0.0.1");
		start(&all[i], &(struct exchange_request){ 0 });
	}
	for (int i = 0; i < 5; i++)
		turn(w);
}

static void many_close(struct world *w, struct ask all[static MANY])
{
	for (size_t i = 0; i < MANY; i++)
		ask_close(&all[i]);
	drop_all(w);
	world_close(w);
}

static unsigned many_sent(const struct ask all[static MANY])
{
	unsigned n = 0;

	for (size_t i = 0; i < MANY; i++)
		n += all[i].outs;
	return n;
}

/* The first connection is made for all; who knows which HTTP it will speak. */
static void the_first_connection_is_waited_for(void **state)
{
	struct ask all[MANY];
	struct world w;

	(void)state;
	world_open(&w, &(struct exchange_setup){ 0 });
	many_start(&w, all);
	take_all(&w);
	assert_int_equal(connections, 1);
	while (many_sent(all) < MANY) {
		turn(&w);
		take_all(&w);
	}
	assert_int_equal(connections, MANY);
	many_close(&w, all);
}

static void one_that_does_not_come_to_stand_is_not_waited_for(void **state)
{
	struct ask all[MANY];
	struct world w;

	(void)state;
	for (int stops = 0; stops < 2; stops++) {
		world_open(&w, &(struct exchange_setup){ 0 });
		many_start(&w, all);
		int fd = accept(w.listener, NULL, NULL);
		assert_true(fd >= 0);
		if (stops != 0)
			exchange_stop(&all[0].exchange);
		close(fd);
		while (many_sent(all) < MANY - 1) {
			turn(&w);
			take_all(&w);
		}
		assert_int_equal(connections, MANY - 1);
		assert_int_equal(all[0].outs, 0);
		assert_int_equal(all[0].dones, stops == 0);
		many_close(&w, all);
	}
	/* who waits may stop, and has no more time than if the connection were its own */
	world_open(&w, &(struct exchange_setup){ 0 });
	many_start(&w, all);
	exchange_stop(&all[3].exchange);
	later_s += 11;
	for (size_t i = 0; i < MANY; i++)
		while (i != 3 && all[i].dones == 0)
			turn(&w);
	assert_int_equal(all[0].how, EXCHANGE_UNREACHABLE);
	assert_int_equal(all[7].how, EXCHANGE_UNREACHABLE);
	assert_int_equal(all[3].dones, 0);
	many_close(&w, all);
}

/* Whether a connection begins as HTTP/2 does. */
static bool is_http2(struct world *w)
{
	char bytes[4096] = { 0 };

	for (int i = 0; i < 1000; i++) {
		turn(w);
		take_all(w);
		if (w->fd >= 0 && server_read(w->fd, bytes, sizeof(bytes)) > 0)
			return memcmp(bytes, "PRI * HTTP/2.0\r\n", 16) == 0;
	}
	return false;
}

/* On the connection that the choice was made on; test_plain_h2.c goes on from there. */
static void a_server_that_chooses_http2(void **state)
{
	SSL_CTX *server = server_ctx_of(&usual);
	struct ask all[MANY];
	struct world w;

	(void)state;
	SSL_CTX_set_alpn_select_cb(server, choose, h2);
	world_open_with(&w, server, "127.0.0.1");
	many_start(&w, all);
	assert_true(is_http2(&w));
	for (int i = 0; i < 20; i++) {
		turn(&w);
		take_all(&w);
	}
	assert_int_equal(connections, 1);
	assert_int_equal(many_sent(all), 1); /* the server has not said how many it takes */
	many_close(&w, all);
}

/* A server that comes to choose it later has it, too. */
static void a_server_that_comes_to_choose_http2(void **state)
{
	struct world w;

	(void)state;
	for (int under = 0; under < 2; under++) {
		world_open(&w, &(struct exchange_setup){ 0 });
		assert_int_equal(answered(&w, TWO), EXCHANGE_WHOLE);
		SSL_CTX_set_alpn_select_cb(server_ctx, choose, h2);
		if (under != 0) /* a request that a dead connection had goes out there */
			asked(&w, &(struct exchange_request){ 0 });
		hang_up(&w);
		turn(&w);
		turn(&w);
		connections = 0;
		if (under == 0)
			start(&w.ask, &(struct exchange_request){ 0 });
		assert_true(is_http2(&w));
		assert_int_equal(connections, 1);
		assert_int_equal(w.ask.outs, under + 1);
		drop_all(&w);
		world_close(&w);
	}
}

/* Neither is agreed: then it is HTTP/1.1. */
static void a_server_that_agrees_on_nothing(void **state)
{
	SSL_CTX *server = server_ctx_of(&usual);
	struct world w;

	(void)state;
	SSL_CTX_set_alpn_select_cb(server, NULL, NULL);
	world_open_with(&w, server, "127.0.0.1");
	ended_as(&w, EXCHANGE_WHOLE, "");
	world_close(&w);
	server = server_ctx_of(&usual);
	SSL_CTX_set_alpn_select_cb(server, choose, http_1_1);
	world_open_with(&w, server, "127.0.0.1");
	ended_as(&w, EXCHANGE_WHOLE, "");
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_certificates),
		cmocka_unit_test(certificates_that_are_not_trusted),
		cmocka_unit_test(a_name_is_asked_for),
		cmocka_unit_test(what_is_shown),
		cmocka_unit_test(a_certificate_that_cannot_be_shown),
		cmocka_unit_test(sessions_are_resumed),
		cmocka_unit_test(no_session_of_another_trust),
		cmocka_unit_test(handshakes_that_fail),
		cmocka_unit_test(a_guard_is_asked),
		cmocka_unit_test(an_end_without_a_farewell),
		cmocka_unit_test(a_farewell_to_an_idle_connection),
		cmocka_unit_test(tickets_while_it_is_idle),
		cmocka_unit_test(new_keys_amid_an_answer),
		cmocka_unit_test(a_renegotiation),
		cmocka_unit_test(records_cut_at_every_byte),
		cmocka_unit_test(records_that_wait),
		cmocka_unit_test(a_record_behind_the_answer),
		cmocka_unit_test(the_first_connection_is_waited_for),
		cmocka_unit_test(one_that_does_not_come_to_stand_is_not_waited_for),
		cmocka_unit_test(a_server_that_chooses_http2),
		cmocka_unit_test(a_server_that_comes_to_choose_http2),
		cmocka_unit_test(a_server_that_agrees_on_nothing),
	};

	certs_make();
	over_tls = true;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	certs_free();
	return failed;
}

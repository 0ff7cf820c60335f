#!/usr/bin/env bash
# libcurl 7.88.1 (Debian 12, libcurl4 with OpenSSL and nghttp2 1.52.0)
#
# CURLOPT_PIPEWAIT says "wait for a connection to be able to multiplex rather than open another",
# and libcurl does so while a server's first connection is being made. Once that connection has as
# many streams as it may (100 by default), each further request opens a connection of its own, since
# one that is only being made is not waited for: 256 requests at once to a server that allows 100
# streams a connection get not 3 connections but over a hundred, most of which carry one request.
# No option bounds this for servers of HTTP/2 alone: CURLMOPT_MAX_HOST_CONNECTIONS counts those of
# HTTP/1.1 alike.
#
#   100 requests, PIPEWAIT      1 connection
#   256 requests, PIPEWAIT      more than 100 connections
#
# Tried with the libcurl of the system. Exit status: 0 as above, 1 something else was seen, 2 it
# could not be tried (no compiler, no headers of libcurl, no network).
set -uo pipefail

dir=$(mktemp -d)
trap 'kill $server 2>/dev/null; rm -rf "$dir"' EXIT
server=
command -v gcc >/dev/null && command -v openssl >/dev/null && python3 -m venv "$dir/venv" &&
    "$dir/venv/bin/pip" install -q --disable-pip-version-check h2==4.1.0 hyperframe==6.0.1 hpack==4.0.0 || exit 2
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null || exit 2

cat >"$dir/server.py" <<'PY'
"""HTTP/2: 100 streams a connection, each answered after half a second."""
import asyncio, ssl, sys

import h2.config, h2.connection, h2.events


async def serve(reader, writer):
    c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    c.initiate_connection()
    writer.write(c.data_to_send())

    def answer(stream):
        c.send_headers(stream, [(":status", "200"), ("content-length", "2")])
        c.send_data(stream, b"ok", end_stream=True)
        writer.write(c.data_to_send())

    while data := await reader.read(65536):
        for event in c.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                asyncio.get_running_loop().call_later(0.5, answer, event.stream_id)
        writer.write(c.data_to_send())


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    context.set_alpn_protocols(["h2"])
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
PY

cat >"$dir/ask.c" <<'C'
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

static size_t drop(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	(void)arg;
	return size * n;
}

/* ask URL CA REQUESTS: how many connections so many requests at once get. */
int main(int argc, char **argv)
{
	int wanted = argc > 3 ? atoi(argv[3]) : 1, running = 1, left, whole = 0;
	long connections = 0;
	CURLM *multi = curl_multi_init();
	const CURLMsg *m;

	for (int i = 0; i < wanted; i++) {
		CURL *easy = curl_easy_init();
		curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
		curl_easy_setopt(easy, CURLOPT_CAINFO, argv[2]);
		curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
		curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
		curl_easy_setopt(easy, CURLOPT_TIMEOUT, 60L);
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
		curl_multi_add_handle(multi, easy);
	}
	while (running > 0) {
		curl_multi_perform(multi, &running);
		curl_multi_poll(multi, NULL, 0, 100, NULL);
	}
	while ((m = curl_multi_info_read(multi, &left)) != NULL) {
		long made = 0;
		curl_easy_getinfo(m->easy_handle, CURLINFO_NUM_CONNECTS, &made);
		connections += made;
		whole += m->data.result == CURLE_OK;
	}
	printf("%ld %d %s\n", connections, whole, curl_version());
	return 0;
}
C
gcc -O1 -o "$dir/ask" "$dir/ask.c" -lcurl || exit 2
mkfifo "$dir/port"
"$dir/venv/bin/python" "$dir/server.py" "$dir/cert.pem" "$dir/key.pem" >"$dir/port" 2>"$dir/log" &
server=$!
read -r port <"$dir/port" || exit 2

good=0
for requests in 100 256; do
    read -r connections whole version <<<"$("$dir/ask" "https://127.0.0.1:$port/" "$dir/cert.pem" "$requests")"
    echo "$requests requests, $whole answered: $connections connections"
    [ "$whole" = "$requests" ] || good=1
    if [ "$requests" = 100 ]; then
        [ "$connections" = 1 ] || good=1
    else
        [ "$connections" -gt 100 ] || good=1
    fi
done
echo "$version"
exit $good

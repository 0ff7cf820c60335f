"""A forward proxy for tests: every host is 127.0.0.1, or it refuses."""

import re
import socket
import threading

from support.accepting import each_accepted


class ForwardProxy:
    """`refuse`: the status that every request gets instead; None: it is passed on."""

    def __init__(self, refuse=None):
        self.refuse = refuse
        self.seen = []  # first lines of requests
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://someone:secret-word@127.0.0.1:{self.port}"
        self.name = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=each_accepted, args=(self.listener, self._serve), daemon=True).start()

    def close(self):
        self.listener.close()

    def _serve(self, client):
        remote = None
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(65536)
                if not piece:
                    return
                head += piece
            first = head.split(b"\r\n", 1)[0].decode()
            self.seen.append(first)
            if self.refuse is not None:
                page = b"<html>the proxy says no</html>"
                client.sendall(
                    b"HTTP/1.1 %d No\r\nContent-Type: text/html\r\nContent-Length: %d\r\n"
                    b"Connection: close\r\n\r\n%s" % (self.refuse, len(page), page)
                )
                return
            port = int(re.search(r":(\d+)(/| )", first)[1])
            remote = socket.create_connection(("127.0.0.1", port))
            if first.startswith("CONNECT "):
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:  # one request a connection is enough, and the upstream takes any form of target
                remote.sendall(re.sub(rb" http://[^/]*/", b" /", head, count=1))
            self._pass(client, remote)
        except OSError:
            pass
        finally:
            for one in (client, remote):
                if one is not None:
                    one.close()

    def _pass(self, client, remote):
        def back():
            try:
                while piece := remote.recv(65536):
                    client.sendall(piece)
            except OSError:
                pass
            for one in (client, remote):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

        other = threading.Thread(target=back, daemon=True)
        other.start()
        # what follows on the same connection is a request in absolute form again
        while piece := client.recv(65536):
            remote.sendall(re.sub(rb"^(GET|POST) http://[^/]*/", rb"\1 /", piece))
        other.join(1)

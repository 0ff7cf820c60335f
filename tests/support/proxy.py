"""Stands between a client and lowtide and loses answers."""

import socket
import threading

from support.accepting import each_accepted


class LosingProxy:
    """Passes requests on and drops the first `lose` answers after lowtide has given them."""

    def __init__(self, server, lose=1):
        self.server = server
        self.lose = lose
        self.lost = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        threading.Thread(target=each_accepted, args=(self.listener, self._serve), daemon=True).start()

    def close(self):
        self.listener.close()

    def _serve(self, client):
        remote = socket.create_connection(("127.0.0.1", self.server.port))

        def forward():
            try:
                while piece := client.recv(65536):
                    remote.sendall(piece)
            except OSError:
                pass

        threading.Thread(target=forward, daemon=True).start()
        try:
            while piece := remote.recv(65536):
                if self.lost < self.lose:
                    self.lost += 1
                    break
                client.sendall(piece)
        except OSError:
            pass
        for one in (client, remote):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

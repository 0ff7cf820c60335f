"""What stands between a node and a server that it needs: passes bytes on, or does what a network does."""

import random
import socket
import threading
import time

from support.accepting import each_accepted, reset


class Link:
    """One port of 127.0.0.1; `connect` gives a socket to the server. Its `mode`:

    pass    bytes go on
    refuse  each connection is reset, those that stand and those that come
    hang    connections stand and are taken, and no byte goes on until the mode is another
    slow    each piece waits `delay` seconds first
    halve   each new connection is reset after a few thousand bytes, or a few
    """

    def __init__(self, connect):
        self.connect = connect
        self.mode, self.delay = "pass", 0.0
        self.changed = threading.Condition()
        self.open = set()
        self.random = random.Random(1)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=each_accepted, args=(self.listener, self._begin), daemon=True).start()

    def become(self, mode, delay=0.0):
        with self.changed:
            self.mode, self.delay = mode, delay
            self.changed.notify_all()
        if mode == "refuse":
            self.reset()

    def reset(self):
        """Of all that stand; new ones are taken as before."""
        for pair in list(self.open):
            self._end(pair)

    def close(self):
        self.listener.close()
        self.reset()

    def _begin(self, client):
        try:
            if self.mode == "refuse":
                raise OSError
            server = self.connect()
        except OSError:
            self._end((client,))
            return
        for one in (client, server):
            if one.family == socket.AF_INET:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = (client, server)
        left = [self.random.choice((200, 2000, 20000)) if self.mode == "halve" else None]
        self.open.add(pair)
        up = threading.Thread(target=self._pass, args=(pair, client, server, left), daemon=True)
        up.start()
        self._pass(pair, server, client, left)
        up.join()
        self._end(pair)

    def _pass(self, pair, source, to, left):
        try:
            while piece := source.recv(65536):
                self._wait()
                if left[0] is not None:
                    piece = piece[: left[0]]
                    left[0] -= len(piece)
                to.sendall(piece)
                if left[0] == 0:
                    break
        except OSError:
            pass
        else:
            if left[0] != 0:  # an orderly end; what goes the other way may still come
                try:
                    to.shutdown(socket.SHUT_WR)
                    return
                except OSError:
                    pass
        self._end(pair)

    def _wait(self):
        if self.mode == "slow":
            time.sleep(self.delay)
        with self.changed:
            while self.mode == "hang":
                self.changed.wait(1)

    def _end(self, pair):
        self.open.discard(pair)
        for one in pair:
            reset(one)

"""Stands between the commands and lowtide, at one address while the server is started anew, and cuts
connections where it is told to."""

import socket
import threading

from support.accepting import each_accepted, reset


class CuttingProxy:
    """`up` and `down` count all bytes from clients and to them. `cut_up` and `cut_down` are amounts
    at which the connection is reset that brings them, each once; `at_up` and `at_down` pairs of an
    amount and what is called then. `hold`: an answer to a request that has these bytes never comes,
    and its connection is kept."""

    def __init__(self, server, cut_up=(), cut_down=(), at_up=(), at_down=(), hold=None, lose=None):
        self.server = server
        self.cut = {"up": list(cut_up), "down": list(cut_down)}
        self.at = {"up": list(at_up), "down": list(at_down)}
        self.total = {"up": 0, "down": 0}
        self.hold, self.lose = hold, lose
        self.held = threading.Event()
        self.lost = 0
        self.lock = threading.Lock()
        self.heads = b""  # what clients sent, without most of the bodies
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        threading.Thread(target=each_accepted, args=(self.listener, self._serve), daemon=True).start()

    def close(self):
        self.listener.close()

    def requests(self, what):
        return self.heads.count(what.encode())

    def _serve(self, client):
        try:
            remote = socket.create_connection(("127.0.0.1", self.server.port))
        except OSError:
            reset(client)
            return
        state = {"held": False, "lost": False}
        up = threading.Thread(
            target=self._pass, args=("up", client, remote, client, state), daemon=True
        )
        up.start()
        self._pass("down", remote, client, client, state)

    def _pass(self, way, source, to, client, state):
        try:
            while piece := source.recv(65536):
                if way == "up":
                    self._look(piece, state)
                elif state["held"]:
                    self.held.set()
                    continue
                elif state["lost"]:
                    self.lost += 1
                    break
                with self.lock:
                    self.total[way] += len(piece)
                    due = [n for n in self.cut[way] if self.total[way] >= n]
                    self.cut[way] = [n for n in self.cut[way] if self.total[way] < n]
                    calls = [f for n, f in self.at[way] if self.total[way] >= n]
                    self.at[way] = [(n, f) for n, f in self.at[way] if self.total[way] < n]
                for call in calls:
                    call()
                if due:
                    break
                to.sendall(piece)
        except OSError:
            pass
        if way == "up" and state["held"]:
            return
        reset(client)
        for one in (source, to):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _look(self, piece, state):
        self.heads += piece[:4096]
        if self.hold is not None and self.hold in piece:
            state["held"] = True
        if self.lose is not None and self.lose in piece and self.lost == 0:
            state["lost"] = True

"""Reads server-sent events as a browser does (WHATWG HTML, 9.2)."""

import contextlib
import json
import queue
import threading
import time
from dataclasses import dataclass

import httpx


@dataclass
class Event:
    """`id` is the last that was seen, as EventSource has it; `own` whether it came with this one."""

    name: str
    data: dict
    id: str | None
    own: bool
    at: float


class Events:
    """A stream, read by a thread of its own until it ends or is closed."""

    def __init__(self, api, path, headers=None):
        self.events = []
        self.comments = 0
        self.last_id = None
        self.ended = None  # True: as it should; False: it broke off
        self._queue = queue.Queue()
        self._client = httpx.Client(
            base_url=api.server.base_url + "/", timeout=90, trust_env=False,
            headers={"Authorization": f"Bearer {api.key}", **(headers or {})},
        )  # fmt: skip
        request = self._client.build_request("GET", path)
        self.response = self._client.send(request, stream=True)
        if self.response.status_code != 200:
            self.response.read()
            return
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        """Goes away, as a client does that is closed in the middle."""
        with contextlib.suppress(Exception):
            self.response.stream._stream._httpcore_stream._stream._connection._network_stream \
                .get_extra_info("socket").shutdown(2)
        self.response.close()
        self._client.close()

    def _read(self):
        try:
            self._parse(self.response.iter_lines())
            self.ended = True
        except Exception:
            self.ended = False
        self._queue.put(None)

    def _parse(self, lines):
        name, data, own = "message", [], False
        for one in lines:
            if one == "":
                if data:
                    value = json.loads("\n".join(data))
                    self._queue.put(Event(name, value, self.last_id, own, time.monotonic()))
                name, data, own = "message", [], False
            elif one.startswith(":"):
                self.comments += 1
                self._queue.put(":")
            else:
                field, _, value = one.partition(": ")
                if field == "id":
                    self.last_id, own = value, True
                elif field == "event":
                    name = value
                elif field == "data":
                    data.append(value)

    def next(self, seconds=60):
        """The next event; None: the stream has ended."""
        while True:
            found = self._queue.get(timeout=seconds)
            if found == ":":
                continue
            if found is not None:
                self.events.append(found)
            return found

    def comment(self, seconds=60):
        """Waits for a comment; events in between are kept in `events`."""
        while True:
            found = self._queue.get(timeout=seconds)
            assert found is not None, "the stream ended"
            if found == ":":
                return
            self.events.append(found)

    def until(self, reached, seconds=90):
        """Reads until reached(event) holds; that event."""
        end = time.monotonic() + seconds
        while (found := self.next(end - time.monotonic())) is not None:
            if reached(found):
                return found
        raise AssertionError(f"the stream ended: {self.events}")

    def rest(self, seconds=90):
        """All up to the end."""
        while self.next(seconds) is not None:
            pass
        return self.events

    def statuses(self):
        """The states that its events show, repetitions left out."""
        found = []
        for one in self.events:
            if not found or found[-1] != one.data["status"]:
                found.append(one.data["status"])
        return found

"""lowtide.Server: the batch server inside a with statement."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import re
import shutil
import tempfile
from typing import IO, TYPE_CHECKING, Any, Mapping, Optional, Sequence, Union

from ._errors import LowtideError
from ._program import Process, call, last_words, setting_flags, upstream_flags

if TYPE_CHECKING:
    import openai

READY = re.compile(r"listens on (http://\S+/v1)")
START_S = 60.0
STOP_S = 45.0  # execution.drain is 30 s
ORG = "default"


class Server:
    """A lowtide server that lives as long as the with statement, on a free port of 127.0.0.1.

        with lowtide.Server(upstream="http://127.0.0.1:8080/v1") as server:
            file = server.client.files.create(file=open("in.jsonl", "rb"), purpose="batch")

    Args:
        upstream: The base URL of an OpenAI-compatible server that lines are sent to, or several.
        data_dir: Where files, batches and answers are kept: the next Server of the same directory
            goes on with its batches. None: a directory that goes with the server.
        settings: Settings of lowtide, as in its configuration file: {"execution.concurrency": 8}.
        upstream_api_key: The key of the upstream; None: LOWTIDE_UPSTREAM_API_KEY.
        log_file: Where the log goes; None: to the logger "lowtide.server".

    Raises:
        LowtideError: It does not start; the message is in its own words.
    """

    def __init__(
        self,
        upstream: Union[str, Sequence[str]],
        data_dir: Union[str, os.PathLike[str], None] = None,
        settings: Optional[Mapping[str, Any]] = None,
        *,
        upstream_api_key: Optional[str] = None,
        log_file: Union[str, os.PathLike[str], None] = None,
    ) -> None:
        if not upstream:
            raise ValueError("upstream: the base URL of a server, 'http://127.0.0.1:8080/v1'")
        self._flags = [*upstream_flags(upstream), *setting_flags(settings)]
        self._env = (
            {} if upstream_api_key is None else {"LOWTIDE_UPSTREAM_API_KEY": upstream_api_key}
        )
        self._data_dir = None if data_dir is None else os.fspath(data_dir)
        self._log_path = log_file
        self._undo = contextlib.ExitStack()
        self._process: Optional[Process] = None
        self._url = self._key = ""
        self._client: Optional[openai.OpenAI] = None

    # ---- life ----

    def start(self) -> Server:
        """What `with` does first. Without `with`, `stop()` is yours, or the end of the program's."""
        if self._process is not None:
            raise RuntimeError("the server runs already")
        with contextlib.ExitStack() as undo:
            data = self._data_dir
            if data is None:
                data = tempfile.mkdtemp(prefix="lowtide-")
                undo.callback(shutil.rmtree, data, ignore_errors=True)
            self._key = self._make_key(data, undo)
            self._process = self._launch(data, undo)
            self._undo = undo.pop_all()
        atexit.register(self.stop)
        return self

    @staticmethod
    def _make_key(data: str, undo: contextlib.ExitStack) -> str:
        """A key of its own for each start, since only the hashes of keys are kept."""
        key = call("key", "create", "--data", data, "--org", ORG, "--init").strip()

        def revoke() -> None:
            with contextlib.suppress(LowtideError):
                call("key", "revoke", "--data", data, given=key)

        undo.callback(revoke)
        return key

    def _launch(self, data: str, undo: contextlib.ExitStack) -> Process:
        said: queue.SimpleQueue[str] = queue.SimpleQueue()
        log_file: Optional[IO[str]] = None
        if self._log_path is not None:
            log_file = undo.enter_context(open(self._log_path, "a", encoding="utf-8"))
        process = Process(
            ["serve", "--listen", "127.0.0.1:0", "--data", data, "--stop-at-eof", *self._flags],
            self._env,
            logger=logging.getLogger("lowtide.server"),
            log_file=log_file,
            on_output=said.put,
        )
        undo.callback(process.stop, STOP_S)
        self._url = self._wait_ready(process, said)
        return process

    @staticmethod
    def _wait_ready(process: Process, said: queue.SimpleQueue[str]) -> str:
        for _ in range(int(START_S * 10)):
            with contextlib.suppress(queue.Empty):
                found = READY.search(said.get(timeout=0.1))
                if found:
                    return found[1]
                continue
            if process.poll() is not None:
                process.wait()
                raise LowtideError(last_words(list(process.lines)))
        raise LowtideError(f"the server is not ready after {START_S:.0f} s; see its log")

    def stop(self) -> None:
        """Ends the server in good order: what is in flight gets `execution.drain` (30 s) to end,
        all else goes on when a Server of the same `data_dir` starts. Then its key is revoked."""
        if self._process is None:
            return
        self._process = None
        atexit.unregister(self.stop)
        if self._client is not None:
            self._client.close()
            self._client = None
        self._undo.close()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ---- use ----

    def _running(self) -> None:
        if self._process is None:
            raise RuntimeError("the server does not run: use `with lowtide.Server(…) as server:`")
        if self._process.poll() is not None:
            raise LowtideError("the server has ended: " + last_words(list(self._process.lines)))

    @property
    def url(self) -> str:
        """The base URL of its API: "http://127.0.0.1:40123/v1"."""
        self._running()
        return self._url

    @property
    def api_key(self) -> str:
        """The key of its API, which holds until it stops."""
        self._running()
        return self._key

    @property
    def client(self) -> openai.OpenAI:
        """The official `openai` client of this server."""
        self._running()
        if self._client is None:
            try:
                import openai
            except ImportError as e:
                raise ImportError(
                    "server.client is the official client: pip install openai (server.url and "
                    "server.api_key do without)"
                ) from e
            self._client = openai.OpenAI(base_url=self._url, api_key=self._key)
        return self._client

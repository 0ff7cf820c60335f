"""A round of a map by a server: `lowtide submit`, `show`, `results`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Callable, Mapping, Optional

from ._errors import LowtideError
from ._job import write_whole
from ._program import call
from ._progress import Progress

LOOK_EVERY_S = 1.0
FINAL = ("completed", "failed", "expired", "cancelled")
MARK = "lowtide_map"  # in a batch's metadata: which round of which map it is


class RemoteRunner:
    """The batch goes on at the server when this process ends. The round remembers it in `batch_id`;
    where that was lost between the batch's creation and its writing, the batch's metadata tell."""

    def __init__(
        self,
        url: str,
        api_key: Optional[str],
        window: Optional[str],
        tell: Callable[[Progress], None],
    ) -> None:
        self._window = [] if window is None else ["--window", window]
        self._env = {"LOWTIDE_URL": url}
        if api_key is not None:
            self._env["LOWTIDE_API_KEY"] = api_key
        self._tell = tell

    def __call__(self, given: Path, round_: Path, key: str, lock_fd: int) -> None:
        batch_id = self._batch(given, round_ / "batch_id", key)
        while True:
            batch = json.loads(self._call("show", batch_id, "--output", "json"))
            self._tell(progress_of(batch))
            if batch["status"] in FINAL:
                break
            time.sleep(LOOK_EVERY_S)
        if batch["status"] == "failed":
            (round_ / "batch_id").unlink()
            raise LowtideError(f"{batch_id} failed: {reasons(batch)}")
        out, errors = round_ / "out.jsonl", round_ / "errors.jsonl"
        self._call("results", batch_id, "-o", str(out), "--errors", str(errors))

    def _call(self, *arguments: str) -> str:
        return call(*arguments, env=self._env)

    def _batch(self, given: Path, path: Path, key: str) -> str:
        if path.exists():
            return path.read_text().strip()
        mark = f"{MARK}={key}"
        listed = json.loads(self._call("list", "--metadata", mark, "--output", "json"))
        ids = [one["id"] for one in listed if one["status"] != "failed"]
        submit = ["submit", str(given), "--metadata", mark, *self._window]
        batch_id = ids[0] if ids else self._call(*submit).strip()
        write_whole(path, batch_id)
        return batch_id


def progress_of(batch: Mapping[str, Any]) -> Progress:
    counts = batch.get("request_counts") or {}
    more = batch.get("lowtide") or {}
    eta = more.get("eta_at")
    done = counts.get("completed", 0) + counts.get("failed", 0)
    return Progress(
        done=done,
        total=counts.get("total", 0),
        failed=counts.get("failed", 0),
        running=more.get("running") or 0,
        rows_per_s=more.get("rate_per_s") or 0.0,
        eta_s=None if eta is None else max(0, round(eta - time.time())),
        waiting=more.get("stall_message") or more.get("stall_reason"),
    )


def reasons(batch: Mapping[str, Any]) -> str:
    errors = (batch.get("errors") or {}).get("data") or []
    said = [f"line {e.get('line')}: {e.get('message')}" for e in errors[:5]]
    return "; ".join(said) or "the server does not say why"



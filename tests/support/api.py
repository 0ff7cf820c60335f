"""A client of lowtide that checks at every look what must hold at every moment (contract 16)."""

import contextlib
import json
import re
import threading
import time

import httpx

from .jsonl import CHAT, jsonl

FINAL = {"completed", "failed", "expired", "cancelled"}

# Contract 6: the edges, and what can be seen next when a poll skips states.
EDGES = {
    "validating": {"in_progress", "failed", "cancelling", "cancelled", "expired"},
    "in_progress": {"finalizing", "expired", "cancelling", "failed"},
    "finalizing": {"completed", "cancelling", "failed"},
    "cancelling": {"cancelled"},
    "completed": set(),
    "failed": set(),
    "expired": set(),
    "cancelled": set(),
}


def reachable(status):
    found, todo = {status}, [status]
    while todo:
        for state in EDGES[todo.pop()] - found:
            found.add(state)
            todo.append(state)
    return found


STAMPS = {
    "in_progress": "in_progress_at",
    "finalizing": "finalizing_at",
    "completed": "completed_at",
    "failed": "failed_at",
    "expired": "expired_at",
    "cancelling": "cancelling_at",
    "cancelled": "cancelled_at",
}

# Contract 5.3 and 11.2: what is always there.
MEMBERS = {
    "id", "object", "endpoint", "input_file_id", "completion_window", "status", "created_at",
    "request_counts", "output_file_id", "error_file_id", "expires_at", "errors", "metadata",
    "model", "usage", "lowtide", *STAMPS.values(),
}  # fmt: skip
STALL_REASONS = (None, "upstream_429", "upstream_down", "upstream_refused", "online", "paused", "quota", "held",
                 "elsewhere")  # fmt: skip
LOWTIDE_COUNTS = {"pending", "running", "expired", "cancelled", "retried"}
LOWTIDE_MEMBERS = LOWTIDE_COUNTS | {
    "stall_reason", "stall_message", "top_errors", "rate_per_s", "eta_at", "at_risk", "queue_position",
    "retried_from", "cost", "held_by",
}  # fmt: skip

FILE_MEMBERS = {
    "id", "object", "bytes", "created_at", "filename", "purpose", "status", "status_details",
    "expires_at",
}  # fmt: skip

FILE_ID = re.compile(r"file-[A-Za-z0-9]{24}")
BATCH_ID = re.compile(r"batch_[0-9a-f]{32}")
RESULT_ID = re.compile(r"batch_req_[A-Za-z0-9]{24}")
REQUEST_ID = re.compile(r"req_[0-9a-f]{32}")

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def window_seconds(text):
    return int(text[:-1]) * UNITS[text[-1]]


# Contract 2.3: `type` by status where it is not invalid_request_error.
KIMI_TYPES = {403: "permission_denied_error", 404: "resource_not_found_error"}
ANY = object()  # for check_error: not looked at


def plain(text):
    """Quote marks in messages may vary."""
    return re.sub(r"[\"'`‘’“”]", "'", text)


def check_error(response, profile, status, code=None, param=None, message=ANY, error_type=None):
    """The four keys, exactly; `code` and `param` null where not given (contract 2.3)."""
    assert response.status_code == status, f"{response.status_code}, not {status}: {response.text}"
    check_headers(response)
    answer = response.json()
    assert set(answer) == {"error"}, answer
    error = answer["error"]
    assert set(error) == {"message", "type", "param", "code"}, error
    if error_type is None:
        if status >= 500:
            error_type = "server_error"
        elif profile == "kimi":
            error_type = KIMI_TYPES.get(status, "invalid_request_error")
        else:
            error_type = "invalid_request_error"
    assert error["type"] == error_type, error
    if code is not ANY:
        assert error["code"] == code, error
    if param is not ANY:
        assert error["param"] == param, error
    assert isinstance(error["message"], str) and error["message"], error
    if isinstance(message, re.Pattern):
        assert message.search(plain(error["message"])), error
    elif message is not ANY:
        assert plain(error["message"]) == plain(message), error
    return error


def check_headers(response):
    """Contract 2.1: what every answer carries."""
    assert REQUEST_ID.fullmatch(response.headers.get("x-request-id", "")), response.headers
    assert not 300 <= response.status_code < 304, response.headers


def check_file(value):
    assert set(value) >= FILE_MEMBERS, value
    assert FILE_ID.fullmatch(value["id"]), value
    assert value["object"] == "file" and value["status"] == "processed", value
    assert value["status_details"] is None, value
    assert value["purpose"] in ("batch", "batch_output"), value
    for name in ("bytes", "created_at"):
        assert type(value[name]) is int, value
    assert value["expires_at"] is None or type(value["expires_at"]) is int, value
    return value


def check_batch(value):
    """What holds of every batch object at every moment: contract 5.3, 8.1, 16.2-16.4, 16.7."""
    assert set(value) >= MEMBERS, MEMBERS - set(value)
    assert set(value["lowtide"]) >= LOWTIDE_MEMBERS, value["lowtide"]
    assert value["object"] == "batch" and BATCH_ID.fullmatch(value["id"]), value
    assert value["status"] in EDGES, value
    final = value["status"] in FINAL
    for name in ("output_file_id", "error_file_id"):
        given = value[name]
        assert given is None or FILE_ID.fullmatch(given), value
        assert given is None or final, f"{name} before the state is final: {value}"
    for name in (*STAMPS.values(), "created_at", "expires_at"):
        assert value[name] is None or type(value[name]) is int, value
    for name in STAMPS.values():
        assert value[name] is None or value[name] >= value["created_at"], value
    assert value["expires_at"] - value["created_at"] == window_seconds(value["completion_window"])
    if value["status"] in STAMPS:
        assert value[STAMPS[value["status"]]] is not None, value
    counts, ours = value["request_counts"], value["lowtide"]
    assert set(counts) == {"total", "completed", "failed"}, counts
    numbers = [*counts.values(), *(ours[k] for k in LOWTIDE_COUNTS)]
    assert all(type(n) is int and n >= 0 for n in numbers), value
    parts = counts["completed"] + counts["failed"]
    parts += sum(ours[k] for k in ("pending", "running", "expired", "cancelled"))
    assert parts == counts["total"], value
    assert ours["stall_reason"] in STALL_REASONS
    assert type(ours["rate_per_s"]) is float and ours["rate_per_s"] >= 0, ours
    assert ours["eta_at"] is None or type(ours["eta_at"]) is int, ours
    assert type(ours["at_risk"]) is bool, ours
    if final:
        assert ours["queue_position"] is ours["eta_at"] is None and not ours["at_risk"], ours
    else:
        assert type(ours["queue_position"]) is int and ours["queue_position"] >= 0, ours
    if final:
        assert ours["pending"] == ours["running"] == 0 and ours["stall_reason"] is None, value
    if value["status"] == "completed":
        assert counts["completed"] + counts["failed"] == counts["total"] > 0, value
    if value["status"] == "failed":
        assert value["errors"]["object"] == "list" and value["errors"]["data"], value
        for entry in value["errors"]["data"]:
            assert set(entry) == {"code", "line", "message", "param"}, entry
    else:
        assert value["errors"] is None, value
    if value["usage"] is not None:
        usage = value["usage"]
        assert type(usage["input_tokens_details"]["cached_tokens"]) is int, usage
        assert type(usage["output_tokens_details"]["reasoning_tokens"]) is int, usage
        for name in ("input_tokens", "output_tokens", "total_tokens"):
            assert type(usage[name]) is int, usage
    return value


class Watch:
    """Compares each look at a batch with the last one: contract 6 and 16.4, 16.5, 16.7."""

    def __init__(self):
        self.last = {}

    def see(self, batch):
        check_batch(batch)
        before = self.last.get(batch["id"])
        if before is not None:
            assert batch["status"] in reachable(before["status"]), (before, batch)
            for name in STAMPS.values():
                if before[name] is not None:
                    assert batch[name] == before[name], f"{name} changed: {before} {batch}"
            for name in ("completed", "failed"):
                fell = f"{name} fell: {before} {batch}"
                assert batch["request_counts"][name] >= before["request_counts"][name], fell
            if before["request_counts"]["total"]:
                assert batch["request_counts"]["total"] == before["request_counts"]["total"]
            for name in ("created_at", "expires_at", "metadata", "input_file_id", "endpoint"):
                assert batch[name] == before[name], (before, batch)
            if before["status"] in FINAL:
                assert batch == before, "a final batch changed"
        self.last[batch["id"]] = batch
        return batch


class Api:
    """One key of one organization. `http` is for the wire, `sdk` the official client."""

    def __init__(self, server, key=None):
        self.server = server
        self.profile = server.profile or "kimi"
        self.key = key or server.key
        self.watch = Watch()
        self.batches = []
        self._http = None
        self._sdk = None
        self._base = None

    def _connect(self):
        if self._base != self.server.base_url:  # first use, or restarted
            self.close()
            self._base = self.server.base_url

    @property
    def http(self):
        """An httpx.Client; the base is .../v1, so paths are `files`, `batches/ID`."""
        self._connect()
        if self._http is None:
            self._http = httpx.Client(
                base_url=self._base + "/", headers={"Authorization": f"Bearer {self.key}"},
                timeout=60, trust_env=False, verify=False, follow_redirects=False,
            )  # fmt: skip
        return self._http

    @property
    def sdk(self):
        import openai

        self._connect()
        if self._sdk is None:
            self._sdk = openai.OpenAI(
                base_url=self._base, api_key=self.key, max_retries=0, timeout=60,
                http_client=openai.DefaultHttpxClient(trust_env=False, verify=False),
            )  # fmt: skip
        return self._sdk

    def close(self):
        if self._http is not None:
            self._http.close()
        if self._sdk is not None:
            self._sdk.close()
        self._http = self._sdk = None

    def finish(self):
        """Leaves nothing running for the next test on the same server."""
        if self.server.alive() and self.server.port:
            for batch_id in self.batches:
                if self.watch.last[batch_id]["status"] not in FINAL:
                    self.http.post(f"batches/{batch_id}/cancel")
        self.close()

    # ---- files ----

    def upload_raw(self, data, filename="in.jsonl", purpose="batch", headers=None, **fields):
        """The response to an upload; `data` is bytes or a list of lines."""
        if not isinstance(data, bytes):
            data = jsonl(data)
        form = {k: v for k, v in {"purpose": purpose, **fields}.items() if v is not None}
        return self.http.post(
            "files",
            data=form,
            files={"file": (filename, data, "application/jsonl")},
            headers=headers,
        )

    def upload(self, data, **more):
        response = self.upload_raw(data, **more)
        assert response.status_code == 200, response.text
        return check_file(response.json())["id"]

    def file(self, file_id):
        response = self.http.get(f"files/{file_id}")
        assert response.status_code == 200, response.text
        return check_file(response.json())

    def content(self, file_id):
        response = self.http.get(f"files/{file_id}/content")
        assert response.status_code == 200, response.text
        return response.content

    # ---- batches ----

    def create_raw(
        self, input_file_id, endpoint=CHAT, completion_window="24h", headers=None, **more
    ):
        members = {
            "input_file_id": input_file_id,
            "endpoint": endpoint,
            "completion_window": completion_window,
            **more,
        }
        return self.http.post("batches", json=members, headers=headers)

    def create(self, data, **more):
        """A batch on a file id, or on lines that are uploaded first."""
        file_id = data if isinstance(data, str) else self.upload(data)
        response = self.create_raw(file_id, **more)
        assert response.status_code == 200, response.text
        return self.created(response.json())

    def created(self, batch):
        """Notes a batch that was just made, and checks it."""
        check_batch(batch)
        assert batch["status"] == "validating", batch
        assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}, batch
        self.batches.append(batch["id"])
        return self.watch.see(batch)

    def get(self, batch_id):
        response = self.http.get(f"batches/{batch_id}")
        assert response.status_code == 200, response.text
        return self.watch.see(response.json())

    def wait(self, batch, until=FINAL, seconds=90):
        """Polls until the status is in `until`, or until(batch) holds."""
        batch_id = batch if isinstance(batch, str) else batch["id"]
        statuses = {until} if isinstance(until, str) else until
        end = time.monotonic() + seconds
        pause = 0.01
        while True:
            seen = self.get(batch_id)
            if callable(until) and until(seen):
                return seen
            if not callable(until) and seen["status"] in statuses:
                return seen
            ended = seen["status"] in FINAL
            assert not ended, f"ended otherwise: {seen}\n{self.server.tail()}"
            assert time.monotonic() < end, f"after {seconds} s: {seen}\n{self.server.tail()}"
            time.sleep(pause)
            pause = min(pause * 1.3, 0.1)

    def cancel(self, batch):
        response = self.http.post(f"batches/{batch['id']}/cancel")
        assert response.status_code == 200, response.text
        return self.watch.see(response.json())

    def run(self, data, until="completed", **more):
        """Upload, create, wait."""
        return self.wait(self.create(data, **more), until)

    @contextlib.contextmanager
    def well(self, model="m-1", every=0.05):
        """Online requests that are answered well all the while, one of them before the block begins: so
        what fails beside them is its own fault, and not an outage (contract 8.3)."""
        stop, answered = threading.Event(), threading.Event()

        def ask():
            body = {"model": model, "messages": [{"role": "user", "content": "well"}]}
            while not stop.is_set():
                with contextlib.suppress(httpx.HTTPError):  # the server may be killed meanwhile
                    if self.http.post("chat/completions", json=body).status_code == 200:
                        answered.set()
                stop.wait(every)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        try:
            assert answered.wait(30), f"no request is answered well\n{self.server.tail()}"
            yield
        finally:
            stop.set()
            thread.join()

    # ---- results ----

    def lines(self, file_id):
        """The objects of a result file, each of the shape of contract 9; [] for None."""
        if file_id is None:
            return []
        assert self.file(file_id)["purpose"] == "batch_output"
        return parse_results(self.content(file_id))

    def results(self, batch):
        """(output, error) by custom_id, after checking that every line stands in them once."""
        output = self.lines(batch["output_file_id"])
        error = self.lines(batch["error_file_id"])
        ids = [one["custom_id"] for one in output + error]
        assert len(set(ids)) == len(ids), "a custom_id stands twice"
        counts, ours = batch["request_counts"], batch["lowtide"]
        if batch["status"] != "failed":
            assert len(ids) == counts["total"], f"{len(ids)} result lines: {batch}"
        assert len(output) == counts["completed"], batch
        assert len(error) == counts["failed"] + ours["expired"] + ours["cancelled"], batch
        assert (batch["output_file_id"] is None) == (not output), batch
        assert (batch["error_file_id"] is None) == (not error), batch
        for one in output:
            assert 200 <= one["response"]["status_code"] < 300 and one["error"] is None, one
        for one in error:
            code = one["response"]["status_code"] if one["response"] else None
            assert (code is None) == (one["error"] is not None), one
            assert code is None or not 200 <= code < 300, one
        return (
            {one["custom_id"]: one for one in output},
            {one["custom_id"]: one for one in error},
        )

    def errors(self, batch):
        """The findings of a failed batch as (code, param, line)."""
        assert batch["status"] == "failed", batch
        return [(e["code"], e["param"], e["line"]) for e in batch["errors"]["data"]]


def parse_results(content):
    """Contract 9: one object a line, LF after each, all four keys always."""
    assert content.endswith(b"\n"), content[-200:]
    found = []
    for text in content[:-1].split(b"\n"):
        one = json.loads(text)
        assert list(one) == ["id", "custom_id", "response", "error"], text[:500]
        assert RESULT_ID.fullmatch(one["id"]), text[:500]
        if one["response"] is not None:
            assert list(one["response"]) == ["status_code", "request_id", "body"], text[:500]
            assert isinstance(one["response"]["request_id"], str) and one["response"]["request_id"]
        if one["error"] is not None:
            assert set(one["error"]) >= {"code", "message"}, text[:500]
        found.append(one)
    assert len({one["id"] for one in found}) == len(found), "a result id stands twice"
    return found


def output_text(one):
    """The assistant's text of an output line of the scripted upstream."""
    return one["response"]["body"]["choices"][0]["message"]["content"]

"""Clients that ask whichever node, and hold each answer against what it may be."""

import json
import random
import threading
import time

import httpx
from ledger import Batch
from support.jsonl import fresh, jsonl, numbered

FINAL = {"completed", "failed", "expired", "cancelled"}
AWAY = {503, 429}  # not now: any call, while a node starts, ends, or lacks a server
STUCK_S = 420


class Stopped(Exception):
    pass


class Clients:
    def __init__(self, place, ledger, seed, largest):
        self.place, self.ledger, self.largest = place, ledger, largest
        self.random = random.Random(f"{seed} clients")
        self.stop = threading.Event()
        self.threads = []
        self.created = {}  # mark -> id
        self.http = httpx.Client(timeout=8, trust_env=False, verify=False)

    def start(self, writers):
        for _ in range(writers):
            self._thread(self._write, random.Random(self.random.random()))
        self._thread(self._online, random.Random(self.random.random()))

    def _thread(self, run, *args):
        thread = threading.Thread(target=run, args=args, daemon=True)
        thread.start()
        self.threads.append(thread)

    def finish(self, seconds):
        """No new batches; waits for those that run. Whether all have ended."""
        self.stop.set()
        end = time.monotonic() + seconds
        for one in self.threads:
            one.join(max(0.1, end - time.monotonic()))
        return not any(one.is_alive() for one in self.threads)

    # ---- one call ----

    def call(self, draw, method, path, *, ok=(200,), seconds=180, key=None, **more):
        """Until a node has answered it, whichever. What is neither in `ok` nor AWAY is wrong."""
        headers = {"Authorization": f"Bearer {self.place.nodes[0].server.key}"}
        if key:
            headers["Idempotency-Key"] = key
        end = time.monotonic() + seconds
        last = "no node is up"
        while time.monotonic() < end:
            node = draw.choice(self.place.nodes)
            url = node.url()
            if url is None:
                time.sleep(0.1)
                continue
            try:
                answer = self.http.request(method, f"{url}/{path}", headers=headers, **more)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                last = f"node {node.n}: {error!r}"
                time.sleep(0.2)
                continue
            if answer.status_code in ok:
                return answer
            last = f"node {node.n}: {answer.status_code} {answer.text[:300]}"
            if answer.status_code in AWAY:
                self.ledger.note(f"answered {answer.status_code}")
            elif answer.status_code == 409 and key:
                self.ledger.note("answered 409 to a call that is under way", last)
            else:
                self.ledger.violation("answered wrongly", f"{method} {path}: {last}")
            time.sleep(0.3)
        self.ledger.violation("no answer", f"{method} {path}: not in {seconds} s; {last}")
        raise Stopped

    # ---- batches ----

    def _write(self, draw):
        while not self.stop.is_set():
            try:
                self._batch(draw)
            except Stopped:
                pass
            except Exception as error:  # noqa: BLE001 # a thread that dies would hide what comes
                self.ledger.violation("answered wrongly", f"what is no answer: {error!r}")
                time.sleep(1)

    def _batch(self, draw):
        batch = Batch(fresh(), draw.choice((1, 300, 2500, self.largest, self.largest)))
        data = jsonl(numbered(batch.mark, batch.count))
        upload = self.call(draw, "POST", "files", data={"purpose": "batch"},
                           files={"file": ("in.jsonl", data, "application/jsonl")})  # fmt: skip
        file_id = upload.json()["id"]
        if draw.random() < 0.3:
            if self.call(draw, "GET", f"files/{file_id}/content").content != data:
                self.ledger.violation("answered wrongly", f"files/{file_id}/content is not what was put")
        body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h",
                "metadata": {"mark": batch.mark}}  # fmt: skip
        self.ledger.add(batch)  # it may be sent before we are told
        made = self.call(draw, "POST", "batches", json=body, key=batch.mark)
        batch.id = self.created[batch.mark] = made.json()["id"]
        self._follow(draw, batch)

    def _follow(self, draw, batch):
        cancel_at = draw.uniform(2, 20) if draw.random() < 0.12 else None
        began, asked = time.monotonic(), False
        while True:
            answer = self.call(draw, "GET", f"batches/{batch.id}")
            seen = answer.json()
            if seen["metadata"] != {"mark": batch.mark} or seen["id"] != batch.id:
                self.ledger.violation("answered wrongly", f"{batch.id}: another batch: {seen}")
            counts, age = seen["request_counts"], time.monotonic() - began
            if counts["total"]:
                self.ledger.told(batch, seen, answer.url.port)
            if seen["status"] in FINAL:
                break
            if cancel_at is not None and age > cancel_at and not asked:
                # one that has ended meanwhile is not cancelled any more
                answer = self.call(draw, "POST", f"batches/{batch.id}/cancel", ok=(200, 400, 409))
                asked = answer.status_code == 200
                cancel_at = None if not asked else cancel_at
            if age > STUCK_S:
                self._stuck(batch, seen)
                return
            time.sleep(draw.uniform(0.1, 0.6))
        wanted = ("completed", "cancelled") if asked else ("completed",)
        if seen["status"] not in wanted:
            self.ledger.violation("ended otherwise", f"{batch.id}: {json.dumps(seen)[:800]}")
            return
        self._read(draw, batch, seen)

    def _stuck(self, batch, seen):
        try:
            rows = self.place.cluster.query(
                f"SET search_path = chaos; SELECT n, finished, node, node_epoch, epoch, completed, lines "
                f"FROM spans WHERE batch = '{batch.id}'")  # fmt: skip
        except Exception as error:  # noqa: BLE001
            rows = repr(error)
        self.ledger.violation("stuck", f"{batch.id} after {STUCK_S} s: {json.dumps(seen)[:600]}\n{rows}")

    def _read(self, draw, batch, seen):
        found = []
        for name in ("output_file_id", "error_file_id"):
            ids, bodies = [], []
            if seen[name]:
                for text in self.call(draw, "GET", f"files/{seen[name]}/content").text.splitlines():
                    one = json.loads(text)
                    ids.append(one["custom_id"])
                    bodies.append(one)
            found.append(ids)
            for one in bodies if name == "output_file_id" else ():
                said = one["response"]["body"]["choices"][0]["message"]["content"]
                if said != f"echo {one['custom_id']}":
                    self.ledger.violation("another's answer", f"{batch.id}: {one['custom_id']}: {said}")
        if len(found[0]) != seen["request_counts"]["completed"]:
            self.ledger.violation("answered wrongly", f"{batch.id}: {len(found[0])} lines in the output, "
                                  f"counts {seen['request_counts']}")  # fmt: skip
        self.ledger.ended(batch, seen["status"], *found)
        self.ledger.note(f"batches {seen['status']}")
        for one in self.place.nodes:  # which must agree from now on
            url = one.url()
            if url is None or not one.ready or one.frozen or not one.well():
                continue
            again = self.call(draw, "GET", f"batches/{batch.id}").json()
            if again != seen:
                self.ledger.violation("a final batch changed", f"{json.dumps(seen)} {json.dumps(again)}")

    def check_created(self):
        """Each is there once, although calls were repeated on other nodes."""
        found, after = {}, ""
        draw = random.Random(0)
        while True:
            page = self.call(draw, "GET", f"batches?limit=100{after}").json()
            for one in page["data"]:
                found.setdefault(one["metadata"]["mark"], []).append(one["id"])
            if not page["has_more"]:
                break
            after = f"&after={page['data'][-1]['id']}"
        for mark, ids in found.items():
            if len(ids) > 1:
                self.ledger.violation("made twice", f"one Idempotency-Key, {len(ids)} batches: {ids}")
        for mark, id_ in self.created.items():
            if id_ not in found.get(mark, ()):
                self.ledger.violation("a batch is gone", f"{id_}, of {mark}")

    # ---- online ----

    def _online(self, draw):
        n = 0
        while not self.stop.wait(0.3):
            n += 1
            body = {"model": "m-1", "messages": [{"role": "user", "content": f"online{n}"}]}
            node = draw.choice(self.place.nodes)
            if node.url() is None:
                continue
            try:
                answer = self.http.post(
                    f"{node.url()}/chat/completions", json=body,
                    headers={"Authorization": f"Bearer {self.place.nodes[0].server.key}"})  # fmt: skip
            except (httpx.TransportError, httpx.InvalidURL):
                self.ledger.note("online: no answer")
                continue
            if answer.status_code == 200:
                said = answer.json()["choices"][0]["message"]["content"]
                if said != f"echo online{n}":
                    self.ledger.violation("answered wrongly", f"online{n}: {said}")
                self.ledger.note("online: answered")
            elif answer.status_code in AWAY:
                self.ledger.note(f"online: {answer.status_code}")
            else:
                self.ledger.violation("answered wrongly", f"online{n}: node {node.n}: "
                                      f"{answer.status_code} {answer.text[:300]}")  # fmt: skip

"""README's four pictures of the console: tests/pictures.py [MINUTES]

A server in front of two engines that label Debian's packages, with a batch that runs, one that waits after its canary, online
requests beside them, and MINUTES (5) of it for the plots; written to docs/images. LOWTIDE_BIN is the program, else build/lowtide.
After scripts/bootstrap.sh e2e; from the root of the tree: .venv/bin/python tests/pictures.py
"""

import contextlib
import json
import os
import pathlib
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
os.environ.setdefault("LOWTIDE_BIN", str(ROOT / "build/lowtide"))
sys.path[:0] = [str(HERE), str(ROOT / "demo")]

import demo  # noqa: E402
from support import console  # noqa: E402
from support.api import Api  # noqa: E402
from support.jsonl import jsonl  # noqa: E402
from support.server import Server  # noqa: E402
from support.upstream import Answer, Upstream, error_body  # noqa: E402
from support.wire import wait_until  # noqa: E402

MODEL = "qwen3-8b"
LINES, RELEASES, CANARY = 30_000, 1_000, 6
SLOTS, QUICK_S = 32, 0.8  # of an engine: requests at once, and what one takes then
SIZE = (1280, 900)

CONFIG = """
upstreams:
  - {{name: gpu-1, url: "{0}", models: [qwen3-8b]}}
  - {{name: gpu-2, url: "{1}", models: [qwen3-8b]}}
prices:
  - {{model: qwen3-8b, input: 0.5, output: 3, currency: EUR}}
"""


class Engine:
    """An upstream whose requests beyond its slots wait, and which says so."""

    def __init__(self, sections):
        self.upstream = Upstream()
        self.upstream.models = [MODEL]
        self.upstream.decide = self.answer
        self.sections = sections
        self.tell()

    def tell(self):
        waiting = max(self.upstream.in_flight - SLOTS, 0)
        running = self.upstream.in_flight - waiting
        self.upstream.set_metrics(
            f'vllm:num_requests_running{{model_name="{MODEL}"}} {running}\n'
            f'vllm:num_requests_waiting{{model_name="{MODEL}"}} {waiting}\n'
            f'vllm:kv_cache_usage_perc{{model_name="{MODEL}"}} {0.05 + running / SLOTS * 0.6:.2f}\n'
        )

    def answer(self, request):
        """Called while the upstream's lock is held: its metrics are another thread's."""
        if request.streams:
            return Answer(how="stream", size=8, delay=0.02)
        section = self.sections.get(request.marker.split(":")[0], "other")
        delay = QUICK_S * max(1, self.upstream.in_flight / SLOTS)
        if request.number % 47 == 46:
            return Answer(400, error_body(400, "The prompt is longer than the context of this model."), delay=0.1)
        answered = {
            "id": f"chatcmpl-{request.number}", "object": "chat.completion", "created": int(time.time()), "model": MODEL,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": section}}],
            "usage": {"prompt_tokens": 44, "completion_tokens": 3, "total_tokens": 47},
        }  # fmt: skip
        return Answer(body=json.dumps(answered).encode(), delay=delay)


def body(text):
    return {"model": MODEL, "max_tokens": 4, "messages": [{"role": "user", "content": text}]}


def line(name, description):
    text = f"{name}: {description}. Which section does this package belong to? Answer with one word."
    asked = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body(text)}
    return json.dumps(asked, ensure_ascii=False).encode()


@contextlib.contextmanager
def beside(*works):
    """Each of `works`, a function and its seconds, called again and again until the block ends."""
    ended = threading.Event()

    def again(work, seconds):
        while not ended.wait(seconds):
            work()

    threads = [threading.Thread(target=again, args=one) for one in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def shoot(browser, api, boss, ids, lines):
    @contextlib.contextmanager
    def picture(name, path, key=api.key, **more):
        window = console.Console(browser, api.server, key=key, size=SIZE, **more)
        yield window.open(path)
        window.settled()
        time.sleep(1)  # plots are drawn
        window.page.screenshot(path=ROOT / "docs/images" / f"console-{name}.png")
        window.done()

    with picture("overview", "overview", key=boss) as page:
        page.get_by_label("Organization").select_option("research")
        page.locator(".panel.needs").wait_for()
        page.locator(".lane .bar").first.wait_for()
    with picture("batch", f"batches/{ids['running']}", theme="dark") as page:
        page.locator(".answer").first.wait_for()
    with picture("canary", f"batches/{ids['canary']}", language="zh") as page:
        console.expect(page.locator(".answer")).to_have_count(CANARY)
    with picture("new", "new") as page:
        data = jsonl([*lines[:3], lines[3][:60], *lines[4:40], lines[0]])
        page.locator("input[type=file]").set_input_files(
            {"name": "packages.jsonl", "mimeType": "application/jsonl", "buffer": data}
        )
        page.locator(".panel.needs tbody tr").first.wait_for()
        page.get_by_label("Name", exact=True).fill("Package descriptions, corrected")
        console.expect(page.locator(".figures")).to_be_visible()
        console.expect(page.locator(".panel-aside [role=status]")).to_have_count(0)


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    known = demo.packages()
    lines = [line(name, description) for name, (_, description) in list(known.items())[:LINES]]
    engines = [Engine({name: section for name, (section, _) in known.items()}) for _ in range(2)]
    with tempfile.TemporaryDirectory() as directory:
        config = pathlib.Path(directory) / "lowtide.yaml"
        config.write_text(CONFIG.format(*(engine.upstream.url for engine in engines)))
        server = Server(directory, None, args=["--config", str(config)]).start()
        api = Api(server, server.new_key("research"))
        try:
            create = {"metadata": {"name": "Sections, all releases"}, "lowtide": {"canary": CANARY}}
            ids = {"canary": api.create(lines[:: LINES // RELEASES], **create)["id"]}
            wait_until(lambda: api.get(ids["canary"])["lowtide"]["stall_reason"] == "held", "the canary")
            named = {"name": "Package descriptions", "team": "search"}
            ids["running"] = api.create(lines, metadata=named)["id"]

            def online():
                api.http.post("chat/completions", json=body("Which section has games?") | {"stream": True})

            with beside(*((engine.tell, 0.2) for engine in engines), (online, 0.5)), console.chromium() as browser:
                time.sleep(minutes * 60)
                shoot(browser, api, server.operator_key(), ids, lines)
        finally:
            api.close()
            server.dispose()
            for engine in engines:
                engine.upstream.close()


if __name__ == "__main__":
    main()

"""A real batch on a real small model: which section does this Debian package belong to?

The questions come from the machine's own package lists, which also hold the truth, so that the
answers can be marked. Started by `make demo`. Exits 0 only if every line came back once, with an
answer, and far more of the answers are right than guessing would give.
"""

import collections
import contextlib
import ctypes
import hashlib
import json
import math
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from openai import OpenAI, OpenAIError

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "build/demo"  # everything that the demo writes
LINES_PER_SECTION = 12
MODEL = "gemma-3-270m"
PR_SET_PDEATHSIG = 1

# Two well-known packages of each section: what the model is shown before it is asked.
EXAMPLES = {
    "games": ("supertux", "gnuchess"),
    "science": ("stellarium", "gromacs"),
    "mail": ("mutt", "postfix"),
    "sound": ("audacity", "lame"),
    "fonts": ("fonts-dejavu", "fonts-liberation"),
    "database": ("sqlite3", "postgresql"),
}

# Parts of other packages, whose description is mostly that of the whole.
PARTS = re.compile(r"^lib|^(node|python3|ruby|golang|r)-|-(common|data|dbg|dev|doc|el|perl)$")


# ---- questions ----


def packages():
    """name -> (section, description) of what apt knows of Debian's main archive."""
    dump = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True)
    known = {}
    for stanza in dump.stdout.split("\n\n"):
        fields = dict(re.findall(r"^([A-Z][A-Za-z-]*): (.*)$", stanza, re.MULTILINE))
        if re.match(r"pool/(updates/)?main/", fields.get("Filename", "")):
            known.setdefault(fields["Package"], (fields["Section"], fields["Description"]))
    if not known:
        sys.exit("demo: apt has no package lists; apt-get update fetches them")
    return known


def questions(known):
    """(package, description, section): as many of each section, always the same ones, in turn."""
    shown = {name for names in EXAMPLES.values() for name in names}
    by_section = []
    for section in EXAMPLES:
        names = [
            name
            for name, (its_section, _) in known.items()
            if its_section == section and name not in shown and not PARTS.search(name)
        ]
        names.sort(key=lambda name: hashlib.sha256(name.encode()).digest())  # a fair mix
        by_section.append([(name, known[name][1], section) for name in names[:LINES_PER_SECTION]])
    return [question for turn in zip(*by_section, strict=True) for question in turn]


def entry(name, description, section=""):
    return f"Package: {name}\nDescription: {description}\nSection:{section}"


def input_write(path, known, asked):
    # In turn, so that the last example is not of the section that all before it were.
    order = [names[n] for n in (0, 1) for names in EXAMPLES.values()]
    examples = "".join(
        entry(name, known[name][1], f" {known[name][0]}\n\n") for name in order if name in known
    )
    with open(path, "w") as out:
        for name, description, _ in asked:
            body = {
                "model": MODEL,
                "messages": [{"role": "user", "content": examples + entry(name, description)}],
                "max_tokens": 4,
                "temperature": 0,
                "stop": ["\n"],
            }
            line = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions"}
            out.write(json.dumps(line | {"body": body}) + "\n")


# ---- servers ----


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(log_path, command, **environment):
    with open(log_path, "w") as log:
        return subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE, stdout=log, stderr=log, env={**os.environ, **environment},
            start_new_session=True,  # Ctrl-C is for us: we stop the servers
            preexec_fn=die_with_parent,
        )  # fmt: skip


def wait_ready(process, log_path, url):
    """Returns the seconds that it took."""
    began = time.monotonic()
    while not answers(url):
        if process.poll() is not None or time.monotonic() > began + 120:
            sys.exit(f"demo: {log_path.stem} did not start; {log_path} ends with\n{tail(log_path)}")
        time.sleep(0.1)
    return time.monotonic() - began


def stop(processes):
    """All at one time."""
    for one in processes:
        one.terminate()
    for one in processes:
        try:
            one.wait(timeout=15)
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()


@contextlib.contextmanager
def running(name, command, ready_url, **environment):
    """A server from when it is ready to the end of the block, whatever ends it."""
    log_path = HERE / f"{name}.log"
    process = start(log_path, command, **environment)
    try:
        print(f"{name} is ready after {wait_ready(process, log_path, ready_url):.1f} s", flush=True)
        yield
    finally:
        process.stdin.close()
        stop([process])


def model_command(port):
    return [sys.executable, ROOT / "demo/model.py", port, HERE / f"{MODEL}.gguf"]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def tail(path):
    return "\n".join(path.read_text(errors="replace").splitlines()[-10:])


# ---- the batch ----


def progress(batch, began, last):
    """A bar on a terminal; elsewhere a line whenever another tenth is done."""
    counts = batch.request_counts
    done = counts.completed + counts.failed
    share = done / counts.total if counts.total else 0
    seconds = time.monotonic() - began
    text = f"{done}/{counts.total} lines, {counts.failed} failed, {seconds:.0f} s, {batch.status}"
    if sys.stdout.isatty():
        bar = "#" * int(40 * share)
        print(f"\r[{bar:<40}] {text}\x1b[K", end="", flush=True)
    elif int(10 * share) != last:
        print(f"  {text}", flush=True)
    return int(10 * share)


def batch_create(client, input_path, **more):
    with open(input_path, "rb") as data:
        file = client.files.create(file=data, purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", **more
    )


def batch_run(client, input_path):
    batch = batch_create(client, input_path, metadata={"demo": "debian sections"})
    print(f"batch {batch.id} on {batch.input_file_id}", flush=True)
    began, last = time.monotonic(), None
    while batch.status in ("validating", "in_progress", "finalizing"):
        time.sleep(0.25)
        batch = client.batches.retrieve(batch.id)
        last = progress(batch, began, last)
    if sys.stdout.isatty():
        print()
    for file_id, name in ((batch.output_file_id, "output"), (batch.error_file_id, "errors")):
        if file_id:
            client.files.content(file_id).write_to_file(HERE / f"{name}.jsonl")
    return batch


def output_read(path):
    """custom_id -> the texts that came back for it."""
    texts = collections.defaultdict(list)
    if path.exists():
        for line in path.read_text().splitlines():
            result = json.loads(line)
            message = result["response"]["body"]["choices"][0]["message"]
            texts[result["custom_id"]].append(message["content"].strip())
    return texts


def report(batch, asked, texts):
    """Prints what came back; whether it is what should have."""
    right = sum(texts[name] == [section] for name, _, section in asked)
    chance = len(asked) / len(EXAMPLES)
    # Guessing gets here less than once in ten thousand times.
    enough = chance + 4 * math.sqrt(chance * (1 - 1 / len(EXAMPLES)))

    print(f"\n{'':2}{'package':<24}{'answer':<12}{'truth':<12}description")
    for name, description, section in asked[: 2 * len(EXAMPLES)]:
        answer = " ".join(texts[name]) or "-"
        mark = "+" if answer == section else " "
        print(f"{mark:2}{name[:22]:<24}{answer[:10]:<12}{section:<12}{description[:50]}")

    counts = batch.request_counts
    print(f"\n{right} of {len(asked)} right; guessing gives {chance:.0f}, {enough:.0f} would do")
    print(f"{batch.status}: {counts.total} lines, {counts.completed} done, {counts.failed} failed")
    if batch.usage:
        print(f"{batch.usage.input_tokens} tokens in, {batch.usage.output_tokens} out")

    faults = []
    if batch.status != "completed":
        faults.append(f"the batch is {batch.status}: {batch.errors}")
    if set(texts) != {name for name, _, _ in asked} or any(len(t) != 1 for t in texts.values()):
        faults.append("not every custom_id came back just once")
    if any("" in found for found in texts.values()):
        faults.append("an answer is empty")
    if right < enough:
        faults.append("the score is too near to guessing")
    for fault in faults:
        print(f"demo: {fault}", file=sys.stderr)
    return not faults


LEFT = {
    "input.jsonl": "the requests, one a line",
    "output.jsonl": "the answers, in the same order",
    "errors.jsonl": "the lines that failed, and why",
    "lowtide.log": "what the server did",
    "model.log": "what the model's server did",
    "data": "the server's data directory",
}


def last_words():
    """What to look at, and what to do next."""
    print("\nTo look at:")
    for name, about in LEFT.items():
        path = HERE / name
        if path.exists():
            print(f"  {str(path.relative_to(ROOT)):<26}{about}")
    print(
        "\nNext, with a model server of your own (vLLM, SGLang, llama.cpp, a paid API):\n"
        "  build/lowtide check YOUR.jsonl              is the file right?\n"
        "  build/lowtide run YOUR.jsonl -o OUT.jsonl --limit 10 --upstream http://HOST:PORT/v1\n"
        "                                              the first ten lines, without a server\n"
        "  build/lowtide serve --upstream http://HOST:PORT/v1\n"
        "                                              the Batch API; README.md goes on from here"
    )


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    HERE.mkdir(parents=True, exist_ok=True)
    for old in HERE.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
        elif old.suffix != ".gguf":  # the model: once is enough
            old.unlink()

    known = packages()
    asked = questions(known)
    input_write(HERE / "input.jsonl", known, asked)
    print(
        f"A small model ({MODEL}, on this machine) is asked to which of {len(EXAMPLES)} sections "
        f"{len(asked)} Debian packages belong, as one batch of {len(asked)} lines."
    )

    model_port, port = free_port(), free_port()
    engine = f"http://127.0.0.1:{model_port}"
    lowtide = f"http://127.0.0.1:{port}"
    key = "sk-demo-" + secrets.token_hex(16)
    lowtide_command = [ROOT / "build/lowtide", "serve", "--listen", f"127.0.0.1:{port}"]
    lowtide_command += ["--data", HERE / "data", "--upstream", f"{engine}/v1"]
    with (
        running("model", model_command(model_port), f"{engine}/health"),
        running("lowtide", lowtide_command, f"{lowtide}/readyz", LOWTIDE_BOOTSTRAP_KEY=key),
    ):
        client = OpenAI(base_url=f"{lowtide}/v1", api_key=key)
        try:
            batch = batch_run(client, HERE / "input.jsonl")
            served = [model.id for model in client.models.list()]
        except OpenAIError as error:
            sys.exit(f"demo: {error}; lowtide's log ends with\n{tail(HERE / 'lowtide.log')}")
    good = report(batch, asked, output_read(HERE / "output.jsonl"))
    if served != [MODEL]:
        print(f"demo: the model's server says it has {served}, not {MODEL}", file=sys.stderr)
        good = False
    last_words()
    if not good:
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        sys.exit(130)

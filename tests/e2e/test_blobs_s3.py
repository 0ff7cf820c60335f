"""Files and results in a bucket (blobs.url): through the official client, over kills of the server and
outages of the store, and what an operator reads where the settings are wrong.

The store is moto's server in this process, which checks signatures (support/s3.py).
"""

import contextlib
import socket
import socketserver
import ssl
import threading
import time

import httpx
import openai
import pytest
from support import postgres, s3
from support.jsonl import fresh, jsonl, line, numbered
from support.server import run
from support.tls import Authority
from support.wire import wait_until


@pytest.fixture
def bucket(store):
    name = "b-" + fresh()
    store.client().create_bucket(Bucket=name)
    return name


@pytest.fixture
def in_bucket(serve, store, bucket):
    def make(start=True, **more):
        settings = {"blobs.url": f"s3://{bucket}/some/where", "blobs.endpoint": store.endpoint,
                    "execution.concurrency": 16, **more.pop("settings", {})}  # fmt: skip
        env = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
        return serve(settings=settings, env=env, start=start, **more)

    return make


def keys_of(store, bucket, prefix=""):
    found = store.client().list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return {one["Key"] for one in found}


def sdk_of(api):
    return openai.OpenAI(base_url=api.server.base_url, api_key=api.server.key, max_retries=0)


def test_the_official_client(in_bucket, store, bucket):
    api = in_bucket(profile="openai")
    client = sdk_of(api)
    mark = fresh()
    data = jsonl(numbered(mark, 2500))
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    assert client.files.content(file.id).read() == data
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions",
                                  completion_window="24h")  # fmt: skip
    wait_until(lambda: client.batches.retrieve(batch.id).status == "completed", "the batch", 60)
    batch = client.batches.retrieve(batch.id)
    whole = client.files.content(batch.output_file_id).read()
    assert whole.count(b"\n") == 2500
    part = api.http.get(f"files/{batch.output_file_id}/content",
                        headers={"Range": f"bytes=100-{len(whole) - 50}"})  # fmt: skip
    assert part.status_code == 206 and part.content == whole[100 : len(whole) - 49]
    stored = keys_of(store, bucket, "some/where/files/")
    assert f"some/where/files/{file.id}.jsonl" in stored
    assert f"some/where/files/{file.id}.index" in stored
    assert not [one for one in api.server.blobs() if one.startswith("files/")]
    client.files.delete(file.id)
    wait_until(lambda: not keys_of(store, bucket, f"some/where/files/{file.id}"), "the removal")
    assert store.secret_key not in api.server.log()


def test_an_upload_in_parts(in_bucket):
    api = in_bucket(profile="openai")
    client = sdk_of(api)
    lines = [line(f"{n}", "x" * 500) for n in range(20000)]  # 11 MB
    data = jsonl(lines)
    upload = client.uploads.create(bytes=len(data), filename="in.jsonl", mime_type="application/jsonl",
                                   purpose="batch")  # fmt: skip
    cuts = [0, 5_000_000, 9_000_001, len(data)]
    parts = [client.uploads.parts.create(upload_id=upload.id, data=data[a:b]).id
             for a, b in zip(cuts, cuts[1:])]  # fmt: skip
    done = client.uploads.complete(upload_id=upload.id, part_ids=parts)
    assert client.files.content(done.file.id).read() == data


def test_kill_in_the_middle(in_bucket, own_upstream):
    api = in_bucket()
    mark = fresh()
    count = 3000
    batch = api.create(numbered(mark, count))
    for least in (700, 1800):
        api.wait(batch, lambda b, n=least: b["request_counts"]["completed"] >= n)
        api.server.kill()
        api.server.start()
    batch = api.wait(batch, "completed", seconds=120)
    output, error = api.results(batch)
    assert list(output) == [f"{mark}-{n}" for n in range(count)] and not error
    assert own_upstream.sent(mark) - count <= 2 * (16 + 1024)


def test_the_store_is_away_in_the_middle(in_bucket, store, own_upstream):
    api = in_bucket()
    mark = fresh()
    batch = api.create([line(f"{mark}-{n}", f"{mark}-{n} {'x' * 2000}") for n in range(4000)])
    api.wait(batch, lambda b: b["request_counts"]["completed"] >= 100)
    port = int(store.endpoint.rsplit(":", 1)[1])
    store.server.stop()
    time.sleep(3)  # what is in memory is sent; then nothing can be read
    refused = api.upload_raw([line("1")])
    assert refused.status_code in (500, 503)
    assert api.http.get("models").status_code == 200  # the loops do not wait for the store
    ready = lambda: api.http.get(f"{api.server.url}/readyz").status_code  # noqa: E731
    wait_until(lambda: ready() == 503, "a server that is not ready", 60)
    store.server = s3.serve(port)
    wait_until(lambda: ready() == 200, "a server that is ready again", 60)
    batch = api.wait(batch, "completed", seconds=150)
    output, error = api.results(batch)
    assert len(output) == 4000 and not error
    assert own_upstream.sent(mark) == 4000


def test_lines_of_several_models(in_bucket):
    """Whose line is whose is read in the dispatch thread, too."""
    api = in_bucket()
    mark = fresh()
    lines = [line(f"{mark}-{n}", f"{mark}-{n}", model=f"m-{n % 3}") for n in range(2000)]
    batch = api.run(lines, lowtide={"mixed_models": True})
    output, error = api.results(batch)
    assert len(output) == 2000 and not error


POINTS = ["results.before_sync", "results.after_sync", "results.after_commit", "batch.before_final",
          "batch.after_final"]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point(in_bucket, own_upstream, failpoints, point):
    api = in_bucket(start=False)
    mark = fresh()
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{point}=kill"})
    batch = api.create(numbered(mark, 1500))
    api.server.wait_killed()
    sent = own_upstream.settled(mark)
    api.server.start()
    batch = api.wait(batch, "completed", seconds=120)
    output, error = api.results(batch)
    assert list(output) == [f"{mark}-{n}" for n in range(1500)] and not error
    if point.startswith("batch."):
        assert own_upstream.sent(mark) == sent == 1500  # all had ended


@pytest.mark.parametrize("point", ["ingest.before_rename", "ingest.after_rename"])
def test_killed_in_an_upload(in_bucket, store, bucket, failpoints, point):
    """What was put and has no row goes to lost/ at the next start."""
    api = in_bucket(start=False)
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{point}=kill"})
    with pytest.raises(httpx.TransportError):
        api.upload_raw([line("1")])
    api.server.wait_killed()
    api.server.start()
    assert not keys_of(store, bucket, "some/where/files/")
    assert len(keys_of(store, bucket, "some/where/lost/")) == (point == "ingest.after_rename")
    assert api.content(api.upload([line("1")])) == jsonl([line("1")])


# ---- settings that are wrong ----


def refusal(store, *args, env=None, data=None, tmp_path=None):
    keys = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
    done = run("serve", "--listen", "127.0.0.1:0", "--data", data or tmp_path / "data",
               "--upstream", "http://127.0.0.1:9/v1", "--set", f"blobs.endpoint={store.endpoint}",
               *args, env={**keys, **(env or {})}, expect=None)  # fmt: skip
    assert done.returncode != 0 and store.secret_key not in done.stderr
    return done.stderr


def test_what_an_operator_reads(store, bucket, tmp_path):
    url = f"s3://{bucket}/p"
    here = {"tmp_path": tmp_path}
    assert "no such bucket" in refusal(store, "--blobs", "s3://no-such-bucket-there/p", **here)
    wrong = {"AWS_SECRET_ACCESS_KEY": "wrong"}
    assert "the secret key (blobs.credentials_file)" in refusal(
        store, "--blobs", url, env=wrong, **here)  # fmt: skip
    unknown = {"AWS_ACCESS_KEY_ID": "AKIANOBODYKNOWSIT"}
    assert "access key (blobs.credentials_file)" in refusal(
        store, "--blobs", url, env=unknown, **here)  # fmt: skip
    none = {"AWS_SECRET_ACCESS_KEY": ""}
    assert "credentials are not set" in refusal(store, "--blobs", url, env=none, **here)
    assert "is not s3://BUCKET/PREFIX" in refusal(store, "--blobs", bucket, **here)
    assert "a bucket's name" in refusal(store, "--blobs", "s3://Upper_Case/p", **here)
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = x\n")
    assert "no aws_secret_access_key" in refusal(
        store, "--blobs", url, "--set", f"blobs.credentials_file={file}", **here)  # fmt: skip
    assert "cannot read" in refusal(
        store, "--blobs", url, "--set", "blobs.credentials_file=/nowhere", **here)  # fmt: skip


def test_credentials_in_a_file(in_bucket, store, tmp_path):
    file = tmp_path / "credentials"
    file.write_text(f"# ours\n[default]\naws_access_key_id={store.access_key}\n"
                    f"aws_secret_access_key = {store.secret_key}\n[other]\n"
                    "aws_secret_access_key = wrong\n")  # fmt: skip
    api = in_bucket(start=False, settings={"blobs.credentials_file": file})
    api.server.env = {}
    api.server.start()
    assert api.content(api.upload([line("1")])) == jsonl([line("1")])


def tls_of(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    return context


class HttpsFront(socketserver.ThreadingTCPServer):
    """The store over https; its bytes are passed on as they are, for they are signed."""

    daemon_threads = True

    def __init__(self, store, context):
        super().__init__(("127.0.0.1", 0), self.one)
        self.port = int(store.endpoint.rsplit(":", 1)[1])
        self.context, self.open = context, []
        self.endpoint = f"https://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def show(self, context):
        """Another certificate, from now on; connections that are there end."""
        self.context = context
        while self.open:
            with contextlib.suppress(OSError):
                self.open.pop().shutdown(socket.SHUT_RDWR)

    @staticmethod
    def pump(source, to):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                to.sendall(piece)
            to.shutdown(socket.SHUT_WR)

    def one(self, request, address, server):
        with contextlib.suppress(OSError), \
             self.context.wrap_socket(request, server_side=True) as client, \
             socket.create_connection(("127.0.0.1", self.port)) as back:
            self.open.append(client)
            up = threading.Thread(target=self.pump, args=(client, back), daemon=True)
            up.start()
            self.pump(back, client)

    def __exit__(self, *how):
        self.shutdown()
        super().__exit__(*how)


def test_a_store_over_https(in_bucket, store, bucket, tmp_path):
    ca = Authority(tmp_path)
    with HttpsFront(store, tls_of(ca.server("127.0.0.1"))) as front:
        api = in_bucket(settings={"blobs.endpoint": front.endpoint, "blobs.ca_file": ca.cert,
                                  "blobs.encryption": "AES256"})  # fmt: skip
        file = api.upload([line("1")])
        assert api.content(file) == jsonl([line("1")])
        head = store.client().head_object(Bucket=bucket, Key=f"some/where/files/{file}.jsonl")
        assert head["ServerSideEncryption"] == "AES256"
        said = refusal(store, "--blobs", f"s3://{bucket}/p", "--set", f"blobs.endpoint={front.endpoint}",
                       tmp_path=tmp_path)  # fmt: skip
        assert "the store's certificate (blobs.ca_file)" in said
        api.server.stop()


def test_a_certificate_that_ends_while_it_runs(in_bucket, store, tmp_path):
    """As a store that is away: 503, and nothing is taken for lost."""
    ca = Authority(tmp_path)
    ended, good = [tls_of(ca.server("127.0.0.1", expired=expired)) for expired in (True, False)]
    with HttpsFront(store, good) as front:
        api = in_bucket(settings={"blobs.endpoint": front.endpoint, "blobs.ca_file": ca.cert})
        file = api.upload([line("1")])
        front.show(ended)
        answer = api.upload_raw(jsonl([line("2")]))
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1, answer.text
        ready = lambda: api.http.get(f"{api.server.url}/readyz")  # noqa: E731
        assert ready().status_code == 503 and "cannot reach its object storage" in ready().text
        (told,) = [one for one in api.server.log().splitlines() if "blob.storage_away" in one]
        assert "the store's certificate (blobs.ca_file)" in told
        front.show(good)
        wait_until(lambda: ready().status_code == 200, "it is ready again", 30)
        assert api.content(file) == jsonl([line("1")])
        api.server.stop()


def test_a_bucket_of_another_directory(in_bucket, store, bucket, tmp_path):
    api = in_bucket()
    file = api.upload([line("1")])
    api.server.stop()
    other = in_bucket(start=False)
    said = refusal(store, "--blobs", f"s3://{bucket}/some/where", data=other.server.data)
    assert "another data directory" in said and "--adopt" in said
    assert f"some/where/files/{file}.jsonl" in keys_of(store, bucket)
    other.server.args = ["--adopt"]
    other.server.start()
    assert not keys_of(store, bucket, "some/where/files/")
    assert [one for one in keys_of(store, bucket, "some/where/lost/") if one.endswith(f"{file}.jsonl")]


def test_commands_that_use_no_bucket(tmp_path):
    file = tmp_path / "in.jsonl"
    file.write_bytes(jsonl([line("1")]))
    for command in (["check", file], ["gc", "--data", tmp_path]):
        done = run(*command, "--set", "blobs.url=s3://bucket/p", expect=None)
        assert f"blobs.url is for `serve` alone: `{command[0]}`" in done.stderr
        assert "blobs" not in run(*command, expect=None).stderr


def test_with_rows_in_postgresql(in_bucket, store, bucket, cluster, own_upstream):
    """Beside the journals nothing is on its disk; a kill in the middle costs what it does elsewhere."""
    settings = {"store": postgres.schema(cluster.where), "execution.concurrency": 8}
    api = in_bucket(settings=settings)
    mark, count = fresh(), 3000
    lines = numbered(mark, count - 1) + [line("held", f"{mark}-held | hold:{mark}")]
    batch = api.create(lines)
    own_upstream.wait_sent(mark, 1500)
    api.server.kill()
    api.server.start()
    own_upstream.release(mark)
    done = api.wait(batch, "completed", seconds=90)
    assert done["request_counts"] == {"total": count, "completed": count, "failed": 0}
    output, _ = api.results(done)
    assert len(output) == count
    assert own_upstream.sent(mark) <= count + 8 + 1024
    kept = {path.relative_to(api.server.data).parts[0] for path in api.server.data.rglob("*")}
    assert "meta.db" not in kept and not list(api.server.data.glob("files/*"))
    assert f"some/where/files/{batch['input_file_id']}.jsonl" in keys_of(store, bucket)

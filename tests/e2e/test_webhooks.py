"""Webhooks (contract 12): events of batches, their signatures, endpoints, attempts, the log.

Most receivers are plain HTTP on this machine, which `webhooks.allow_private` allows.
"""

import base64
import json
import os
import re
import socket
import threading
import time

import httpx
import pytest
from support.api import ANY, check_error
from support.jsonl import fresh, line
from support.receiver import Receiver
from support.tls import Authority
from support.wire import wait_until

ALL = ["batch.completed", "batch.failed", "batch.expired", "batch.cancelled"]
PRIVATE = {"webhooks.allow_private": "true", "limits.window_min": "1s"}
ENDPOINT_ID = re.compile(r"we_[0-9a-f]{32}")
DELIVERY_ID = re.compile(r"wh_[0-9a-f]{32}")
EVENT_ID = re.compile(r"evt_[0-9a-f]{32}")
SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{43}=")
ENDPOINT_MEMBERS = {
    "id", "object", "created_at", "updated_at", "name", "url", "event_types",
    "signing_secret_hint", "old_secret_expires_at",
}  # fmt: skip
DELIVERY_MEMBERS = {
    "id", "object", "event_id", "type", "at", "attempts", "status", "latency_ms", "error", "next_at",
}  # fmt: skip


@pytest.fixture
def receivers():
    """receivers(pair=None): a Receiver that only this test uses."""
    made = []

    def make(pair=None, **more):
        made.append(Receiver(pair, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def receiver(receivers):
    return receivers()


@pytest.fixture
def hooks(shared, on_server):
    """hooks(): an Api with a new organization on a server that may send anywhere."""
    return lambda: on_server(shared("webhooks", "kimi", PRIVATE))


@pytest.fixture
def hooked(hooks):
    return hooks()


def check_endpoint(value, secret=False):
    assert set(value) == ENDPOINT_MEMBERS | ({"signing_secret"} if secret else set()), value
    assert value["object"] == "webhook_endpoint" and ENDPOINT_ID.fullmatch(value["id"]), value
    assert type(value["created_at"]) is int and value["updated_at"] >= value["created_at"], value
    assert value["signing_secret_hint"].startswith("whsec_"), value
    if secret:
        assert SECRET.fullmatch(value["signing_secret"]), value
        assert value["signing_secret"].startswith(value["signing_secret_hint"].rstrip("…"))
    return value


def check_delivery(value):
    assert set(value) == DELIVERY_MEMBERS, value
    assert DELIVERY_ID.fullmatch(value["id"]) and EVENT_ID.fullmatch(value["event_id"]), value
    assert value["type"] in ALL and type(value["at"]) is int, value
    assert (value["attempts"] == 0) == (value["latency_ms"] is None), value
    return value


def endpoint(api, url, event_types=ALL, name="a"):
    given = {"name": name, "url": url, "event_types": event_types}
    response = api.http.post("webhook_endpoints", json=given)
    assert response.status_code == 200, response.text
    made = check_endpoint(response.json(), secret=True)
    assert {k: made[k] for k in given} == given
    return made


def deliveries(api, made):
    response = api.http.get(f"webhook_endpoints/{made['id']}/deliveries")
    assert response.status_code == 200, response.text
    found = response.json()
    assert set(found) == {"object", "data", "first_id", "last_id", "has_more"}
    return [check_delivery(one) for one in found["data"]]


def delivered(api, made, n=1):
    """The log, once `n` deliveries are over."""

    def over():
        found = deliveries(api, made)
        return found if sum(one["next_at"] is None for one in found) >= n else None

    return wait_until(over, f"{n} deliveries", seconds=60)


def unwrap(one, secret):
    """By the official client, which checks signature and time."""
    import openai

    with openai.OpenAI(api_key="none") as sdk:
        return sdk.webhooks.unwrap(one.body.decode(), one.headers, secret=secret)


def refused(one, secret):
    import openai

    try:
        unwrap(one, secret)
    except openai.InvalidWebhookSignatureError:
        return True
    return False


def ends(api, status):
    """A batch that comes to that end."""
    mark = fresh()
    if status == "completed":
        return api.run([line("a", mark)])
    if status == "failed":
        return api.run([b"no JSON"], "failed")
    if status == "expired":
        return api.run([line("a", f"{mark} | never")], "expired", completion_window="1s")
    batch = api.create([line("a", f"{mark} | never")])
    api.wait(batch, "in_progress")
    api.cancel(batch)
    return api.wait(batch, "cancelled")


# ---- events ----


def test_12_each_final_state_sends_its_one_event(serve, receivers, tmp_path):
    """(12, 16.25) Over https; the SDK's unwrap takes each."""
    ca = Authority(tmp_path)
    receiver = receivers(ca.server("127.0.0.1"))
    api = serve(settings=PRIVATE, env={"SSL_CERT_FILE": str(ca.cert)})
    made = endpoint(api, receiver.url + "hook?token=1")
    for status in ("completed", "failed", "expired", "cancelled"):
        before = int(time.time())
        batch = ends(api, status)
        (one,) = receiver.wait(1, where=lambda one: one.batch == batch["id"])  # noqa: B023
        event = unwrap(one, made["signing_secret"])
        assert type(event).__name__ == f"Batch{status.capitalize()}WebhookEvent"
        assert event.type == f"batch.{status}" and event.data.id == batch["id"]
        assert event.created_at == batch[f"{status}_at"]
        assert one.event == {
            "object": "event", "id": event.id, "type": event.type,
            "created_at": event.created_at, "data": {"id": batch["id"]},
        }  # fmt: skip
        assert EVENT_ID.fullmatch(event.id) and DELIVERY_ID.fullmatch(one.id)
        assert one.path == "/hook?token=1"
        assert one.headers["content-type"] == "application/json"
        assert before <= int(one.headers["webhook-timestamp"]) <= time.time() + 1
        assert refused(one, "whsec_" + base64.b64encode(b"x" * 32).decode())
    log = delivered(api, made, 4)
    assert [one["type"] for one in log] == ["batch." + s for s in ("cancelled", "expired", "failed", "completed")]
    for one in log:
        assert (one["status"], one["attempts"], one["error"]) == (200, 1, None)
        assert 0 <= one["latency_ms"] < 60_000
    assert len(receiver.requests) == 4
    assert made["signing_secret"] not in api.server.log() and "token=1" not in api.server.log()


def test_12_a_batch_cancelled_before_it_was_checked(hooked, receiver):
    """Both edges are taken at once; the event is one."""
    made = endpoint(hooked, receiver.url)
    batches = [hooked.create([line("a", f"{fresh()} | never")]) for _ in range(5)]
    for batch in batches:
        hooked.cancel(batch)
    for batch in batches:
        hooked.wait(batch, "cancelled")
    delivered(hooked, made, 5)
    assert sorted(one.batch for one in receiver.requests) == sorted(b["id"] for b in batches)


def test_12_only_the_types_that_were_asked_for(hooked, receivers):
    one, two = receivers(), receivers()
    failed = endpoint(hooked, one.url, ["batch.failed"])
    both = endpoint(hooked, two.url, ["batch.completed", "batch.failed"])
    batches = [ends(hooked, status) for status in ("completed", "failed", "cancelled")]
    delivered(hooked, failed, 1)
    delivered(hooked, both, 2)
    assert [r.batch for r in one.requests] == [batches[1]["id"]]
    assert {r.batch for r in two.requests} == {batches[0]["id"], batches[1]["id"]}
    # one event, whoever is told of it; a delivery each
    ours = [r for r in two.requests if r.batch == batches[1]["id"]][0]
    assert ours.event["id"] == one.requests[0].event["id"] and ours.id != one.requests[0].id


def test_12_events_go_to_their_organization_alone(hooks, receivers):
    a, b = hooks(), hooks()
    to_a, to_b = receivers(), receivers()
    made = endpoint(a, to_a.url), endpoint(b, to_b.url)
    batches = ends(a, "completed"), ends(b, "completed")
    delivered(a, made[0])
    delivered(b, made[1])
    assert [one.batch for one in to_a.requests] == [batches[0]["id"]]
    assert [one.batch for one in to_b.requests] == [batches[1]["id"]]


# ---- attempts ----


@pytest.mark.parametrize("status", [500, 302, 404, 100])
def test_12_what_is_no_2xx_is_tried_again(hooked, receivers, status):
    """(16.25) With the same id and body; redirects are not followed."""
    receiver, elsewhere = receivers(), receivers()
    answers = [(status, {"Location": elsewhere.url}) if status != 100 else "reset", 204]
    receiver.decide = lambda one: answers[min(len(receiver.requests), 2) - 1]
    made = endpoint(hooked, receiver.url)
    ends(hooked, "completed")
    receiver.wait(1)

    def recorded():
        (one,) = deliveries(hooked, made)
        return one if one["attempts"] == 1 else None

    once = wait_until(recorded, "the first attempt in the log")
    assert once["status"] == (status if status != 100 else None)
    assert once["error"] and once["next_at"] is not None
    assert 3 <= once["next_at"] - once["at"] <= 60
    first, second = receiver.wait(2)
    assert first.id == second.id and first.body == second.body
    assert second.arrived - first.arrived >= 3
    assert unwrap(second, made["signing_secret"]).id == first.event["id"]
    (one,) = delivered(hooked, made)
    assert (one["status"], one["attempts"], one["error"]) == (204, 2, None)
    assert len(receiver.requests) == 2 and not elsewhere.requests


def test_12_receivers_that_hang_reset_or_fail_hold_up_nothing(hooked, receivers):
    """Neither other receivers nor batches, nor other endpoints of the same organization."""
    bad = [receivers() for _ in range(3)]
    for one, answer in zip(bad, ("hang", "reset", 500), strict=True):
        one.decide = lambda _, answer=answer: answer
    good = receivers()
    for one in bad:
        endpoint(hooked, one.url)
    made = endpoint(hooked, good.url)
    batches = [hooked.create([line("a", fresh())]) for _ in range(30)]
    for batch in batches:
        hooked.wait(batch, "completed")
    good.wait(30)
    delivered(hooked, made, 30)
    assert {one.batch for one in good.requests} == {b["id"] for b in batches}
    # what hangs has no more attempts at once than it may have
    assert len(bad[0].requests) <= 8


def test_12_a_receiver_that_was_down_is_sent_all_of_it(hooked, receivers):
    """One that refuses connections, then listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    made = endpoint(hooked, f"http://127.0.0.1:{port}/")
    batch = ends(hooked, "completed")
    wait_until(lambda: deliveries(hooked, made)[0]["attempts"], "an attempt")
    (one,) = deliveries(hooked, made)
    assert one["status"] is None and "onnect" in one["error"]
    receiver = receivers(port=port)
    receiver.wait(1)
    delivered(hooked, made)
    assert receiver.requests[0].batch == batch["id"]
    assert re.search(rf"webhook\.well_again endpoint={made['id']}", hooked.server.log())


def test_12_another_url_is_tried_at_once(hooked, receiver):
    made = endpoint(hooked, "http://127.0.0.1:9/")
    batch = ends(hooked, "completed")
    wait_until(lambda: deliveries(hooked, made)[0]["attempts"], "an attempt")
    response = hooked.http.post(f"webhook_endpoints/{made['id']}", json={"url": receiver.url})
    assert check_endpoint(response.json())["url"] == receiver.url
    receiver.wait(1, seconds=60)
    assert receiver.requests[0].batch == batch["id"]
    delivered(hooked, made)


def test_12_a_deleted_endpoint_ends_its_deliveries(hooked, receivers):
    receiver, other = receivers(), receivers()
    receiver.decide = lambda one: 500
    made = endpoint(hooked, receiver.url)
    kept = endpoint(hooked, other.url)
    ends(hooked, "completed")
    receiver.wait(1)
    delivered(hooked, kept)
    response = hooked.http.delete(f"webhook_endpoints/{made['id']}")
    assert response.json() == {
        "id": made["id"], "object": "webhook_endpoint.deleted", "deleted": True,
    }  # fmt: skip
    check_error(hooked.http.get(f"webhook_endpoints/{made['id']}"), "kimi", 404)
    ends(hooked, "completed")
    delivered(hooked, kept, 2)
    time.sleep(7)  # the second attempt would have been after 6 s at most
    assert len(receiver.requests) == 1


# ---- kills ----

KILLS = ["webhook.before_final", "batch.after_final", "webhook.after_answer", "webhook.before_record", "webhook.after_record"]


@pytest.mark.parametrize("name", KILLS)
def test_12_killed_at_a_point(serve, failpoints, receiver, name):
    """At least once, never lost: counted at the receiver."""
    api = serve(settings=PRIVATE)
    made = endpoint(api, receiver.url)
    api.server.restart(env={"LOWTIDE_FAILPOINTS": f"{name}=kill"})
    batch = api.create([line("a", fresh())])
    api.server.wait_killed()
    before = len(receiver.requests)
    assert before == (1 if name in KILLS[2:] else 0)
    api.server.start()
    assert api.wait(batch)["status"] == "completed"
    (one,) = delivered(api, made)
    assert one["type"] == "batch.completed" and one["status"] == 200
    # taken and recorded: not again; taken, and not recorded: once more, with the same id
    sent = receiver.of(batch)
    assert len(sent) == (1 if name == "webhook.after_record" else before + 1)
    assert len({(r.id, r.body) for r in sent}) == 1
    assert one["id"] == sent[0].id


def test_12_killed_before_a_secret_was_told(serve, failpoints, receiver):
    """The endpoint is there, and its owner can give it another secret."""
    api = serve(settings=PRIVATE, start=False)
    api.server.start(env={"LOWTIDE_FAILPOINTS": "webhook.endpoint_made=kill"})
    with pytest.raises(httpx.TransportError):
        api.http.post("webhook_endpoints", json={**NAME, "url": receiver.url})
    api.server.wait_killed()
    api.server.start(env={"LOWTIDE_FAILPOINTS": "webhook.rotated=kill"})
    (made,) = api.http.get("webhook_endpoints").json()["data"]
    path = f"webhook_endpoints/{made['id']}/rotate_secret"
    with pytest.raises(httpx.TransportError):
        api.http.post(path)
    api.server.wait_killed()
    api.server.start()
    told = check_endpoint(api.http.post(path).json(), secret=True)
    ends(api, "completed")
    (one,) = receiver.wait(1)
    unwrap(one, told["signing_secret"])


def test_12_killed_again_and_again(serve, receiver):
    """kill -9 at random moments, with several batches: each event comes, with one id each."""
    api = serve(settings=PRIVATE)
    made = endpoint(api, receiver.url)
    batches = []
    for n in range(6):
        batches += [api.create([line("a", fresh())]) for _ in range(4)]
        time.sleep(0.03 * n)
        api.server.kill()
        api.server.start()
    for batch in batches:
        api.wait(batch, "completed")
    delivered(api, made, len(batches))
    ids = {}
    for one in receiver.requests:
        ids.setdefault(one.batch, set()).add(one.id)
    assert set(ids) == {b["id"] for b in batches}
    assert all(len(one) == 1 for one in ids.values())


def test_12_a_restart_goes_on_with_what_is_left(serve, receiver):
    api = serve(settings=PRIVATE)
    made = endpoint(api, receiver.url)
    receiver.decide = lambda one: 503
    batch = ends(api, "completed")
    receiver.wait(1)
    wait_until(lambda: deliveries(api, made)[0]["attempts"], "an attempt")
    receiver.decide = lambda one: 200
    api.server.restart()
    (one,) = delivered(api, made)
    assert one["attempts"] == 2
    assert [r.batch for r in receiver.requests] == [batch["id"]] * 2


# ---- addresses ----

NOT_PUBLIC = [
    "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/",
    "https://localhost:8443/x", "https://0.0.0.0/", "https://10.1.2.3/", "https://172.20.0.1/",
    "https://192.168.1.1/", "https://169.254.169.254/latest/meta-data", "https://100.100.100.200/",
    "https://[::1]/", "https://[::]/", "https://[fd00:ec2::254]/", "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::7f00:1]/",
    "https://224.0.0.1/", "https://255.255.255.255/",
    "http://example.com/", "ftp://example.com/", "example.com", "https://", "https:///x",
    "https://user:pw@example.com/", "https://example.com/#x", "https://exa mple.com/",
    "https://example.com:0/", "https://example.com:99999/", "https://example.com\\@x/", "javascript:1",
]  # fmt: skip


@pytest.mark.parametrize("url", NOT_PUBLIC)
def test_12_only_https_and_public_addresses(api, url):
    given = {"name": "a", "url": url, "event_types": ALL}
    response = api.http.post("webhook_endpoints", json=given)
    check_error(response, api.profile, 400, "invalid_value", "url")


@pytest.mark.parametrize("url", ["https://example.com", "HTTPS://EXAMPLE.com:8443/a/b?c=%20d", "https://1.1.1.1/"])
def test_12_public_targets(api, url):
    endpoint(api, url)


def test_12_the_address_that_a_name_leads_to(serve, receivers, tmp_path):
    """Checked at the attempt: x.localhost is this machine (RFC 6761), and a name like others to
    whoever reads it."""
    ca = Authority(tmp_path)
    receiver = receivers(ca.server("x.localhost"))
    url = f"https://x.localhost:{receiver.port}/"
    api = serve(env={"SSL_CERT_FILE": str(ca.cert)})
    made = endpoint(api, url)
    ends(api, "completed")
    wait_until(lambda: deliveries(api, made)[0]["attempts"], "an attempt")
    (one,) = deliveries(api, made)
    assert one["status"] is None and "public" in one["error"], one
    response = api.http.post(f"webhook_endpoints/{made['id']}/test")
    error = check_error(response, "kimi", 400, "webhook_unreachable", "url")
    assert "public" in error["message"]
    assert not receiver.requests
    # the same, where it is allowed
    api.server.settings["webhooks.allow_private"] = "true"
    api.server.restart()
    receiver.wait(1)
    delivered(api, made)


def test_12_certificates_are_verified(serve, receivers, tmp_path):
    """A receiver whose certificate nobody vouches for, or of another name, is sent nothing."""
    ca, other = Authority(tmp_path), Authority(tmp_path, "another CA")
    unknown, misnamed = receivers(other.server("127.0.0.1")), receivers(ca.server("elsewhere"))
    good = receivers(ca.server("127.0.0.1"))
    api = serve(settings={**PRIVATE, "webhooks.ca_file": ca.cert})
    made = [endpoint(api, one.url) for one in (unknown, misnamed, good)]
    ends(api, "completed")
    delivered(api, made[2])
    for one in made[:2]:
        wait_until(lambda: deliveries(api, one)[0]["attempts"], "an attempt")  # noqa: B023
        (log,) = deliveries(api, one)
        assert log["status"] is None and "certificate" in log["error"].lower(), log
    assert not unknown.requests and not misnamed.requests


def test_12_proxies_are_used_only_where_any_address_may_be(serve, receiver):
    """lowtide does not see where a proxy connects to."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        seen = []

        def listen():
            with proxy.accept()[0] as client:
                seen.append(client.recv(4096))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        variables = {"http_proxy": f"http://127.0.0.1:{proxy.getsockname()[1]}"}
        api = serve(settings=PRIVATE, env=variables)
        made = endpoint(api, "http://elsewhere.invalid/hook")
        api.http.post(f"webhook_endpoints/{made['id']}/test")
        thread.join(30)
        assert seen and seen[0].startswith(b"POST http://elsewhere.invalid/hook ")


# ---- secrets ----


def test_12_secrets_are_shown_once_and_rotated(hooked, receiver):
    made = endpoint(hooked, receiver.url)
    path = f"webhook_endpoints/{made['id']}"
    assert "signing_secret" not in hooked.http.get(path).json()
    assert "signing_secret" not in json.dumps(hooked.http.get("webhook_endpoints").json()).replace("signing_secret_hint", "")
    turned = check_endpoint(hooked.http.post(f"{path}/rotate_secret").json(), secret=True)
    assert turned["signing_secret"] != made["signing_secret"]
    day = turned["old_secret_expires_at"] - turned["updated_at"]
    assert day == 24 * 3600
    ends(hooked, "completed")
    (one,) = receiver.wait(1)
    assert len(one.headers["webhook-signature"].split(" ")) == 2
    for secret in (made["signing_secret"], turned["signing_secret"]):
        unwrap(one, secret)
    # the SDK's member: the old one ends at once
    last = hooked.http.post(
        f"{path}/rotate_secret", json={"keep_old_secret_active_for_24_hours": False}
    ).json()
    assert last["old_secret_expires_at"] is None
    ends(hooked, "completed")
    two = receiver.wait(2)[1]
    assert len(two.headers["webhook-signature"].split(" ")) == 1
    unwrap(two, last["signing_secret"])
    assert refused(two, turned["signing_secret"])
    assert hooked.http.get(path).json()["signing_secret_hint"] == last["signing_secret_hint"]


def test_12_the_database_with_the_secrets_is_the_owners_alone(hooked):
    for name in ("meta.db", "meta.db-wal"):
        path = hooked.server.data / name
        if path.exists():
            assert os.stat(path).st_mode & 0o077 == 0


# ---- the configuration's endpoints ----


def test_12_endpoints_of_the_configuration(serve, on_server, receivers, tmp_path):
    """Of one organization or of all; the secret given there, in a variable, in a file."""
    to_all, to_ours, failed = receivers(), receivers(), receivers()
    secrets = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in range(3)]
    (tmp_path / "secret").write_text(secrets[2] + "\n")
    config = tmp_path / "hooks.yaml"

    def write(*endpoints):
        config.write_text("webhooks: " + json.dumps({"endpoints": endpoints}) + "\n")

    every = {"name": "all", "url": to_all.url + "?q=hidden", "secret": secrets[0]}
    ours = {"name": "ours", "url": to_ours.url, "org": "org-ours", "secret_env": "HOOK_SECRET"}
    some = {
        "name": "some", "url": failed.url, "secret_file": str(tmp_path / "secret"),
        "event_types": ["batch.failed"],
    }  # fmt: skip
    write(every, ours, some)
    api = serve(
        settings=PRIVATE, env={"HOOK_SECRET": secrets[1]}, args=["--config", str(config)]
    )
    one = on_server(api.server, api.server.new_key("org-ours"))
    done, theirs = ends(one, "completed"), ends(api, "completed")
    wrong = ends(api, "failed")
    to_all.wait(3)
    failed.wait(1)
    assert {r.batch for r in to_all.requests} == {done["id"], theirs["id"], wrong["id"]}
    to_ours.wait(1)
    assert [r.batch for r in to_ours.requests] == [done["id"]]
    assert [r.batch for r in failed.requests] == [wrong["id"]]
    for receiver, secret in zip((to_all, to_ours, failed), secrets, strict=True):
        unwrap(receiver.requests[0], secret)
    # they are the operator's: no organization sees them, or its own limit counts them
    assert one.http.get("webhook_endpoints").json()["data"] == []
    check_error(one.http.get("webhook_endpoints/we_config_all"), "kimi", 404)
    check_error(one.http.delete("webhook_endpoints/we_config_all"), "kimi", 404)
    # a reload takes them as they are: one that is gone is sent nothing more, one comes with an
    # organization of its own, and one has another secret
    third = receivers()
    new = "whsec_" + base64.b64encode(bytes([7]) * 32).decode()
    write({"name": "ours", "url": to_ours.url, "org": "org-ours", "secret": new}, {"name": "third", "url": third.url,
                                                       "secret": secrets[0], "org": "org-third"})
    api.server.reload()
    wait_until(lambda: "config.reloaded" in api.server.log(), "the log says so")
    assert "config.restart_needed" not in api.server.log()
    done = ends(one, "completed")
    to_ours.wait(2)
    assert to_ours.requests[1].batch == done["id"] and len(to_all.requests) == 3
    unwrap(to_ours.requests[1], new)
    other = on_server(api.server, api.server.new_key("org-third"))
    done = ends(other, "completed")
    third.wait(1)
    assert third.requests[0].batch == done["id"] and len(to_ours.requests) == 2
    unwrap(third.requests[0], secrets[0])
    # what cannot be read changes nothing
    write({"name": "x", "url": third.url})
    api.server.reload()
    wait_until(lambda: "config.reload_failed" in api.server.log(), "the log says so")
    done = ends(one, "completed")
    to_ours.wait(3)
    unwrap(to_ours.requests[2], new)
    write(ours)
    api.server.restart()
    done = ends(one, "completed")
    to_ours.wait(4)
    assert to_ours.requests[3].batch == done["id"]
    assert len(to_all.requests) == 3 and len(third.requests) == 1
    for n in (1, 2):
        log = (api.server.directory / f"stderr.{n}").read_text()
        assert not any(secret in log for secret in secrets) and "hidden" not in log
    data = b"".join(p.read_bytes() for p in api.server.data.glob("meta.db*"))
    assert not any(secret.encode() in data for secret in secrets)


# ---- the test call, the log, replay ----


def test_12_test_call(hooked, receiver):
    made = endpoint(hooked, receiver.url, ["batch.failed", "batch.expired"])
    path = f"webhook_endpoints/{made['id']}/test"
    expected = {
        "object": "webhook_endpoint.test", "webhook_endpoint_id": made["id"],
        "event_type": "batch.failed", "status_code": 200, "success": True,
    }  # fmt: skip
    assert hooked.http.post(path).json() == expected
    assert unwrap(receiver.requests[0], made["signing_secret"]).type == "batch.failed"
    receiver.decide = lambda one: 418
    answer = hooked.http.post(path, json={"event_type": "batch.completed"}).json()
    assert answer == {**expected, "event_type": "batch.completed", "status_code": 418}
    receiver.decide = lambda one: "reset"
    check_error(hooked.http.post(path, json={}), "kimi", 400, "webhook_unreachable", "url")
    assert deliveries(hooked, made) == []  # a test is no event
    bad = hooked.http.post(path, json={"event_type": "batch.exploded"})
    check_error(bad, "kimi", 400, "invalid_value", "event_type")
    bad = hooked.http.post(path, json={"event_type": 7})
    check_error(bad, "kimi", 400, "invalid_type", "event_type")
    check_error(hooked.http.post(path, content=b"[]"), "kimi", 400)


def test_12_one_test_of_an_endpoint_at_a_time(hooked, receiver):
    receiver.decide = lambda one: "hang"
    made = endpoint(hooked, receiver.url)
    path = f"webhook_endpoints/{made['id']}/test"
    answers = []
    thread = threading.Thread(target=lambda: answers.append(hooked.http.post(path)))
    thread.start()
    receiver.wait(1)
    url, key = f"{hooked.server.base_url}/{path}", {"Authorization": f"Bearer {hooked.key}"}
    second = httpx.post(url, headers=key, timeout=30, trust_env=False)
    check_error(second, "kimi", 429, "rate_limit_exceeded", error_type="rate_limit_reached_error")
    assert int(second.headers["retry-after"]) >= 1
    receiver.gate.set()
    thread.join(60)
    check_error(answers[0], "kimi", 400, "webhook_unreachable", "url")


def test_12_a_client_that_leaves_during_a_test(hooked, receiver):
    receiver.decide = lambda one: "hang"
    made = endpoint(hooked, receiver.url)
    url = f"{hooked.server.base_url}/webhook_endpoints/{made['id']}/test"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, headers={"Authorization": f"Bearer {hooked.key}"}, timeout=1, trust_env=False)
    receiver.gate.set()
    receiver.decide = lambda one: 200
    wait_until(
        lambda: hooked.http.post(f"webhook_endpoints/{made['id']}/test").status_code == 200,
        "the next test",
    )


def test_12_the_log_has_the_last_hundred(hooked, receiver):
    made = endpoint(hooked, receiver.url)
    batches = [hooked.create([line("a", fresh())]) for _ in range(110)]
    for batch in batches:
        hooked.wait(batch, "completed")
    wait_until(lambda: len(receiver.requests) == 110, "all of them", seconds=90)
    wait_until(lambda: all(d["next_at"] is None for d in deliveries(hooked, made)), "recorded")
    log = deliveries(hooked, made)
    assert len(log) == 100 and len({one["event_id"] for one in log}) == 100
    # paged (10)
    path = f"webhook_endpoints/{made['id']}/deliveries"
    seen, after = [], None
    while True:
        page = hooked.http.get(path, params={"limit": 30, **({"after": after} if after else {})}).json()
        seen += page["data"]
        if not page["has_more"]:
            break
        after = page["last_id"]
    assert [one["id"] for one in seen] == [one["id"] for one in log]
    check_error(hooked.http.get(path, params={"limit": 101}), "kimi", 400, "integer_above_max_value", "limit")
    check_error(hooked.http.get(path, params={"after": "wh_x"}), "kimi", 400, "invalid_value", "after")


def test_12_replay(hooked, receiver):
    made = endpoint(hooked, receiver.url)
    ends(hooked, "completed")
    (one,) = delivered(hooked, made)
    path = f"webhook_endpoints/{made['id']}/deliveries"
    response = hooked.http.post(f"{path}/{one['id']}/replay")
    assert response.status_code == 200, response.text
    again = check_delivery(response.json())
    assert again["id"] == one["id"] and again["next_at"] is not None
    first, second = receiver.wait(2)
    assert first.id == second.id and first.body == second.body
    wait_until(lambda: deliveries(hooked, made)[0]["attempts"] == 2, "recorded")
    check_error(hooked.http.post(f"{path}/wh_none/replay"), "kimi", 404)
    check_error(hooked.http.post(f"{path}/{one['id']}/replay", content=b"{"), "kimi", 400)
    assert len(receiver.requests) == 2


# ---- the calls ----

NAME = {"name": "a", "url": "https://example.com/", "event_types": ["batch.completed"]}
BAD = [
    ({"name": None}, "missing_required_parameter", "name"),
    ({"name": 1}, "invalid_type", "name"),
    ({"name": ""}, "invalid_value", "name"),
    ({"name": "a\x00b"}, "invalid_value", "name"),
    ({"name": "é" * 257}, "string_above_max_length", "name"),
    ({"url": None}, "missing_required_parameter", "url"),
    ({"url": ["https://example.com"]}, "invalid_type", "url"),
    ({"url": ""}, "invalid_value", "url"),
    ({"url": "https://example.com/" + "a" * 2048}, "string_above_max_length", "url"),
    ({"event_types": None}, "missing_required_parameter", "event_types"),
    ({"event_types": "batch.completed"}, "invalid_type", "event_types"),
    ({"event_types": {}}, "invalid_type", "event_types"),
    ({"event_types": []}, "invalid_value", "event_types"),
    ({"event_types": ["batch.completed", 3]}, "invalid_type", "event_types"),
    ({"event_types": ["batch.completed", "batch.exploded"]}, "invalid_value", "event_types"),
    ({"event_types": ["response.completed"]}, "invalid_value", "event_types"),
    ({"event_types": [""]}, "invalid_value", "event_types"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "code", "param"), BAD)
def test_12_bad_input(api, change, code, param):
    """(5.2) On create, and where it is given on update, too."""
    check_error(api.http.post("webhook_endpoints", json={**NAME, **change}), api.profile, 400, code, param)
    made = endpoint(api, NAME["url"])
    response = api.http.post(f"webhook_endpoints/{made['id']}", json=change)
    if code == "missing_required_parameter":
        assert check_endpoint(response.json())["name"] == made["name"]
    else:
        check_error(response, api.profile, 400, code, param)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"name": "a"} x', b"[" * 9999])
def test_12_bodies_that_are_no_object(api, text):
    made = endpoint(api, NAME["url"])
    check_error(api.http.post("webhook_endpoints", content=text), api.profile, 400, ANY, ANY)
    path = f"webhook_endpoints/{made['id']}"
    check_error(api.http.post(path, content=text), api.profile, 400, ANY, ANY)
    if text:
        check_error(api.http.post(f"{path}/rotate_secret", content=text), api.profile, 400, ANY, ANY)
    bad = api.http.post(f"{path}/rotate_secret", json={"keep_old_secret_active_for_24_hours": "no"})
    check_error(bad, api.profile, 400, "invalid_type", "keep_old_secret_active_for_24_hours")


def test_12_update(api):
    made = endpoint(api, NAME["url"])
    path = f"webhook_endpoints/{made['id']}"
    same = api.http.post(path, json={"name": "a", "x": 1}).json()
    assert same == {k: v for k, v in made.items() if k != "signing_secret"}
    other = {"name": "Ünïcode", "url": "https://example.org/x", "event_types": ["batch.failed"]}
    changed = check_endpoint(api.http.post(path, json=other).json())
    assert {k: changed[k] for k in other} == other
    assert api.http.get(path).json() == changed


def test_10_endpoints_are_listed_newest_first(api):
    made = [endpoint(api, NAME["url"], name=f"n{i}") for i in range(5)]
    page = api.http.get("webhook_endpoints", params={"limit": 2}).json()
    assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
    assert [one["name"] for one in page["data"]] == ["n4", "n3"] and page["has_more"]
    rest = api.http.get("webhook_endpoints", params={"after": page["last_id"]}).json()
    assert [one["id"] for one in rest["data"]] == [one["id"] for one in made[2::-1]]
    assert rest["has_more"] is False
    for params, code in (({"limit": 101}, "integer_above_max_value"), ({"limit": 0}, "integer_below_min_value"),
                         ({"limit": "x"}, "invalid_type")):  # fmt: skip
        check_error(api.http.get("webhook_endpoints", params=params), api.profile, 400, code, "limit")
    response = api.http.get("webhook_endpoints", params={"after": "we_x"})
    check_error(response, api.profile, 400, "invalid_value", "after")


def test_10_no_endpoints(api):
    assert api.http.get("webhook_endpoints").json() == {
        "object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False,
    }  # fmt: skip


def test_12_an_organization_may_have_so_many(api):
    """webhooks.max_endpoints: 20."""
    made = [endpoint(api, NAME["url"]) for _ in range(20)]
    error = check_error(
        api.http.post("webhook_endpoints", json=NAME), api.profile, 400, "webhook_endpoint_quota_exceeded"
    )
    assert "webhooks.max_endpoints" in error["message"]
    assert api.http.delete(f"webhook_endpoints/{made[0]['id']}").status_code == 200
    endpoint(api, NAME["url"])


def test_16_21_another_organizations_endpoints(api, on_server):
    other = on_server(api.server)
    made = endpoint(api, NAME["url"])
    message = f"No webhook endpoint found with id '{made['id']}'."
    for method, path in (
        ("GET", ""), ("POST", ""), ("DELETE", ""), ("POST", "/rotate_secret"), ("POST", "/test"),
        ("GET", "/deliveries"), ("POST", "/deliveries/wh_x/replay"),
    ):  # fmt: skip
        url = f"webhook_endpoints/{made['id']}{path}"
        response = other.http.request(method, url, json={} if method == "POST" else None)
        check_error(response, other.profile, 404, message=message)
    assert other.http.get("webhook_endpoints").json()["data"] == []
    bad = other.http.get("webhook_endpoints", params={"after": made["id"]})
    check_error(bad, other.profile, 400, "invalid_value", "after")
    assert api.http.get(f"webhook_endpoints/{made['id']}").status_code == 200


# ---- the official clients ----


def test_12_the_python_client(hooked, receiver):
    sdk = hooked.sdk.webhooks
    made = sdk.create(name="sdk", url=receiver.url, event_types=ALL)
    assert made.object == "webhook_endpoint" and made.signing_secret.startswith("whsec_")
    assert sdk.retrieve(made.id).url == receiver.url
    assert sdk.update(made.id, name="other").name == "other"
    more = [sdk.create(name=f"{n}", url=receiver.url, event_types=ALL[:1]) for n in range(4)]
    assert [one.id for one in sdk.list(limit=2)] == [one.id for one in (*more[::-1], made)]
    for one in more:
        assert sdk.delete(one.id).deleted
    result = sdk.test(made.id, event_type="batch.completed")
    assert result.success and result.status_code == 200 and result.webhook_endpoint_id == made.id
    turned = sdk.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    batch = ends(hooked, "completed")
    one = receiver.wait(2)[1]
    for secret in (made.signing_secret, turned.signing_secret):
        event = hooked.sdk.webhooks.unwrap(one.body, one.headers, secret=secret)
        assert event.data.id == batch["id"]


def test_12_the_node_client(hooked):
    from test_clients import node

    node(hooked, "webhooks.mjs")


def test_12_metrics(serve, receiver):
    api = serve(settings=PRIVATE)
    made = endpoint(api, receiver.url)
    answers = {"a": 500}
    receiver.decide = lambda one: answers["a"]

    def figure(name):
        text = httpx.get(f"{api.server.url}/metrics", trust_env=False).text
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)[1])

    assert figure("lowtide_webhook_oldest_seconds") == 0
    ends(api, "completed")
    wait_until(lambda: figure('lowtide_webhook_attempts_total{result="answered"}') == 1, "counted")
    wait_until(lambda: figure("lowtide_webhook_oldest_seconds") >= 1, "its age")
    answers["a"] = 200
    delivered(api, made)
    wait_until(lambda: figure("lowtide_webhook_oldest_seconds") == 0, "no longer")
    assert figure('lowtide_webhook_attempts_total{result="taken"}') == 1
    assert figure("lowtide_webhook_given_up_total") == 0


def test_12_a_clock_that_is_set_does_not_lose_or_hold_up_anything(serve, failpoints, receiver, tmp_path):
    """(base/wall.h) Four days ahead: what waits for its next attempt is not given up."""
    wrong = tmp_path / "wrong"
    api = serve(
        settings=PRIVATE, env={"LOWTIDE_FAILPOINTS": f"clock={4 * 86400}:{wrong}"}
    )
    made = endpoint(api, receiver.url)
    receiver.decide = lambda one: 500
    batch = ends(api, "completed")
    wait_until(lambda: deliveries(api, made)[0]["attempts"], "an attempt")
    wrong.touch()
    receiver.wait(2)
    wait_until(lambda: deliveries(api, made)[0]["attempts"] == 2, "another")
    (one,) = deliveries(api, made)
    assert one["next_at"] is not None
    wrong.unlink()
    receiver.decide = lambda one: 200
    receiver.wait(3, seconds=90)
    delivered(api, made)
    assert {r.batch for r in receiver.requests} == {batch["id"]}

"""The configuration: `lowtide serve --check`, the example file, mistakes with their line."""

import re
import time

import httpx
import pytest
from support import server as program
from support.jsonl import fresh, line, numbered

ROOT = program.ROOT
URL = "http://127.0.0.1:9/v1"


def check(*args, expect=0, **more):
    return program.run("serve", "--check", *args, expect=expect, **more)


def check_file(tmp_path, text, expect=2):
    path = tmp_path / "lowtide.yaml"
    path.write_text(text)
    return check("--config", path, expect=expect)


def examples():
    return sorted({*ROOT.glob("*example*.y*ml"), *ROOT.glob("*/*example*.y*ml")})


def test_the_example_file_is_good():
    assert examples(), "no annotated example file"
    for path in examples():
        check("--config", path, env={"UPSTREAM_API_KEY": "x", "OPENAI_API_KEY": "x"})


def test_check_needs_nothing_but_an_upstream(tmp_path):
    check("--upstream", URL, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == [], "--check only checks"


def test_no_upstream_is_a_mistake(tmp_path):
    done = check(cwd=tmp_path, expect=2)
    assert "upstream" in done.stderr


GOOD = f"""\
listen: 127.0.0.1:0
data: ./somewhere
profile: openai
upstreams:
  - name: main
    url: {URL}
    models: [a, b]
execution:
  concurrency: 4
  max_attempts: 3
  line_timeout: 30s
  drain: 5s
limits:
  file_bytes: 10MB
  lines_per_file: 100
  org: {{files: 5, bytes: 0, calls_per_minute: 100}}
  window_min: 1h
  window_max: 7d
"""


def test_a_good_file(tmp_path):
    check_file(tmp_path, GOOD, expect=0)


def entry(*members):
    """A file whose second upstream has these members from its fifth line on."""
    lines = [f"  - url: {URL}", "    models: [a]"] * 2
    return "\n".join(["upstreams:", *lines, *("    " + member for member in members)]) + "\n"


MEMBERS = [
    "name: second", "weight: 1000", "concurrency: 10000", "concurrency: auto", "max_concurrency: 1",
    "requests_per_minute: 0", "tokens_per_minute: 5000000", "metrics: llamacpp", "metrics: none",
    "priority: -1000000", "priority: 0", "drain: true",
]  # fmt: skip


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_of_an_upstream(tmp_path, member):
    """And both serve the model a, under names of their own."""
    done = check_file(tmp_path, entry(member), expect=0)
    assert "  default: " in done.stdout
    assert "  second: " in done.stdout or "  upstream-2: " in done.stdout


BAD_MEMBERS = {
    "name: default": ["'default' is taken"],
    "weight: 0": ["weight", "1 to 1000"],
    "weight: 1001": ["weight", "1 to 1000"],
    "concurrency: none": ["concurrency", "1 to 10000, or auto"],
    "max_concurrency: auto": ["max_concurrency", "1 to 10000"],
    "requests_per_minute: -1": ["requests_per_minute", "0: no limit"],
    "tokens_per_minute: 1e6": ["tokens_per_minute", "whole number"],
    "metrics: triton": ["metrics", "auto, none, vllm, sglang, llamacpp"],
    "priority: 1.5": ["priority", "-1000000 to 1000000"],
    "drain: maybe": ["drain", "true or false"],
    "wieght: 2": ["wieght", "nearest: weight"],
}


@pytest.mark.parametrize("member", BAD_MEMBERS)
def test_a_mistake_in_an_upstream(tmp_path, member):
    done = check_file(tmp_path, entry(member))
    assert re.search(r"lowtide\.yaml:[46]\b", done.stderr), done.stderr
    for word in BAD_MEMBERS[member]:
        assert word in done.stderr, done.stderr


def test_a_concurrency_over_the_most(tmp_path):
    done = check_file(tmp_path, entry("concurrency: 9", "max_concurrency: 8"))
    assert "concurrency of 'upstream-2', 9, is more than its max_concurrency, which is 8" in (
        done.stderr
    )


def test_several_upstreams_by_url():
    listed = ["default: http://a/v1,", "upstream-2: http://b/v1,"]
    for text in ("http://a/v1,http://b/v1", "http://a/v1 http://b/v1/"):
        done = check(env={"LOWTIDE_UPSTREAMS": text})
        assert all(one in done.stdout for one in listed), done.stdout
    done = check("--upstream", "http://a/v1", "--upstream", "http://b/v1")
    assert all(one in done.stdout for one in listed), done.stdout


def test_concurrency_is_found_by_default():
    stdout = check("--upstream", URL).stdout
    assert "execution.concurrency: auto" in stdout and "concurrency: auto, at most 1024" in stdout
    stdout = check("--upstream", URL, "--set", "execution.concurrency=9").stdout
    assert "concurrency: 9\n" in stdout


# (line changed, its new text, what the message must name)
MISTAKES = {
    "unknown key": (9, "  concurency: 4", ["concurency", "concurrency"]),
    "unknown group": (8, "executoin:", ["executoin"]),
    "unknown top key": (3, "profil: openai", ["profil", "profile"]),
    "unknown profile": (3, "profile: claude", ["kimi", "openai"]),
    "text for a number": (9, "  concurrency: many", ["concurrency"]),
    "zero": (9, "  concurrency: 0", ["concurrency", "1"]),
    "negative": (10, "  max_attempts: -3", ["max_attempts"]),
    "fraction": (10, "  max_attempts: 1.5", ["max_attempts"]),
    "too many": (9, "  concurrency: 99999999999999999999", ["concurrency"]),
    "duration without unit": (11, "  line_timeout: 30", ["line_timeout", "30s"]),
    "odd unit": (11, "  line_timeout: 30 seconds", ["line_timeout"]),
    "odd size": (14, "  file_bytes: ten", ["file_bytes"]),
    "odd window": (18, "  window_min: 1w", ["window_min"]),
    "list for a value": (9, "  concurrency: [4]", ["concurrency"]),
    "map for a value": (9, "  concurrency: {a: 4}", ["concurrency"]),
    "value for a group": (8, "execution: 5\nx:", ["execution"]),
    "no url": (6, f"    base: {URL}", ["base"]),
    "odd url": (6, "    url: ftp://x/v1", ["http"]),
    "odd address": (1, "listen: everywhere", ["listen"]),
    "odd port": (1, "listen: 127.0.0.1:99999", ["listen"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_line(tmp_path, name):
    """What is wrong, where, what is allowed; exit 2."""
    number, text, named = MISTAKES[name]
    lines = GOOD.splitlines()
    lines[number - 1] = text
    done = check_file(tmp_path, "\n".join(lines) + "\n")
    assert re.search(rf"lowtide\.yaml:{number}\b", done.stderr), done.stderr
    for word in named:
        assert word in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) <= 3, done.stderr


@pytest.mark.parametrize(
    "text", ["a: [1", "\tlisten: x", "- a\n- b", "just text", "a: b: c", "\x00", "\xff"]
)
def test_a_file_that_is_no_such_yaml(tmp_path, text):
    path = tmp_path / "lowtide.yaml"
    path.write_bytes(text.encode("latin-1"))
    done = check("--config", path, expect=2)
    assert "lowtide.yaml" in done.stderr


def test_a_key_given_twice(tmp_path):
    done = check_file(tmp_path, GOOD.replace("profile: openai", "profile: openai\nprofile: kimi"))
    assert re.search(r"lowtide\.yaml:[34]\b", done.stderr), done.stderr


def test_no_such_file(tmp_path):
    assert "none.yaml" in check("--config", tmp_path / "none.yaml", expect=2).stderr


FLAGS = [
    ["--set", "execution.concurrency=many"],
    ["--set", "execution.concurrency=0"],
    ["--set", "execution.concurrency"],
    ["--set", "no.such.key=1"],
    ["--set", "=1"],
    ["--set", "limits.window_min=soon"],
    ["--profile", "other"],
    ["--listen", "nowhere"],
    ["--upstream", "not a url"],
]


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_a_mistake_in_a_flag(flags):
    done = check("--upstream", URL, *flags, expect=2)
    assert done.stderr.strip() and len(done.stderr.splitlines()) <= 3


def test_least_window_over_the_longest_is_a_mistake():
    flags = ["--set", "limits.window_min=8d", "--set", "limits.window_max=7d"]
    assert "window" in check("--upstream", URL, *flags, expect=2).stderr


def test_serve_itself_refuses_too(tmp_path):
    path = tmp_path / "lowtide.yaml"
    path.write_text("execution:\n  concurrency: none\n")
    done = program.run(
        "serve", "--upstream", URL, "--data", tmp_path / "data", "--config", path, expect=2
    )
    assert "lowtide.yaml:2" in done.stderr and not (tmp_path / "data").exists()


def test_flags_over_environment_over_file(serve, own_upstream, tmp_path):
    """Seen by how many requests are in flight."""
    config = tmp_path / "lowtide.yaml"
    config.write_text("execution:\n  concurrency: 2\n")

    def in_flight(env=None, settings=None):
        api = serve(args=["--config", str(config)], env=env, settings=settings)
        mark = fresh()
        batch = api.create(numbered(mark, 20, f"hold:{mark}"))
        own_upstream.wait_sent(mark, 2)
        time.sleep(0.3)
        sent = own_upstream.sent(mark)
        api.cancel(batch)
        return sent

    variable = {"LOWTIDE_EXECUTION_CONCURRENCY": "3"}
    assert in_flight() == 2
    assert in_flight(env=variable) == 3
    assert in_flight(env=variable, settings={"execution.concurrency": 5}) == 5


def test_a_mistake_in_the_environment():
    variable = {"LOWTIDE_EXECUTION_CONCURRENCY": "three"}
    done = check("--upstream", URL, env=variable, expect=2)
    assert "LOWTIDE_EXECUTION_CONCURRENCY" in done.stderr


def test_a_setting_may_be_given_many_times():
    check("--upstream", URL, "--set", "execution.concurrency=2", "--set", "execution.concurrency=3")


def test_upstream_key_from_a_file(serve, own_upstream, tmp_path):
    (tmp_path / "key").write_text("sk-from-a-file\n")
    config = tmp_path / "lowtide.yaml"
    config.write_text(
        f"upstreams:\n  - url: {own_upstream.url}\n    api_key_file: {tmp_path}/key\n"
    )
    api = serve(upstream=False, args=["--config", str(config)])
    mark = fresh()
    api.run([line("a", mark)])
    assert own_upstream.of(mark)[0].header("authorization") == "Bearer sk-from-a-file"


@pytest.mark.parametrize("member", ["api_key_env: NOT_SET_ANYWHERE", "api_key_file: /no/such/file"])
def test_upstream_key_that_is_not_there(tmp_path, member):
    path = tmp_path / "lowtide.yaml"
    path.write_text(f"upstreams:\n  - url: {URL}\n    {member}\n")
    done = program.run("serve", "--data", tmp_path / "data", "--config", path, expect=2)
    assert member.split()[1] in done.stderr


def test_defaults_without_any_configuration(serve, tmp_path, own_upstream):
    """`lowtide serve --upstream URL` alone: profile kimi, data in ./lowtide-data."""
    api = serve(start=False)
    server = api.server
    server.profile, server.settings = None, {}
    server.data = server.directory / "lowtide-data"

    def command():
        return [str(program.BINARY), "serve", "--listen", "127.0.0.1:0",
                "--upstream", own_upstream.url]  # fmt: skip

    server.command = command
    server.start()
    assert (server.directory / "lowtide-data").is_dir()
    batch = api.run([line("a", fresh())])
    assert api.file(batch["input_file_id"])["expires_at"] is None  # kimi
    response = httpx.get(f"{server.base_url}/files", trust_env=False)
    assert response.json()["error"]["type"] == "invalid_authentication_error"


def test_weight_of_an_organization(tmp_path):
    data = tmp_path / "data"

    def org(*args, expect=0):
        return program.run("org", "--data", data, *args, expect=expect)

    org("create", "heavy", "--init")
    org("create", "light")
    org("weight", "heavy", "12")
    rows = org("list").stdout.splitlines()
    assert [row.split("weight ")[1].split()[0] for row in rows] == ["12", "1"]
    for wrong in ("0", "1001", "-1", "many", "1.5", "99999999999999999999"):
        done = org("weight", "heavy", "--", wrong, expect=2)
        assert "a whole number from 1 to 1000" in done.stderr
    assert "there is no organization" in org("weight", "nobody", "1", expect=1).stderr
    org("weight", "heavy", expect=2)
    org("list", "heavy", "1", expect=2)
    assert "weight 12" in org("list").stdout


def test_help_and_version():
    for flag in ("--help", "--version"):
        assert program.run(flag).stdout.strip()
    for command in ("serve", "run", "check", "key", "org"):
        assert "Usage" in program.run(command, "--help").stdout


@pytest.mark.parametrize("args", [[], ["no-such-command"], ["serve", "--no-such-flag"]])
def test_wrong_use(args):
    done = program.run(*args, expect=None)
    assert done.returncode not in (0, 1) or (done.returncode == 1 and done.stderr.strip())
    assert done.stderr.strip() or done.stdout.strip()

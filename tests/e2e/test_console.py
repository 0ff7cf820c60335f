"""The console, in Chromium: each page, each action, both languages and themes, and what goes wrong.

Screenshots of each page are left in build/console-shots/ for people to look at.
"""

import json
import re
import socket

import pytest
from playwright.sync_api import expect
from support import console as browsers
from support.api import Api
from support.console import CONSOLE, Console, chromium, words
from support.jsonl import fresh, jsonl, line, numbered
from support.receiver import Receiver
from support.rows import many_batches
from support.server import ROOT, Server
from support.upstream import Answer, Upstream
from support.wire import wait_until

CHECK = re.compile(r"\{(\w+)\}")
METRICS = (
    'vllm:num_requests_running{model_name="m-1"} 12\n'
    'vllm:num_requests_waiting{model_name="m-1"} 3\n'
    'vllm:kv_cache_usage_perc{model_name="m-1"} 0.42\n'
)
PRICES = "prices:\n  - {model: m-1, input: 2, output: 8, currency: EUR}\n"


@pytest.fixture(scope="session")
def browser():
    with chromium() as made:
        yield made


@pytest.fixture
def look(browser):
    """look(api, ...): a window at the console of that server, signed in with its key."""
    made = []

    def make(api, key=None, **more):
        made.append(Console(browser, api.server, key=api.key if key is None else key, **more))
        return made[-1]

    yield make
    for one in made:
        one.done()


def button(console, name, within=None):
    return (within or console.page).get_by_role("button", name=name, exact=True)


def says(console, text):
    """It is said, for a moment, at the edge of the page."""
    expect(console.page.locator(".said-box")).to_contain_text(text)


# ---- words and files ----


def test_both_languages_have_the_same_words():
    en, zh = words("en"), words("zh")
    assert list(en) == list(zh)
    for key, text in en.items():
        assert set(CHECK.findall(text)) == set(CHECK.findall(zh[key])), key
        assert zh[key].strip() and text.strip(), key


def test_words_that_pages_ask_for_are_there():
    known = words("en")
    for path in [CONSOLE / "app.js", *CONSOLE.glob("lib/*.js"), *CONSOLE.glob("pages/*.js")]:
        for key in re.findall(r'\bt\(\s*"([^"]+)"', path.read_text()):
            assert key in known, f"{path.name}: {key}"


def test_units_are_words_of_their_language():
    for path in [*CONSOLE.glob("lib/*.js"), *CONSOLE.glob("pages/*.js")]:
        assert not re.search(r"[\w>}\"]/s\b", re.sub(r"//.*", "", path.read_text())), path.name


def test_the_manifest_lists_every_module():
    listed = {}
    for row in (CONSOLE / "manifest.txt").read_text().splitlines():
        if row and not row.startswith("#"):
            served, source = row.split()
            listed[served] = source
    ours = [
        path.relative_to(CONSOLE)
        for path in CONSOLE.glob("**/*.js")
        if "node_modules" not in path.parts
    ]
    assert {str(path) for path in ours} <= set(listed)
    assert all((CONSOLE / source).is_file() for source in listed.values())


def test_the_licenses_of_its_libraries_go_with_it():
    """Of what is taken from node_modules: in what is served, and in the Debian package's copyright."""
    packages = json.loads((CONSOLE / "package.json").read_text())["dependencies"]
    manifest = (CONSOLE / "manifest.txt").read_text()
    taken = set(re.findall(r"(?m)^\S+ node_modules/((?:@[^/\s]+/)?[^/\s]+)", manifest))
    assert taken and taken <= set(packages) and "\nlicenses.txt licenses.txt\n" in manifest
    served = (CONSOLE / "licenses.txt").read_text()
    debian = (ROOT / "packaging" / "debian" / "copyright").read_text()
    for name in taken:
        assert f"npm package {name} {packages[name]}" in served, name
        assert f"Files: console/node_modules/{name}/*\n" in debian, name
    for name in re.findall(r"^vendor/\S+", manifest, re.M):
        assert name in served, name


# ---- the key ----


def test_the_key_is_asked_for_and_kept_in_this_tab_alone(kimi, look):
    window = look(kimi, key="")
    page = window.open()
    page.get_by_label("API key").fill("sk-of-nobody")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The server does not know this key")
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_label("API key").fill(kimi.key)
    button(window, "Sign in").click()
    page.get_by_role("heading", level=1, name="Overview").wait_for()
    assert page.evaluate("Object.values(sessionStorage)") == [kimi.key]
    assert kimi.key not in page.evaluate(
        "JSON.stringify(localStorage) + document.cookie + location"
    )
    other = window.context.new_page()
    other.goto(browsers.address(kimi.server))
    other.get_by_label("API key").wait_for()
    button(window, "Sign out").click()
    page.get_by_label("API key").wait_for()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_key_that_is_revoked_while_the_page_is_open(kimi, on_server, look):
    boss = on_server(kimi.server, kimi.server.operator_key())
    window = look(kimi)
    page = window.open("files")
    keys = boss.http.get("lowtide/keys").json()["data"]
    mine = next(one for one in keys if kimi.key.startswith(one["hint"].rstrip("…")))
    boss.http.delete(f"lowtide/keys/{mine['id']}")
    page.evaluate("location.hash = '#/webhooks'")
    expect(page.get_by_role("alert")).to_contain_text("The server does not know this key")


# ---- every page, as people see it ----


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A server with something on every page. (Api, operator's key, ids of batches by name)"""
    directory = tmp_path_factory.mktemp("console")
    (directory / "lowtide.yaml").write_text(PRICES)
    upstream = Upstream()
    upstream.models = ["m-1"]
    upstream.set_metrics(METRICS)
    receiver = Receiver()
    settings = {
        "webhooks.allow_private": "true",
        "limits.org.files": 40,
        "limits.org.open_batches": 5,
        "execution.concurrency": 48,
    }
    server = Server(
        directory, upstream, settings=settings, args=["--config", str(directory / "lowtide.yaml")]
    )
    server.start()
    api = Api(server, server.new_key("research"))
    try:
        ids = full_fill(api, upstream, receiver)
        yield api, server.operator_key(), ids
    finally:
        api.close()
        server.dispose()
        upstream.close()
        receiver.close()


REVIEWS = [
    "Was ist in dieser Bewertung gut? „Ruhig erzählt, und doch nie langsam.“",
    "Positive or negative? “Two hours that feel like four; the sound alone is worth it.”",
    "这条评论是正面还是负面？“节奏很慢，但结尾值得等待。”",
]
ANSWERS = ["Die ruhige Erzählweise.", "Mixed: negative on pace, positive on sound.", "总体正面。"]


def full_fill(api, upstream, receiver):
    """Batches of several kinds, a webhook with deliveries, files."""
    api.http.post(
        "webhook_endpoints",
        json={
            "name": "Labelling job",
            "url": receiver.url,
            "event_types": ["batch.completed", "batch.failed"],
        },
    )
    ids = {}
    for n, text in enumerate(REVIEWS):
        body = json.dumps({
            "id": "c", "object": "chat.completion", "model": "m-1",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWERS[n]}}],
            "usage": {"prompt_tokens": 31, "completion_tokens": 9, "total_tokens": 40},
        }, ensure_ascii=False).encode()  # fmt: skip
        upstream.on(text, Answer(body=body))
    lines = [line(f"review-{n}", REVIEWS[n % 3], max_tokens=60) for n in range(60)]
    ids["done"] = api.run(lines, metadata={"name": "Film reviews", "team": "blue"})["id"]
    lines = [
        line(f"ticket-{n}", f"ticket-{n}" + (" | status:400" if n % 9 == 0 else ""))
        for n in range(90)
    ]
    ids["errors"] = api.run(lines, metadata={"name": "Support tickets", "team": "red"})["id"]
    bad = api.create(
        [line("a"), b"{oops", line("a"), b'{"custom_id": "c"}'], metadata={"name": "Broken file"}
    )
    ids["failed"] = api.wait(bad, "failed")["id"]
    lines = [line(f"film-{n}", REVIEWS[n % 3], max_tokens=60) for n in range(2000)]
    canary = api.create(lines, metadata={"name": "Film reviews, all"}, lowtide={"canary": 6})
    wait_until(
        lambda: api.get(canary["id"])["lowtide"]["stall_reason"] == "held", "the canary has ended"
    )
    ids["canary"] = canary["id"]
    lines = [line(f"p-{n}", f"p-{n} | slow:{1 + n % 3}") for n in range(20000)]
    ids["running"] = api.create(lines, metadata={"name": "Package descriptions", "team": "blue"})[
        "id"
    ]
    upstream.wait_sent("p-", 300)
    return ids


PAGES = ["overview", "batches", "new", "files", "webhooks", "limits", "nothing-here"]
BATCHES = ["done", "errors", "failed", "canary", "running"]
LOOKS = [(language, theme) for language in ("en", "zh") for theme in ("light", "dark")]


@pytest.mark.parametrize(("language", "theme"), LOOKS)
def test_pages_are_whole_and_axe_finds_nothing(full, look, language, theme):
    api, _, ids = full
    window = look(api, language=language, theme=theme)
    for name in PAGES + [f"batches/{ids[one]}" for one in BATCHES]:
        shown = next((one for one in BATCHES if name.endswith(ids[one])), name)
        page = window.open(name)
        if name == "webhooks":
            button(window, words(language)["webhooks.deliveries"]).click()
            page.locator("table").wait_for()
        window.settled()
        if name == "overview":
            page.locator(".bar").first.wait_for()
            page.locator(".upstream").first.wait_for()
        window.shot(f"{shown}-{language}-{theme}")
        assert window.axe() == [], shown
        assert window.overflow() <= 0, shown
    assert page.evaluate("document.documentElement.lang") == (
        "en" if language == "en" else "zh-Hans"
    )


@pytest.mark.parametrize(("language", "theme"), LOOKS)
def test_pages_of_the_operator_and_the_login(full, look, language, theme):
    api, boss, _ = full
    window = look(api, key=boss, language=language, theme=theme)
    page = window.open("orgs")
    page.get_by_role(
        "button", name=words(language)["orgs.open_what"].replace("{what}", "research")
    ).click()
    page.locator("table").nth(2).wait_for()
    window.settled()
    window.shot(f"orgs-{language}-{theme}")
    assert window.axe() == []
    window.open("overview")
    page.locator(".lane .bar").first.wait_for()
    window.settled()
    window.shot(f"overview-operator-{language}-{theme}")
    assert window.axe() == [] and window.overflow() <= 0
    out = look(api, key="", language=language, theme=theme)
    out.open()
    out.shot(f"login-{language}-{theme}")
    assert out.axe() == []


@pytest.mark.parametrize("width", [360, 768, 2560])
def test_pages_fit_narrow_and_wide_windows(full, look, width):
    api, boss, ids = full
    for key, names in (
        (None, [*PAGES, *(f"batches/{ids[one]}" for one in BATCHES)]),
        (boss, ["overview", "orgs", "batches"]),
    ):
        for language in ("en", "zh"):
            window = look(api, key=key, language=language, size=(width, 900))
            for name in names:
                window.open(name)
                window.settled()
                shown = next((one for one in BATCHES if name.endswith(ids[one])), name)
                if language == "en" or width == 360:
                    window.shot(f"{'operator-' if key else ''}{shown}-{width}-{language}")
                assert window.overflow() <= 0, (name, language)


def test_language_and_theme_are_chosen_and_kept(kimi, look):
    window = look(kimi)
    page = window.open()
    page.get_by_label("Language").select_option("zh")
    page.get_by_role("heading", level=1, name="总览").wait_for()
    dark = "getComputedStyle(document.body).backgroundColor"
    light_is = page.evaluate(dark)
    page.get_by_label("配色").select_option("dark")
    assert page.evaluate(dark) != light_is
    page.reload()
    page.get_by_role("heading", level=1, name="总览").wait_for()
    assert page.evaluate(dark) != light_is


def test_the_keyboard_reaches_everything(full, look):
    api, _, ids = full
    window = look(api)
    page = window.open("batches")
    window.settled()
    page.locator("body").press("Tab")
    page.get_by_role("link", name="Skip to the page").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.tagName") == "H1"
    page.get_by_role("link", name="Package descriptions").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Package descriptions").wait_for()
    assert page.evaluate("document.activeElement.tagName") == "H1"
    button(window, "Cancel batch").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert api.get(ids["running"])["status"] == "in_progress"


# ---- overview ----


def test_the_overview_follows_what_happens_without_asking_again(serve, own_upstream, look):
    api = serve()
    window = look(api)
    page = window.open()
    expect(page.get_by_text("Nothing runs")).to_be_visible()
    mark = fresh()
    batch = api.create(numbered(mark, 20, f"hold:{mark}"), metadata={"name": "Tonight"})
    row = page.get_by_role("row", name=re.compile("Tonight"))
    expect(row).to_contain_text("in progress")
    expect(row).to_contain_text("0 / 20")
    asked = [one for one in window.asked if "/v1/batches" in one]
    own_upstream.release(mark)
    expect(row).to_have_count(0)
    assert api.get(batch["id"])["status"] in ("finalizing", "completed")
    assert [one for one in window.asked if "/v1/batches" in one] == asked
    assert len([one for one in window.asked if "lowtide/events" in one]) == 1


def test_the_overview_says_what_needs_a_person(serve, own_upstream, look):
    api = serve()
    window = look(api)
    page = window.open()
    expect(page.get_by_text("Nothing needs you.")).to_be_visible()
    own_upstream.everything = Answer(
        status=401, body=b'{"error":{"message":"this key was revoked"}}'
    )
    api.create(numbered(fresh(), 4), metadata={"name": "Refused one"})
    needs = page.locator(".panel.needs")
    expect(needs).to_contain_text("Refused one")
    expect(needs).to_contain_text("The upstream refuses")
    expect(needs).to_contain_text("this key was revoked")


def test_plots_of_the_last_hour_and_day(full, look):
    api, _, _ = full
    window = look(api)
    page = window.open()
    expect(page.locator("figure.plot")).to_have_count(3)
    button(window, "Day").click()
    page.wait_for_function(
        "() => performance.getEntriesByType('resource').some((one) => one.name.includes('span=day'))"
    )
    expect(page.locator("figure.plot")).to_have_count(3)


# The blue of the line, which grid and axes do not have; what is hardly there is no colour.
DRAWN = """() => {
    const canvas = document.querySelector("figure.plot canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4)
        if (data[at + 3] > 200 && data[at + 2] - data[at] > 60) return true;
    return false;
}"""


def test_one_reading_alone_is_drawn(kimi, look):
    """As in the first minute after a start: a line has two ends."""
    values = [None] * 60 + [20] + [None] * 60
    answer = {"from": 1780000000, "step_s": 30, "series": [{"name": "lines_per_s", "values": values}]}
    window = look(kimi)
    window.page.route("**/v1/lowtide/history*", lambda route: route.fulfill(json=answer))
    page = window.open()
    page.locator("figure.plot canvas").wait_for()
    page.wait_for_function(DRAWN)


def test_nodes_are_shown_where_there_are_several(kimi, look):
    one = {"address": "lt-1:8000", "version": "1.0", "role": "driver", "is_self": True, "is_leader": True,
           "lease_left_s": 12.3, "draining": False, "upstreams": ["gpu-a", "gpu-b"],
           "version_differs": False, "config_differs": False, "id": "01"}  # fmt: skip
    odd = {**one, "id": "02", "address": "lt-2:8000", "is_self": False, "is_leader": False, "draining": True,
           "upstreams": [], "version_differs": True, "config_differs": True}  # fmt: skip
    over = {**odd, "id": "03", "address": "lt-3:8000", "lease_left_s": 0, "role": "api", "draining": False}
    answer = {"object": "list", "clustered": True, "fault": None, "data": [one, odd, over]}
    window = look(kimi, key=kimi.server.operator_key())
    window.page.route("**/v1/lowtide/nodes", lambda route: route.fulfill(json=answer))
    page = window.open()
    first, second, third = (page.get_by_role("row", name=re.compile(f"^lt-{n}:")) for n in (1, 2, 3))
    expect(first).to_contain_text("leads")
    expect(first).to_contain_text("gpu-a, gpu-b")
    expect(first).not_to_contain_text("differs")
    for words_of in ("draining", "version differs", "configuration differs"):
        expect(second.locator(".badge.warn", has_text=words_of)).to_be_visible()
    expect(third.locator(".badge.bad")).to_have_text("lease over")
    assert not window.axe() and window.overflow() <= 0
    answer.update(fault="This node has no lease yet.", data=[{**row, "lease_left_s": None} for row in (one, odd)])
    page.reload()
    expect(page.get_by_text("This node has no lease yet.")).to_be_visible()
    expect(page.locator(".badge.bad")).to_have_count(0)
    answer.update(clustered=False, fault=None, data=[])
    page.reload()
    page.get_by_role("heading", name="Upstreams").wait_for()
    expect(page.get_by_role("heading", name="Nodes")).to_have_count(0)


# ---- batches ----


def test_batches_are_filtered_and_paged_by_the_server(kimi, look):
    file_id = kimi.upload([line("a", fresh())])
    made = [
        kimi.created(
            kimi.create_raw(file_id, metadata={"number": str(n), "odd": str(n % 2)}).json()
        )
        for n in range(55)
    ]
    window = look(kimi)
    page = window.open("batches")
    expect(page.locator("tbody tr")).to_have_count(50)
    button(window, "Next").click()
    expect(page.locator("tbody tr")).to_have_count(5)
    button(window, "Back").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_label("Metadata").fill("odd=1")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(27)
    page.get_by_label("Status").select_option("failed")
    expect(page.get_by_text("No batch is like that")).to_be_visible()
    button(window, "Clear filters").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_label("Created before").fill("2020-01-01T00:00")
    expect(page.get_by_text("No batch is like that")).to_be_visible()
    page.get_by_label("Batch id").fill(made[3]["id"])
    page.keyboard.press("Enter")
    expect(page.locator(".pairs")).to_contain_text(made[3]["id"])
    lists = [one for one in window.asked if "/v1/batches?" in one]
    assert lists and all("limit=50" in one for one in lists)


@pytest.mark.meta_db
def test_an_old_batch_is_found_among_100_000(serve, look, many=100_000):
    """Page after page, as long as somebody likes; by a pair of metadata, and by its id. A page is one call."""
    api = serve()
    api.server.stop()
    many_batches(api.server.data, many)
    api.server.start()
    window = look(api)
    page = window.open("batches")
    rows = page.locator("tbody tr")

    def expect_page(number):
        newest = many - 50 * (number - 1)
        expect(rows).to_have_count(50)
        for row, batch in (rows.first, newest), (rows.last, newest - 49):
            expect(row.get_by_role("link")).to_have_attribute("href", f"#/batches/{id_of(batch)}")

    def id_of(batch):
        return f"batch_{batch:032x}"

    expect_page(1)
    for number in range(2, 11):
        button(window, "Next").click()
        expect_page(number)
    button(window, "Back").click()
    expect_page(9)
    page.reload()
    expect_page(9)
    button(window, "First").click()
    expect_page(1)
    page.get_by_label("Metadata").fill("one=77")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    rows.get_by_role("link").click()
    expect(page.locator(".pairs")).to_contain_text(id_of(77))
    page.go_back()
    expect(rows).to_have_count(1)
    page.get_by_label("Batch id").fill(id_of(5))
    page.keyboard.press("Enter")
    expect(page.locator(".pairs")).to_contain_text(id_of(5))
    lists = [one for one in window.asked if "/v1/batches?" in one]
    assert len(lists) == 15 and all("limit=50" in one for one in lists)


def test_a_batch_is_held_resumed_and_cancelled(serve, own_upstream, look):
    api = serve()
    mark = fresh()
    batch = api.create(numbered(mark, 30, f"hold:{mark}"))
    own_upstream.wait_sent(mark, 1)
    window = look(api)
    page = window.open(f"batches/{batch['id']}")
    button(window, "Hold").click()
    says(window, "Held")
    expect(page.locator(".notice")).to_contain_text("Held")
    button(window, "Resume").click()
    says(window, "It goes on.")
    button(window, "Cancel batch").click()
    button(window, "Keep it").click()
    assert api.get(batch["id"])["status"] == "in_progress"
    button(window, "Cancel batch").click()
    button(window, "Cancel batch", page.get_by_role("dialog")).click()
    expect(page.locator(".page-aside .badge")).to_have_text("cancelled")
    expect(page.locator(".steps")).to_contain_text("Cancelled")
    button(window, "Retry what is left").click()
    button(window, "Retry what is left", page.get_by_role("dialog")).click()
    own_upstream.release(mark)
    expect(page.locator(".pairs")).to_contain_text(batch["id"])
    expect(page.locator(".page-aside .badge")).to_have_text("completed")


def test_answers_come_with_their_questions_and_results_are_downloaded(serve, own_upstream, look):
    api = serve()
    mark = fresh()
    lines = [
        *numbered(mark, 25),
        line("last", f"{mark}-last | hold:{mark}"),
        line("bad", f"{mark}-bad | status:400"),
    ]
    batch = api.create(lines)
    window = look(api)
    page = window.open(f"batches/{batch['id']}")
    answers = page.locator(".answer")
    expect(answers).to_have_count(20)
    expect(page.locator(".answers")).to_contain_text(f"echo {mark}-")
    own_upstream.release(mark)
    expect(page.locator(".page-aside .badge")).to_have_text("completed")
    newest = answers.first
    expect(newest).to_contain_text("last")
    expect(newest).to_contain_text(f"{mark}-last | hold:{mark}")
    error = page.get_by_role("row", name=re.compile("^400"))
    expect(error).to_contain_text("bad")
    expect(error).to_contain_text("scripted 400")
    button(window, "First").click()
    expect(page.get_by_text("1–20 of 27")).to_be_visible()
    done = api.get(batch["id"])
    for name, id_of in (
        ("Answers", "output_file_id"),
        ("Errors", "error_file_id"),
        ("Input", "input_file_id"),
    ):
        row = page.locator(".file-lines li").filter(has_text=name)
        with page.expect_download() as got:
            row.get_by_role("button").click()
        assert got.value.path().read_bytes() == api.content(done[id_of])


def test_the_rate_of_a_batch_was_drawn_before_its_page_was_opened(kimi, look):
    mark = fresh()
    batch = kimi.create([*numbered(mark, 30), line("last", f"{mark}-last | hold:{mark}")])
    kimi.wait(batch, lambda seen: seen["request_counts"]["completed"] == 30)

    def values():
        page = kimi.http.get("lowtide/history", params={"batch": batch["id"]}).json()
        return page["series"][0]["values"]

    wait_until(lambda: sum(values()) == 30, "the second in which its lines ended to be over")
    window = look(kimi)
    page = window.open(f"batches/{batch['id']}")
    most = rf"\b{max(values()):g} at most"
    expect(page.get_by_role("img", name=re.compile(most))).to_be_visible()
    assert [one for one in window.asked if f"history?batch={batch['id']}" in one]
    kimi.cancel(batch)


def test_questions_show_where_they_part(kimi, look):
    """Of a prompt with which all begin only the end is shown, from a word on; all of it when asked for."""
    prompt = f"{fresh()} " + "Say which of these it is, and why. " * 20
    ends = ["Item one-a of the list", "Item one-b of the list", "Item two-c of the list " + "x" * 700]
    batch = kimi.run([line(f"l-{n}", prompt + end) for n, end in enumerate(ends)])
    window = look(kimi)
    window.open(f"batches/{batch['id']}")
    answers = window.page.locator(".answer")
    expect(answers).to_have_count(3)
    for n, end in enumerate(ends):
        question = answers.filter(has_text=f"l-{n}").locator(".pair > div").first
        text = question.locator(".text")
        shown = end.removeprefix("Item ")
        expect(text).to_have_text(f"… {shown if n < 2 else shown[:600] + '…'}")
        button(window, "Show all", question).click()
        expect(text).to_have_text(prompt + end)
        button(window, "Show less", question).click()
    one = kimi.run([line("only", prompt + ends[0])])
    window.open(f"batches/{one['id']}")
    expect(answers).to_have_count(1)
    expect(answers.locator(".text").first).to_contain_text(prompt[:600].rstrip())


def test_a_large_batch_asks_no_more_than_a_small_one(kimi, look):
    """What a page asks for does not grow with the lines."""
    asked = []
    for count in (3, 3000):
        batch = kimi.run(numbered(fresh(), count))
        window = look(kimi)
        window.open(f"batches/{batch['id']}")
        window.page.locator(".answer").first.wait_for()
        window.settled()
        calls = [one for one in window.asked if "/v1/" in one]
        asked.append(sorted(re.sub(r"(batch_|file-)\w+|=[^&]*", "", one) for one in calls))
    assert asked[0] == asked[1]


# ---- new batch ----


def write(tmp_path, lines, name="in.jsonl"):
    path = tmp_path / name
    path.write_bytes(jsonl(lines))
    return path


def test_a_file_is_checked_estimated_and_started(serve, own_upstream, tmp_path, look):
    (tmp_path / "lowtide.yaml").write_text(PRICES)
    api = serve(args=["--config", str(tmp_path / "lowtide.yaml")])
    mark = fresh()
    window = look(api)
    page = window.open("new")
    page.locator("input[type=file]").set_input_files(
        write(tmp_path, numbered(mark, 40, max_tokens=10))
    )
    figures = page.locator(".figures")
    expect(figures).to_contain_text("40")
    expect(figures).to_contain_text("€")
    page.get_by_label("Name", exact=True).fill("By hand")
    page.get_by_label("Completion window").fill("1x")
    expect(page.get_by_role("alert")).to_contain_text("from 12h to 7d")
    expect(button(window, "Start")).to_be_disabled()
    page.get_by_label("Completion window").fill("12h")
    button(window, "Start").click()
    page.get_by_role("heading", level=1, name="By hand").wait_for()
    expect(page.locator(".page-aside .badge")).to_have_text("completed")
    made = api.http.get("batches").json()["data"]
    assert [(one["metadata"], one["completion_window"]) for one in made] == [
        ({"name": "By hand"}, "12h")
    ]


def test_an_estimate_says_why_it_has_no_end(serve, tmp_path, look):
    api = serve()
    mark = fresh()
    window = look(api)
    page = window.open("new")
    page.locator("input[type=file]").set_input_files(write(tmp_path, numbered(mark, 60)))
    figures = page.locator(".figures")
    expect(figures).to_contain_text("not known until lines of the model have run")
    api.create(numbered(fresh(), 3000, "slow:0.2"))
    asked = {"input_file_id": api.upload(numbered(fresh(), 60)), "endpoint": "/v1/chat/completions",
             "completion_window": "24h"}  # fmt: skip
    wait_until(lambda: api.http.post("batches/estimate", json=asked).json()["eta_at"], "the forecast")
    page.get_by_label("Completion window").fill("25h")
    expect(figures).not_to_contain_text("not known")
    expect(figures).not_to_contain_text("canary")
    page.get_by_label("Canary").fill("5")
    expect(figures).to_contain_text("after its canary it waits for you")


def test_findings_are_shown_by_line_and_may_be_left_out(serve, tmp_path, look):
    api = serve()
    window = look(api)
    page = window.open("new")
    page.locator("input[type=file]").set_input_files(
        {"name": "data.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"}
    )
    expect(page.get_by_text("data.csv is not a .jsonl file")).to_be_visible()
    lines = [line("a", fresh()), b"{oops", line("a"), line("c", fresh())]
    page.locator("input[type=file]").set_input_files(write(tmp_path, lines))
    rows = page.locator(".panel.needs tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("2")
    expect(rows.nth(0)).to_contain_text("not parseable")
    expect(rows.nth(1)).to_contain_text("The custom_id was used before")
    expect(button(window, "Start")).to_be_disabled()
    page.get_by_label("Leave bad lines out").check()
    button(window, "Start").click()
    expect(page.locator(".page-aside .badge")).to_have_text("completed")
    made = api.http.get("batches").json()["data"][0]
    assert made["request_counts"] == {"total": 4, "completed": 2, "failed": 2}


def test_a_file_is_dropped(serve, look):
    api = serve()
    window = look(api)
    page = window.open("new")
    page.locator(".drop").wait_for()
    page.evaluate(
        """(text) => {
            const data = new DataTransfer();
            data.items.add(new File([text], "dropped.jsonl"));
            const event = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
            document.querySelector(".drop").dispatchEvent(event);
        }""",
        jsonl(numbered(fresh(), 7)).decode(),
    )
    expect(page.locator(".chosen")).to_contain_text("dropped.jsonl")
    expect(page.locator(".figures")).to_contain_text("7")


@pytest.mark.parametrize("end", ["Go on", "Cancel batch"])
def test_a_canary_is_looked_at_and_goes_on_or_is_cancelled(serve, tmp_path, look, end):
    api = serve()
    mark = fresh()
    window = look(api)
    page = window.open("new")
    page.locator("input[type=file]").set_input_files(write(tmp_path, numbered(mark, 50)))
    page.get_by_label("Canary").fill("5")
    button(window, "Start with 5 lines").click()
    notice = page.locator(".panel .notice")
    expect(notice).to_contain_text("Canary: 5 lines have ended")
    expect(page.locator(".answer")).to_have_count(5)
    pair = page.locator(".answer").first.locator(".pair > div")
    expect(pair.nth(0)).to_contain_text(f"{mark}-")
    expect(pair.nth(1)).to_contain_text(f"echo {mark}-")
    button(window, end, notice).click()
    if end == "Cancel batch":
        button(window, end, page.get_by_role("dialog")).click()
    expect(page.locator(".page-aside .badge")).to_have_text(
        "completed" if end == "Go on" else "cancelled"
    )


def test_a_large_file_goes_up_in_parts_and_goes_on_when_a_part_breaks(serve, tmp_path, look):
    api = serve()
    path = tmp_path / "large.jsonl"
    text = "x" * 65536
    with open(path, "wb") as file:
        for n in range(1100):
            file.write(line(f"l-{n}", text) + b"\n")
    assert path.stat().st_size > 64 << 20
    window = look(api)
    page = window.open("new")
    broken = []

    def once(route):
        if broken:
            route.continue_()
        else:
            broken.append(route.request.url)
            route.abort("connectionreset")

    page.route("**/parts", once)
    page.locator("input[type=file]").set_input_files(path)
    expect(page.locator(".figures")).to_contain_text("1,100", timeout=120_000)
    parts = [one for one in window.asked if one.endswith("/parts")]
    assert broken and len(parts) == 3
    made = api.http.get("files").json()["data"]
    assert [one["bytes"] for one in made] == [path.stat().st_size]


# ---- files, webhooks, limits ----


def test_files_are_downloaded_used_and_deleted(serve, look):
    api = serve()
    data = jsonl(numbered(fresh(), 3))
    api.upload_raw(data, filename="one.jsonl")
    window = look(api)
    page = window.open("files")
    with page.expect_download() as got:
        button(window, "Download one.jsonl").click()
    assert got.value.path().read_bytes() == data and got.value.suggested_filename == "one.jsonl"
    page.get_by_role("link", name="New batch with one.jsonl").click()
    expect(page.locator(".chosen")).to_contain_text("one.jsonl")
    window.open("files")
    button(window, "Delete one.jsonl").click()
    button(window, "Cancel", page.get_by_role("dialog")).click()
    assert len(api.http.get("files").json()["data"]) == 1
    button(window, "Delete one.jsonl").click()
    button(window, "Delete", page.get_by_role("dialog")).click()
    expect(page.get_by_text("No file yet")).to_be_visible()
    assert api.http.get("files").json()["data"] == []


def test_webhooks_are_made_tested_rotated_replayed_and_deleted(serve, look):
    api = serve(settings={"webhooks.allow_private": "true"})
    receiver = Receiver()
    window = look(api)
    page = window.open("webhooks")
    expect(page.get_by_text("No endpoint yet")).to_be_visible()
    button(window, "New endpoint").click()
    page.get_by_label("Name", exact=True).fill("Ours")
    page.get_by_label("URL").fill(receiver.url)
    page.get_by_label("batch cancelled").uncheck()
    button(window, "Add").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("whsec_")
    first = dialog.locator("code").inner_text()
    button(window, "Done", dialog).click()
    button(window, "Test").click()
    says(window, "The receiver answered 200.")
    receiver.wait(1)
    api.run([line("a", fresh())])
    receiver.wait(2)
    button(window, "Deliveries").click()
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("batch completed")
    expect(row.locator(".badge")).to_have_text("200", timeout=60_000)
    row.get_by_role("button").click()
    says(window, "It is sent again.")
    receiver.wait(3)
    button(window, "New secret").click()
    button(window, "New secret", dialog).click()
    expect(dialog.locator("code")).to_contain_text("whsec_")
    assert dialog.locator("code").inner_text() != first
    button(window, "Done", dialog).click()
    button(window, "Edit").click()
    page.get_by_label("Name", exact=True).fill("Theirs")
    button(window, "Save").click()
    page.get_by_role("heading", name="Theirs").wait_for()
    receiver.decide = lambda one: 500
    button(window, "Test").click()
    says(window, "The receiver answered 500.")
    button(window, "Delete Theirs").click()
    button(window, "Delete", dialog).click()
    expect(page.get_by_text("No endpoint yet")).to_be_visible()
    assert api.http.get("webhook_endpoints").json()["data"] == []
    receiver.close()


def test_a_target_that_is_not_allowed_is_refused_in_words(kimi, look):
    window = look(kimi)
    page = window.open("webhooks")
    button(window, "New endpoint").click()
    page.get_by_label("Name", exact=True).fill("Inside")
    page.get_by_label("URL").fill("http://127.0.0.1:9/")
    button(window, "Add").click()
    says(window, "The server did not take that.")


def test_limits_show_what_is_used(serve, look):
    api = serve(settings={"limits.org.files": 4})
    for _ in range(3):
        api.upload([line("a", fresh())])
    window = look(api)
    page = window.open("limits")
    row = page.get_by_role("row", name=re.compile("^Files"))
    expect(row).to_contain_text("3")
    expect(row.get_by_role("img", name="75 % used")).to_be_visible()


# ---- the operator ----


def test_the_operator_looks_after_organizations_and_keys(serve, own_upstream, look):
    api = serve()
    mine = Api(api.server, api.server.new_key("research"))
    mark = fresh()
    batch = mine.create(numbered(mark, 10, f"hold:{mark}"), metadata={"name": "Of research"})
    window = look(api, key=api.server.operator_key())
    page = window.open("orgs")
    assert page.get_by_role("link", name="Files").count() == 0
    button(window, "Details of research").click()
    button(window, "Weight and limits").click()
    page.get_by_label("Weight").fill("3")
    page.get_by_label("Open batches").fill("7")
    button(window, "Save").click()
    says(window, "Saved.")
    expect(page.get_by_text("Weight 3")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^Open batches"))).to_contain_text("7")
    button(window, "Suspend").click()
    button(window, "Suspend", page.get_by_role("dialog")).click()
    expect(page.get_by_role("row", name=re.compile("^research"))).to_contain_text("suspended")
    assert mine.http.get("batches").status_code == 403
    button(window, "Lift suspension").click()
    expect(page.get_by_role("row", name=re.compile("^research"))).to_contain_text("active")
    page.get_by_label("Organization", exact=True).nth(1).fill("newcomers")
    button(window, "Make a key").last.click()
    key = page.get_by_role("dialog").locator("code").inner_text()
    button(window, "Done", page.get_by_role("dialog")).click()
    newcomer = Api(api.server, key)
    assert newcomer.http.get("batches").status_code == 200
    button(window, "Details of newcomers").click()
    page.get_by_role("button", name="Revoke sk-").click()
    button(window, "Revoke", page.get_by_role("dialog")).click()
    says(window, "The key is revoked.")
    assert newcomer.http.get("batches").status_code == 401
    page.locator("#org").select_option("research")
    page.get_by_role("link", name="Batches", exact=True).click()
    page.get_by_role("link", name="Of research").click()
    button(window, "Cancel batch").click()
    button(window, "Cancel batch", page.get_by_role("dialog")).click()
    expect(page.locator(".page-aside .badge")).to_have_text("cancelled")
    assert mine.get(batch["id"])["status"] == "cancelled"
    for one in (mine, newcomer):
        one.close()


# ---- what goes wrong ----


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_connection_that_breaks_is_said_and_goes_on(serve, own_upstream, look):
    """The server is killed; what happened meanwhile is there when it is back."""
    api = serve(args=["--listen", f"127.0.0.1:{free_port()}"])
    mark = fresh()
    batch = api.create(numbered(mark, 6, f"hold:{mark}"), metadata={"name": "Through it"})
    own_upstream.wait_sent(mark, 1)
    window = look(api)
    page = window.open()
    expect(page.locator(".stream")).to_have_text("Live")
    expect(page.get_by_role("row", name=re.compile("Through it"))).to_be_visible()
    api.server.kill()
    expect(page.locator(".stream")).to_have_text("Not connected")
    expect(page.locator(".notice.broken")).to_contain_text("cannot be reached")
    page.get_by_role("link", name="Files").click()
    expect(page.get_by_role("alert").first).to_contain_text("cannot be reached")
    assert window.axe() == []
    window.shot("broken-en-light")
    api.server.start()
    own_upstream.release(mark)
    api.wait(batch, "completed")
    expect(page.locator(".stream")).to_have_text("Live", timeout=60_000)
    button(window, "Try again").click()
    expect(page.locator("table")).to_be_visible()
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_text("Nothing runs")).to_be_visible()


def test_what_is_not_there_is_said(kimi, look):
    window = look(kimi)
    page = window.open("nowhere", title="There is no such page")
    page.get_by_role("link", name="To the overview").click()
    page.get_by_role("heading", level=1, name="Overview").wait_for()
    window.open("batches/batch_of_nobody", title="No such batch")
    window.open("orgs", title="There is no such page")
    assert page.request.get(browsers.address(kimi.server) + "no-such-file.js").status == 404


def hide(page):
    page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )


def show(page):
    page.evaluate(
        "() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }"
    )


def test_answers_that_nobody_sees_are_not_asked_for(kimi, upstream, look):
    """Also in the seconds in which the stream of events still says that lines have ended."""
    mark = fresh()
    batch = kimi.create([*numbered(mark, 2), line("last", f"{mark}-last | hold:{mark}")])
    window = look(kimi)
    page = window.page
    page.clock.install()
    window.open(f"batches/{batch['id']}")
    expect(page.locator(".answer")).to_have_count(2)
    hide(page)
    asked = len(window.asked)
    upstream.release(mark)
    expect(page.locator(".page-aside .badge")).to_have_text("completed")
    page.clock.run_for(4000)
    assert [one for one in window.asked[asked:] if "/lines?" in one] == []
    show(page)
    expect(page.locator(".answer")).to_have_count(3)
    assert [re.search("after=.*", one)[0] for one in window.asked[asked:] if "/lines?" in one] == ["after=2&limit=18"]


def test_a_page_that_nobody_sees_asks_nothing(kimi, look):
    window = look(kimi)
    page = window.page
    page.clock.install()
    window.open()
    expect(page.locator(".stream")).to_have_text("Live")
    hide(page)
    page.clock.run_for(11_000)
    expect(page.locator(".stream")).to_have_text("Paused")
    asked = len(window.asked)
    page.clock.run_for(120_000)
    assert window.asked[asked:] == []
    show(page)
    expect(page.locator(".stream")).to_have_text("Live")


def test_nothing_is_loaded_from_elsewhere_and_no_style_is_inline(full, look):
    api, _, ids = full
    window = look(api)
    for name in ("overview", f"batches/{ids['running']}", "new"):
        window.open(name)
        window.settled()
    assert all(one.split()[1].startswith(("/console/", "/v1/", "blob:")) for one in window.asked), (
        window.asked
    )
    policy = window.page.request.get(browsers.address(api.server)).headers[
        "content-security-policy"
    ]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy

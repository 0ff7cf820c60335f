"""The console of a server in a clean Debian, clicked from outside: console_room.py ROOT UPSTREAM

ROOT is the Debian; ROOT/work has the package, docs.csv and prompt.txt. See console-room.sh.
"""

import contextlib
import pathlib
import re
import shlex
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "demo")]

import demo  # noqa: E402
from support.console import Console, chromium, expect  # noqa: E402

ROOT, UPSTREAM = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
WORK = ROOT / "work"  # /work inside
LOGS = ROOT.parent
CANARY = 5
MINUTES_MS, HOUR_MS = 120_000, 3600_000

INSTALL = (
    "(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq"
    " --no-install-recommends ./lowtide_*.deb) >/root/apt.log 2>&1 || { tail -20 /root/apt.log; exit 1; }"
)
PARAMS = "--param max_tokens=4 --param temperature=0 --param 'stop=[\"\\n\"]'"


# ---- the Debian ----


def inside(command):
    """The words that run `command` in the Debian's /work."""
    words = "unshare --mount --pid --fork --kill-child=TERM chroot".split()
    words += [str(ROOT), *"env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8".split()]
    return [*words, "bash", "-c", f"mount -t proc proc /proc && cd /work && {command}"]


def show(command, seen=None):
    print(f"\n$ {seen or command}", flush=True)
    ran = subprocess.run(inside(command), text=True, stdout=-1, stderr=subprocess.STDOUT)
    print(ran.stdout, end="", flush=True)
    if ran.returncode != 0:
        sys.exit(f"[exit code {ran.returncode}]")


# ---- the browser ----


def step(text):
    print(f"\n[browser] {text}", flush=True)


def said(*places):
    """What a person reads there, a line each."""
    for place in places:
        for line in place.inner_text().splitlines():
            if line.strip():
                print("  |", re.sub(r"\s*\t\s*", "   ", line.strip()), flush=True)


def figures(place, name):
    """What stands in its figures, in one line."""
    found = [" ".join(one.inner_text().split()) for one in place.locator(".figure").all()]
    print(f"  | {name}:", " · ".join(found), flush=True)


def drop(page, name, data):
    """A file is dropped on a fresh page for a new batch."""
    page.goto(re.sub("#.*", "#/overview", page.url))
    page.get_by_role("link", name="New batch").first.click()
    page.locator(".drop").wait_for()
    page.evaluate(
        """([name, text]) => {
            const data = new DataTransfer();
            data.items.add(new File([text], name));
            const event = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
            document.querySelector(".drop").dispatchEvent(event);
        }""",
        [name, data],
    )


def sign_in(page, key):
    page.locator("input[type=password]").fill(key)
    page.keyboard.press("Enter")


def button(place, name):
    return place.get_by_role("button", name=name, exact=True)


def estimated(page):
    expect(page.locator(".figures")).to_be_visible()
    expect(page.locator(".panel-aside [role=status]")).to_have_count(0)
    return page.locator(".panel").filter(has_text="Estimate")


def mistakes(page, lines):
    step("2. the CSV itself is dropped")
    drop(page, "docs.csv", (WORK / "docs.csv").read_text())
    said(page.locator(".notice.bad"))

    step("3. a line twice, and one that was cut off")
    drop(page, "twice.jsonl", "".join([*lines[:3], lines[0], lines[3][:90] + "\n"]))
    page.locator(".panel.needs tbody tr").first.wait_for()
    said(page.locator(".panel.needs"), page.locator(".start"))
    expect(button(page, "Start")).to_be_disabled()

    step("4. a window of an hour")
    drop(page, "three.jsonl", "".join(lines[:3]))
    estimated(page)
    page.get_by_label("Completion window").fill("1h")
    said(page.get_by_role("alert"))
    expect(button(page, "Start")).to_be_disabled()

    step("5. two models in one file")
    drop(page, "models.jsonl", lines[0] + lines[1].replace(demo.MODEL, "gpt-9"))
    page.locator(".panel.needs tbody tr").first.wait_for()
    said(page.locator(".panel.needs"))
    expect(button(page, "Start")).to_be_disabled()


def pair(answer):
    """A question, without what all have in common, and its answer."""
    question, answered = answer.locator(".pair > div").all()
    asked = [one for one in question.inner_text().splitlines() if one.strip()]
    name = " ".join(answer.locator(".answer-head").inner_text().split())
    print(f"  | {name}:", " / ".join(asked[1:-1]), "->", *answered.inner_text().split()[1:], flush=True)


def label(page, window, text):
    """The whole file: dropped, estimated, its canary looked at, gone on, downloaded."""
    step("in.jsonl is dropped")
    drop(page, "in.jsonl", text)
    said(page.locator(".chosen"))
    figures(estimated(page), "Estimate")
    page.get_by_label("Name", exact=True).fill("Debian's sections")
    page.get_by_label("Canary").fill(str(CANARY))
    step(f'"Start with {CANARY} lines"')
    button(page, f"Start with {CANARY} lines").click()
    notice = page.locator(".panel .notice")
    expect(notice).to_contain_text(f"Canary: {CANARY} lines have ended", timeout=HOUR_MS)
    said(notice)
    for answer in page.locator(".answer").all():
        pair(answer)
    window.shot("room-canary")

    step('"Go on"')
    button(notice, "Go on").click()
    began = time.monotonic()
    expect(notice).to_have_count(0)
    badge, numbers = page.locator(".page-aside .badge"), page.locator(".figures").first
    while badge.inner_text() != "completed":
        figures(numbers, f"after {time.monotonic() - began:.0f} s")
        said(*page.locator(".notice").all())
        with contextlib.suppress(AssertionError):
            expect(badge).to_have_text("completed", timeout=MINUTES_MS)
    figures(numbers, f"after {time.monotonic() - began:.0f} s")
    window.shot("room-done")

    step("its answers, the newest")
    for answer in page.locator(".answer").all()[:5]:
        pair(answer)

    step('"Download" beside "Answers"')
    row = page.locator(".file-lines li").filter(has_text="Answers")
    with page.expect_download() as got:
        row.get_by_role("button").first.click()
    got.value.save_as(WORK / "out.jsonl")
    print("  |", got.value.suggested_filename, flush=True)


# ---- the whole ----


def main():
    demo.HERE = LOGS
    port = demo.free_port()
    subprocess.run(inside(INSTALL), check=True)
    show('. /etc/os-release; echo "$PRETTY_NAME"; lowtide --version; ls')
    show("head -4 docs.csv; wc -l docs.csv; tail -4 prompt.txt")
    show(f"lowtide prepare docs.csv --prompt @prompt.txt --model {demo.MODEL} {PARAMS} -o in.jsonl")
    serve = f"lowtide serve --listen 127.0.0.1:{port} --data data --upstream {UPSTREAM}"
    url = f"http://127.0.0.1:{port}"
    print(f"\n$ {serve} &", flush=True)
    with demo.running("room-lowtide", inside("exec " + serve), f"{url}/readyz"), chromium() as browser:
        click(browser, url)
    show("lowtide join out.jsonl docs.csv -o labelled.csv && head -8 labelled.csv && wc -l labelled.csv")


class Server:
    def __init__(self, url):
        self.url = url


def click(browser, url):
    key = re.search(r"sk-[A-Za-z0-9]{20,}", (LOGS / "room-lowtide.log").read_text()).group()
    text = (WORK / "in.jsonl").read_text()
    lines = text.splitlines(True)
    window = Console(browser, Server(url))
    step(f"{url}/")
    page = window.open("overview")
    step("1. a key that is wrong")
    sign_in(page, "sk-wrong")
    said(page.get_by_role("alert"))
    step("the key that the server printed when it first started")
    sign_in(page, key)
    page.get_by_role("heading", level=1, name="Overview").wait_for()
    mistakes(page, lines)
    label(page, window, text)
    window.done()
    print("  | faults of the page, or what its policy refused: none", flush=True)


if __name__ == "__main__":
    main()

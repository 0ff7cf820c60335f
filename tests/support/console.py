"""The console in a real browser: Debian's Chromium, driven by Playwright.

console = Console(browser, server, key=api.key)
console.open("batches")
console.page.get_by_role("button", name="Cancel batch").click()
console.done()                # no fault in the page, and nothing that its policy refused
"""

import contextlib
import os
import pathlib
import re
import shutil

from playwright.sync_api import expect, sync_playwright

from .server import ROOT

SHOTS = ROOT / "build" / "console-shots"
AXE = ROOT / "tests" / "node" / "node_modules" / "axe-core" / "axe.min.js"
CONSOLE = ROOT / "console"
SECONDS = 30  # that something takes at most to show, on a busy machine under ASan
LOCALES = {"en": "en-GB", "zh": "zh-CN"}


def address(server):
    return f"{server.url}/console/"


@contextlib.contextmanager
def chromium():
    program = shutil.which("chromium")
    assert program, "chromium is missing: scripts/bootstrap.sh e2e installs it"
    expect.set_options(timeout=SECONDS * 1000)
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=args)
        yield browser
        browser.close()


class Console:
    """A window of its own: nothing of another's storage is in it."""

    def __init__(self, browser, server, key=None, language="en", theme="light", size=(1280, 800)):
        self.server = server
        self.context = browser.new_context(
            locale=LOCALES[language],
            color_scheme=theme,
            viewport={"width": size[0], "height": size[1]},
            timezone_id="UTC",
            reduced_motion="reduce",
            accept_downloads=True,
        )
        if key:
            # only where it may be set: a browser's own page of a fault has no storage
            self.context.add_init_script(
                f"if (location.pathname === '/console/') sessionStorage.setItem('lowtide.key', '{key}')"
            )
        self.page = self.context.new_page()
        self.page.set_default_timeout(SECONDS * 1000)
        self.faults = []
        self.asked = []  # "GET /v1/batches?…"
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._said)
        self.page.on("request", self._asked)

    def _said(self, message):
        # A browser writes down each answer that is no 2xx; tests ask for some.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(message.text)

    def _asked(self, request):
        self.asked.append(
            f"{request.method} {request.url.removeprefix(address(self.server).removesuffix('/console/'))}"
        )

    def open(self, path="overview", title=None):
        self.page.goto(f"{address(self.server)}#/{path}")
        self.page.locator("main h1").first.wait_for()
        if title:
            self.page.get_by_role("heading", level=1, name=title).wait_for()
        return self.page

    def settled(self):
        """Nothing is loading any more."""
        self.page.wait_for_function("() => !document.querySelector('.pending, [aria-busy=true]')")
        return self.page

    def axe(self):
        """What axe finds: [(rule, places)]."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("() => axe.run({resultTypes: ['violations']})")
        return [
            (one["id"], [node["html"][:160] for node in one["nodes"]])
            for one in found["violations"]
        ]

    def shot(self, name):
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def overflow(self):
        """By how many pixels the page is wider than its window."""
        return self.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")

    def done(self):
        self.context.close()
        assert not self.faults, self.faults


def words(language):
    """The table of a language: {key: text}."""
    text = pathlib.Path(CONSOLE / "words" / f"{language}.js").read_text()
    return dict(re.findall(r'^\t"([^"]+)": "((?:[^"\\]|\\.)*)",$', text, re.M))

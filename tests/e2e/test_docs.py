"""README.md and docs/ against the program, and README.zh.md against README.md."""

import functools
import re

import pytest
from support import server as program
from support.installed import commands_of_help, options_of_help

ROOT = program.ROOT
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"
PAGES = [ENGLISH, CHINESE, *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text):
    """The code blocks."""
    return re.findall(r"(?ms)^ *```[a-z]*\n(.*?)^ *```$", text)


def prose(text):
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", text)


def spans(text):
    return re.findall(r"`([^`\n]+)`", prose(text))


# ---- both READMEs ----


def headings(text):
    return [len(marks) for marks in re.findall(r"(?m)^(#+) ", prose(text))]


def commands(text):
    """The code blocks without comments, which each language has its own of."""
    return [re.sub(r"(?m)\s*(#.*)?$", "", block) for block in blocks(text)]


def settings(text):
    return sorted(set(spans(text)))


def links(text):
    return re.findall(r"\]\(([^)]+)\)", text)


def tables(text):
    """Columns and figures of each row: 300,000 is 30 万 in prose, but not in a table of results."""
    measured = text.split("\n## ")[-1]
    return [(row.count("|"), re.findall(r"\d[\d,.]*", row)) for row in re.findall(r"(?m)^\|.*\|$", measured)]


@pytest.mark.parametrize("part", [headings, commands, settings, tables], ids=lambda part: part.__name__)
def test_the_chinese_readme_is_like_the_english_one(part):
    english, chinese = part(ENGLISH.read_text()), part(CHINESE.read_text())
    assert english and chinese == english


def test_each_readme_leads_to_the_other_and_to_the_same_pages():
    english, chinese = links(ENGLISH.read_text()), links(CHINESE.read_text())
    assert english.pop(0) == "README.zh.md" and chinese.pop(0) == "README.md"
    assert chinese == english


# ---- all pages ----


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in links(page.read_text()):
        if not re.match(r"[a-z]+:", link):
            assert (page.parent / link.split("#")[0]).exists(), link


@functools.cache
def known():
    return {name: options_of_help(name) for name in commands_of_help()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page):
    text = page.read_text().replace("\\\n", " ")
    calls = [line for block in blocks(text) for line in block.splitlines()] + spans(text)
    for call in calls:
        call = re.sub(r"\s#.*", "", call)
        for name, rest in re.findall(r"(?<![\w/.-])lowtide (?!lowtide )([a-z]+)\b([^|;`]*)", call):
            if name == "help":
                continue
            assert name in known(), f"{call}: no subcommand {name}"
            for option in re.findall(r"(?<!\S)(--[a-z][a-z0-9-]*)", rest):
                assert option in known()[name], f"{call}: {name} has no {option}"


@functools.cache
def setting_keys():
    entries = program.run("help", "settings").stdout.strip().split("\n\n")[1:]
    return {entry.split("\n")[0] for entry in entries}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_exist(page):
    """What is written as `group.name`, where such a group of settings exists."""
    groups = {key.split(".")[0] for key in setting_keys() if "." in key and "[" not in key}
    for span in spans(page.read_text()):
        found = re.fullmatch(r"([a-z_]+(?:\.[a-z_]+)+)(?:[:=] ?\S+)?", span)
        if found and found[1].split(".")[0] in groups:
            key = found[1]
            assert key in setting_keys() or f"upstreams[].{key}" in setting_keys() or is_event(key), span


def is_event(name):
    """Events of the log are written alike (`webhook.failing`); groups of settings are plural but for `online` and `log`."""
    return any(f'"{name}"' in path.read_text() for path in (ROOT / "src").rglob("*.c"))

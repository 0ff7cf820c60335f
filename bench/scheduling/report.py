"""docs/benchmarks.md and its plots, from the results that there are."""

import json
import os
import pathlib
import re
import subprocess

from runs import result_path
from scenario import Missing, Results
from scenarios import SCENARIOS
from servers import NODES, ROOT

DOCS = ROOT / "docs"
TEMPLATE = pathlib.Path(__file__).with_name("benchmarks.template.md")
TOO_BUSY = 0.05  # idle time of the machine below which a run is marked


def results_read():
    paths = sorted(result_path("x").parent.glob("*.json"))
    return Results({path.stem: json.loads(path.read_text()) for path in paths})


def rows_of(scenario, results):
    """What can be told; the reason where something cannot."""
    rows = []
    absent = scenario.left_out()
    if absent and (NODES or not any(run["name"] in results.found for run in scenario.runs())):
        return [(f"skipped: {absent}", "", "", None)]
    try:
        for row in scenario.rows(results):
            rows.append(row)
    except Missing as why:
        rows.append((str(why), "", "", False))
    except (ZeroDivisionError, StopIteration, ValueError, RuntimeError) as error:
        rows.append((f"the results cannot be read: {error!r}", "", "", False))
    return rows


def table_rows(results, quick):
    for make in SCENARIOS:
        scenario = make(quick)
        for row in rows_of(scenario, results):
            yield scenario, row


def markdown_table(results, quick):
    lines = ["| scenario | | measured | wanted | met |", "| --- | --- | --- | --- | --- |"]
    last = None
    for scenario, (what, measured, wanted, met) in table_rows(results, quick):
        title = f"[{scenario.title}](#{scenario.name})" if scenario is not last else ""
        mark = {True: "yes", False: "**no**", None: ""}[met]
        lines.append(f"| {title} | {what} | {measured} | {wanted} | {mark} |")
        last = scenario
    return "\n".join(lines)


def text_table(results, quick, names=None):
    last = None
    for scenario, (what, measured, wanted, met) in table_rows(results, quick):
        if names and scenario.name not in names:
            continue
        if scenario is not last:
            yield f"\n{scenario.title} ({scenario.name})"
        mark = {True: "met   ", False: "MISSED", None: "      "}[met]
        yield f"  {mark} {what}: {measured}" + (f"  (wanted: {wanted})" if wanted else "")
        last = scenario


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    system = re.search(r'PRETTY_NAME="?([^"\n]*)', pathlib.Path("/etc/os-release").read_text())
    return f"{os.cpu_count()} × {model[1] if model else os.uname().machine}, {system[1]}"


def commit():
    command = ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True)
    return found.stdout.strip() or "no repository"


def runs_table(results):
    lines = ["| run | at | took | machine idle |", "| --- | --- | --- | --- |"]
    for name, one in sorted(results.found.items(), key=lambda item: item[1]["at"]):
        idle = f"{one['idle_share']:.0%}" + (" (too busy)" if one["idle_share"] < TOO_BUSY else "")
        fault = f" **{one['fault'][:120]}**" if "fault" in one else ""
        at = one["at"][:19].replace("T", " ")
        lines.append(f"| `{name}`{fault} | {at} | {one['took_s']:.0f} s | {idle} |")
    return "\n".join(lines)


def plots_make(results, quick):
    """name -> whether it has a plot."""
    made = {}
    for make in SCENARIOS:
        scenario = make(quick)
        path = DOCS / "benchmarks" / f"{scenario.name}.svg"
        try:
            scenario.plot(results, path)
            made[scenario.name] = True
        except (Missing, ZeroDivisionError, StopIteration, ValueError):
            path.unlink(missing_ok=True)
            made[scenario.name] = False
    return made


def write(results, quick):
    made = plots_make(results, quick)
    known = {make.name: make(quick) for make in SCENARIOS}

    def plot_of(match):
        name = match[1]
        text = f"![{known[name].title}](benchmarks/{name}.svg)" if made[name] else "*Not run.*"
        return f"{text}\n\n*Runs: {', '.join(run['name'] for run in known[name].runs())}*"

    text = TEMPLATE.read_text()
    text = re.sub(r"\{\{plot ([a-z-]+)\}\}", plot_of, text)
    parts = {
        "table": markdown_table(results, quick),
        "runs": runs_table(results),
        "machine": machine(),
        "commit": commit(),
        "quick": "**A quick run: the figures are rough.**\n\n" if quick else "",
    }
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part)
    DOCS.mkdir(exist_ok=True)
    (DOCS / "benchmarks.md").write_text(text)

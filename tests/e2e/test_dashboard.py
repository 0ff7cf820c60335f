"""docs/grafana-dashboard.json and docs/alerts.yaml name metrics and labels that /metrics has."""

import json
import re

import httpx
import pytest
import yaml
from support.jsonl import fresh, numbered
from support.server import ROOT

DASHBOARD = ROOT / "docs" / "grafana-dashboard.json"
ALERTS = ROOT / "docs" / "alerts.yaml"

WORDS = {"sum", "max", "by", "and", "on", "rate", "increase", "topk", "absent"}
COUNTERS_ONLY = re.compile(r"\b(?:rate|increase)\(\s*([a-z_:]+)")
CLAUSE = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
LABEL = re.compile(r'\s*(\w+)\s*(?:=~|!~|!=|=)\s*"[^"]*"\s*')
SCRAPED = {"instance", "job"}  # Prometheus adds them


def metrics_of(expr):
    """The metrics that a PromQL expression names."""
    text = CLAUSE.sub(" ", re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", expr))
    return {w for w in re.findall(r"[a-zA-Z_:][\w:]*", text) if w not in WORDS}


def labels_of(expr):
    """(metric or None, label) of its selectors and clauses."""
    for metric, inside in SELECTOR.findall(expr):
        parts = inside.split(",")
        assert all(LABEL.fullmatch(one) for one in parts), expr
        for one in parts:
            yield metric, LABEL.fullmatch(one)[1]
    for names in CLAUSE.findall(expr):
        for one in names.split(","):
            yield None, one.strip()


def panels():
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def expressions():
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for rule in alerts():
        yield rule["alert"], rule["expr"]


def alerts():
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return group["rules"]


@pytest.fixture(scope="module")
def seen():
    return {}


@pytest.fixture
def live(kimi, seen):
    """({metric: type}, {metric: labels of its series}) of a server that has had some work."""
    if not seen:
        batch = kimi.create(numbered(fresh(), 20, "slow:0.05"))
        key = {"Authorization": f"Bearer {kimi.server.operator_key()}"}
        while not seen.get("labels", {}).get("lowtide_concurrency_limit"):  # while lines run
            text = httpx.get(f"{kimi.server.url}/metrics", headers=key, trust_env=False).text
            seen["types"] = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
            labels = seen["labels"] = {name: set() for name in seen["types"]}
            for name, inside in re.findall(r"^([a-z_:]+)\{(.*)\} \S+$", text, re.M):
                labels[name].update(re.findall(r'(\w+)="', inside))
        kimi.wait(batch, "completed")
    return seen["types"], seen["labels"]


@pytest.mark.parametrize(("title", "expr"), list(expressions()), ids=lambda v: v[:30])
def test_each_expression_names_what_there_is(live, title, expr):
    types, labels = live
    names = metrics_of(expr)
    assert names, expr
    for name in names:
        assert name in types, f"{title}: there is no metric {name}"
    for name in COUNTERS_ONLY.findall(expr):
        assert types[name] == "counter", f"{title}: {name} is a {types[name]}"
    every = SCRAPED.union(*(labels[name] for name in names))
    silent = [name for name in names if not labels[name]]  # no series: an engine without metrics
    for metric, label in labels_of(expr):
        known = every if metric is None else labels[metric] | SCRAPED
        assert label in known or silent, f"{title}: {label} is no label of {metric or names}"


def test_the_dashboard_is_one_that_grafana_takes():
    whole = json.loads(DASHBOARD.read_text())
    assert whole["uid"] == "lowtide" and whole["schemaVersion"] >= 36
    ids = [panel["id"] for panel in whole["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {one["name"] for one in whole["templating"]["list"]} | {"__rate_interval"}
    at = set()
    for panel in panels():
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"])
                 for y in range(grid["y"], grid["y"] + grid["h"])}  # fmt: skip
        assert not cells & at, f"{panel['title']} lies over another"
        at |= cells
        for target in panel["targets"]:
            used = set(re.findall(r"\$\{?(\w+)", json.dumps(target)))
            assert used <= variables, used - variables
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = CLAUSE.search(target["expr"])
            assert kept is None or shown <= set(re.split(r"\s*,\s*", kept[1])), target


def test_each_alert_says_what_it_means():
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names) and all(n.startswith("Lowtide") for n in names)
    for rule in alerts():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]
        assert "for" not in rule or re.fullmatch(r"\d+[mh]", rule["for"])
        told = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        kept = set(re.findall(r"\w+", " ".join(CLAUSE.findall(rule["expr"]))))
        assert not kept or told <= kept, rule["alert"]

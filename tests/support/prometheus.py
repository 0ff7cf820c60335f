"""Prometheus text."""

import re

SAMPLE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_][a-zA-Z0-9_]*="(\\.|[^"\\\n])*",?)*\})?'
    r" (-?[0-9.]+(e[+-]?[0-9]+)?|NaN|[+-]Inf)"
)


def parse_metrics(text):
    """{series: value}; every line is of the format, every series typed before, none twice."""
    values, types = {}, {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types and kind in ("counter", "gauge", "histogram"), line
            types[name] = kind
        elif not line.startswith("# HELP "):
            found = SAMPLE.fullmatch(line)
            assert found, line
            base = re.sub("_(bucket|sum|count)$", "", found[1])
            assert found[1] in types or types.get(base) == "histogram", line
            series = line.rpartition(" ")[0]
            assert series not in values, line
            values[series] = float(found[5])
    return values

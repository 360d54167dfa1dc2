"""What deploy/ hands to Grafana and Prometheus, read as they read it: the queries and variables of every dashboard, and
the rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
BOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
INTERVAL = "$__rate_interval"

Board = dict[str, Any]
Rule = dict[str, Any]


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8")) if path.suffix == ".json" else yaml.safe_load(path.read_text("utf-8"))


def panels(board: Board) -> list[dict[str, Any]]:
    """Those that show something; rows only say what comes below."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries(board: Board) -> Iterator[tuple[str, str]]:
    """Panel and expression."""
    for panel in panels(board):
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])


def variables(board: Board) -> dict[str, str]:
    """Those that ask Prometheus for their values, with their query."""
    listed = board["templating"]["list"]
    return {one["name"]: one["query"]["query"] for one in listed if one["type"] == "query"}


def filled(text: str, values: Mapping[str, str], interval: str) -> str:
    """A query as Grafana sends it. Values are regular expressions, as where several may be chosen."""
    text = text.replace(INTERVAL, interval)
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], text)


def label_values(query: str) -> tuple[str, str]:
    """Selector and label of a variable's query."""
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
    assert found is not None, query
    return found[1], found[2]


def rules(kind: str) -> list[Rule]:
    """The rules of a kind: "record" or "alert"."""
    return [rule for group in load(RULES)["groups"] for rule in group["rules"] if kind in rule]


def expressions() -> list[str]:
    """Every piece of PromQL there is in deploy/."""
    found = [query for board in map(load, BOARDS) for _, query in queries(board)]
    found += [query for board in map(load, BOARDS) for query in variables(board).values()]
    return found + [rule["expr"] for kind in ("record", "alert") for rule in rules(kind)]

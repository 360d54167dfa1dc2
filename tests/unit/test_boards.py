"""What deploy/ has for those who watch the gateway: dashboards that a person can import and understand, alerts that
say what to do, a collector that takes what is sent. tests/real/test_boards.py runs their queries.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.config.schema.telemetry import Telemetry
from gateway.outcome import ENDINGS, Outcome
from gateway.telemetry.instruments import INSTRUMENTS
from gateway.telemetry.workers import WORKERS
from tests.kit.boards import BOARDS, DEPLOY, Board, expressions, load, panels, queries, rules, variables

PAGE = (DEPLOY.parent / "docs" / "dashboards.md").read_text("utf-8")
COLLECTOR = load(DEPLOY / "otel-collector" / "config.yaml")
UNITS = {"short", "none", "s", "reqps", "ops", "percentunit"}
BUILT_IN = {"__rate_interval", "__url_time_range", "__field"}

board = pytest.mark.parametrize("board", [load(path) for path in BOARDS], ids=[path.stem for path in BOARDS])


def test_there_are_four_boards_and_their_ids_stay() -> None:
    """Who imports a newer one replaces the older; the links between them go by these ids."""
    assert {path.stem: load(path)["uid"] for path in BOARDS} == {
        "consumer": "longpoll-consumer",
        "overview": "longpoll-overview",
        "route": "longpoll-route",
        "upstream": "longpoll-upstream",
    }


@board
def test_a_board_can_be_imported_anywhere(board: Board) -> None:
    """Nothing of the Grafana it was made in: no inputs to fill, no number of a row in its database, no data source of
    its own, no secret."""
    assert not {"__inputs", "__requires", "__elements", "id"} & board.keys()
    assert board["schemaVersion"] >= 38
    assert board["title"].startswith("Long-poll gateway: ")
    text = json.dumps(board)
    assert set(re.findall(r'"type": "prometheus", "uid": "(.*?)"', text)) == {"${datasource}"}
    assert not re.search(r"(?i)secret|password|bearer|api.?key", text)
    kinds = {one["name"]: one["query"] for one in board["templating"]["list"] if one["type"] == "datasource"}
    assert kinds == {"datasource": "prometheus", "traces": "tempo"}


@board
def test_every_panel_explains_itself_and_has_a_unit(board: Board) -> None:
    for panel in panels(board):
        assert len(panel["description"]) > 40 and panel["description"].endswith("."), panel["title"]
        unit = (
            panel["options"]["yAxis"]["unit"]
            if panel["type"] == "heatmap"
            else panel["fieldConfig"]["defaults"]["unit"]
        )
        assert unit in UNITS, panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"]), panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
    titles = Counter(panel["title"] for panel in board["panels"])
    assert [title for title, times in titles.items() if times > 1] == []


@board
def test_no_panel_lies_on_another(board: Board) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            assert taken.setdefault(cell, panel["title"]) == panel["title"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@board
def test_every_variable_that_is_used_is_there_and_each_is_used(board: Board) -> None:
    declared = {one["name"] for one in board["templating"]["list"]}
    text = json.dumps([board["panels"], board["links"], list(variables(board).values())])
    used = set(re.findall(r"\$\{?(\w+)", text)) - BUILT_IN
    assert used == declared


@board
def test_every_unit_fits_what_is_asked(board: Board) -> None:
    """Seconds come from histograms and gauges of seconds, shares from a division; `rate` needs Grafana's interval."""
    unit = {panel["title"]: panel["fieldConfig"]["defaults"]["unit"] for panel in panels(board)}
    for title, query in queries(board):
        if unit[title] == "s":
            assert "_seconds" in query, title
        if unit[title] == "percentunit":
            assert " / " in query, title
        for window in re.findall(r"\[(.*?)\]", query):
            assert window == "$__rate_interval", title


@board
def test_latencies_lead_to_traces(board: Board) -> None:
    """Panels that show quantiles of latency ask for exemplars; an id of a trace can be looked up from every board."""
    for panel in panels(board):
        for target in panel["targets"]:
            latency = re.search(r"histogram_quantile\(.*(news_latency|work_duration|request_duration)", target["expr"])
            assert bool(latency) == bool(target.get("exemplar")), panel["title"]
    link = next(one["url"] for one in board["links"] if one["type"] == "link")
    asked = json.loads(link.partition("panes=")[2])["trace"]
    assert (asked["datasource"], asked["queries"][0]["query"]) == ("${traces}", "${trace}")


@board
def test_links_between_boards_lead_somewhere(board: Board) -> None:
    uids = {load(path)["uid"]: {one["name"] for one in load(path)["templating"]["list"]} for path in BOARDS}
    for uid, rest in re.findall(r"/d/([\w-]+)\?(\S+?)\"", json.dumps(board)):
        assert set(re.findall(r"var-(\w+)=", rest)) <= uids[uid]
    drop_down = next(one for one in board["links"] if one["type"] == "dashboards")
    assert drop_down["tags"] == board["tags"] == ["longpoll-gateway"]


# -- what the queries ask for -----------------------------------------------------------------------------------------

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
TOLD = {each.family + suffix: each for each in (*INSTRUMENTS, *WORKERS) for suffix in SUFFIXES[each.kind]}
METRIC = r"(?<![:\w])((?:longpoll|http_server|gateway)_\w+)(?!\w*:)"


def test_every_metric_that_is_asked_for_is_told_by_the_gateway() -> None:
    assert {name for text in expressions() for name in re.findall(METRIC, text)} <= TOLD.keys()


def test_every_label_that_is_asked_for_is_one_of_its_metric() -> None:
    for text in expressions():
        for name, selector in re.findall(METRIC + r"\{(.*?)\}", text):
            labels = {label.replace(".", "_") for label in TOLD[name].labels} | {"job", "instance", "le"}
            assert set(re.findall(r"(\w+)!?=~?\"", selector)) <= labels, text


def test_only_what_counts_upwards_has_a_rate() -> None:
    for text in expressions():
        for name in re.findall(r"(?:rate|increase)\(" + METRIC, text):
            assert TOLD[name].kind != "gauge", text


def test_every_recorded_series_that_is_asked_for_is_recorded() -> None:
    recorded = {rule["record"] for rule in rules("record")}
    assert {name for text in expressions() for name in re.findall(r"\w+:\w+:\w+", text)} <= recorded
    assert {
        rule["record"] for rule in rules("record") if not re.fullmatch(r"\w+:longpoll_\w+:\w+", rule["record"])
    } == set()


# -- what the queries say of outcomes ---------------------------------------------------------------------------------


def test_every_outcome_that_is_named_exists() -> None:
    for text in expressions():
        for names in re.findall(r'outcome!?=~?"(.*?)"', text):
            for name in names.split("|"):
                assert [each for each in Outcome if re.fullmatch(name, each)], text


def test_an_error_is_what_the_table_of_outcomes_calls_one_except_an_overrun() -> None:
    """An overrun is a quiet poll to its client. Who adds an outcome to the table meets this."""
    errors = {each.value for each, ending in ENDINGS.items() if ending.share == "error"} - {"overrun"}
    named = {frozenset(names.split("|")) for text in expressions() for names in re.findall(r'outcome=~"(.*?)"', text)}
    ours = {name for name in named if any("upstream_" in one for one in name) and "news" not in name}
    ours = {frozenset(each.value for each in Outcome for one in name if re.fullmatch(one, each)) for name in ours}
    of_upstreams = errors - {"overloaded", "internal_error"}  # which say nothing about an endpoint
    assert ours == {frozenset(errors), frozenset(of_upstreams)}


def test_quiet_polls_and_who_left_are_in_no_share_of_errors() -> None:
    shares = [rule["expr"] for rule in rules("record") if "errors" in rule["record"]]
    assert len(shares) == 5
    for quiet in ("empty", "blank", "client_gone", "evicted", "superseded", "drained", "expired", "overrun"):
        assert not [text for text in shares if quiet in text]


# -- alerts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alert", rules("alert"), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_it_means_and_what_to_do(alert: dict[str, Any]) -> None:
    name, notes = alert["alert"], alert["annotations"]
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert re.fullmatch(r"\d+[smh]", alert["for"])
    assert len(notes["summary"]) < 120
    assert len(notes["description"]) > 100 and notes["description"].endswith((".", "?"))
    assert notes["runbook"] == f"docs/dashboards.md#{name.lower()}"
    section = PAGE.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    assert section.startswith(f"\n*{alert['labels']['severity']}.* "), "the page says the same severity"


def test_the_page_has_no_alert_that_is_gone() -> None:
    assert re.findall(r"^### (Longpoll\w+)$", PAGE, re.MULTILINE) == [
        rule["alert"] for rule in sorted(rules("alert"), key=lambda rule: PAGE.index(f"### {rule['alert']}\n"))
    ]


def test_every_alert_is_seen_to_fire() -> None:
    text = (DEPLOY / "prometheus" / "rules_test.yml").read_text("utf-8")
    fired = set(re.findall(r'ALERTS\{alertname="(\w+)", alertstate="firing"', text))
    fired |= {one["alertname"] for test in load(DEPLOY / "prometheus" / "rules_test.yml")["tests"]
              for one in test.get("alert_rule_test", []) if one["exp_alerts"]}  # fmt: skip
    assert fired == {rule["alert"] for rule in rules("alert")}


def test_the_job_that_alerts_look_for_is_the_one_of_the_example() -> None:
    (job,) = load(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    looked = {name for rule in rules("alert") for name in re.findall(r'job="(.*?)"', rule["expr"])}
    assert looked == {job["job_name"]}


# -- the collector ----------------------------------------------------------------------------------------------------


def test_the_collector_listens_where_the_gateway_is_told_to_send() -> None:
    (told,) = Telemetry.model_fields["otlp"].examples or []
    listens = COLLECTOR["receivers"]["otlp"]["protocols"]
    assert list(listens) == ["http"], "the gateway speaks no gRPC"
    assert told == f"http://{listens['http']['endpoint']}"
    assert f'otlp = "{told}"' in (DEPLOY / "otel-collector" / "config.yaml").read_text("utf-8")


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_every_signal_goes_through_a_bounded_pipeline(signal: str) -> None:
    pipeline = COLLECTOR["service"]["pipelines"][signal]
    assert pipeline["receivers"] == ["otlp"]
    assert pipeline["processors"][0] == "memory_limiter", "it refuses before anything else allocates"
    assert pipeline["processors"][-1] == "batch"
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) <= COLLECTOR[kind].keys()


def test_the_collector_defines_nothing_it_does_not_use() -> None:
    pipelines = COLLECTOR["service"]["pipelines"]
    assert pipelines.keys() == {"traces", "metrics", "logs"}
    for kind in ("receivers", "processors", "exporters"):
        assert COLLECTOR[kind].keys() == {name for pipeline in pipelines.values() for name in pipeline[kind]}


def test_no_spans_wait_in_the_collector_for_a_decision() -> None:
    assert not [name for name in COLLECTOR["processors"] if "sampl" in name]
    limiter = COLLECTOR["processors"]["memory_limiter"]
    assert 0 < limiter["spike_limit_mib"] < limiter["limit_mib"]


def test_exemplars_are_linked_by_the_label_they_carry() -> None:
    sources = {one["name"]: one for one in load(Path(DEPLOY / "grafana" / "datasources.yaml"))["datasources"]}
    (link,) = sources["Prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert link == {"name": "trace_id", "datasourceUid": sources["Tempo"]["uid"]}

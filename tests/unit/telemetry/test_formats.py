"""The same readings in three formats: Prometheus' text, OpenMetrics and OTLP say the same of the same gateway, and the
tools that take them in have nothing to complain about.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.resources import Resource
from prometheus_client import openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway.admin.metrics import write
from gateway.telemetry.histogram import Histogram
from gateway.telemetry.instruments import INSTRUMENTS
from gateway.telemetry.otlp_metrics import interval
from gateway.telemetry.otlp_points import metrics_data
from gateway.telemetry.series import Series
from tests.kit.metrics import NASTY, SPAN, TRACE, gauges
from tests.kit.otlp import attributes

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def page(openmetrics: bool, **values: Any) -> str:
    return "".join(write(Series().read(gauges(**values)), openmetrics))


def samples(families: Any) -> Samples:
    found = [(each.name, tuple(sorted(each.labels.items())), each.value) for one in families for each in one.samples]
    assert len(found) == len({each[:2] for each in found}), "a series stands there twice"
    return {(name, labels): value for name, labels, value in found}


def otlp() -> dict[str, Any]:
    data = metrics_data(list(Series().read(gauges())), Resource({"service.name": "x"}), 1, 2)
    message = encode_metrics(data)
    return {metric.name: metric for metric in message.resource_metrics[0].scope_metrics[0].metrics}


def expected() -> Samples:
    """What must be told, straight from the numbers."""
    found: Samples = {}
    for instrument, points in Series().read(gauges()):
        for labels, value in points:
            named = {name.replace(".", "_"): str(each) for name, each in labels}
            key = tuple(sorted(named.items()))
            if not isinstance(value, Histogram):
                found[instrument.family + ("_total" if instrument.kind == "counter" else ""), key] = value
                continue
            found[f"{instrument.family}_sum", key], found[f"{instrument.family}_count", key] = value.sum, value.count
            for at, bound in enumerate([*map(str, value.bounds), "+Inf"]):
                cumulative = tuple(sorted({**named, "le": bound}.items()))
                found[f"{instrument.family}_bucket", cumulative] = sum(value.buckets[: at + 1])
    return found


def test_both_pages_are_what_was_counted() -> None:
    assert samples(parse_text(page(False))) == expected()
    assert samples(parse_openmetrics(page(True))) == expected()


def test_a_hostile_name_is_one_label_and_nothing_else() -> None:
    for text, parse in ((page(False), parse_text), (page(True), parse_openmetrics)):
        assert ("longpoll_held", (("route", NASTY), ("state", "waiting"))) in samples(parse(text))


def test_the_collector_gets_the_metrics_of_the_page_and_no_others() -> None:
    families = {family.name: family for family in parse_openmetrics(page(True))}
    found = otlp()
    assert {each.family for each in INSTRUMENTS} == families.keys()
    assert {each.name for each in INSTRUMENTS} == found.keys()
    for instrument in INSTRUMENTS:
        metric = found[instrument.name]
        assert (metric.description, metric.unit) == (families[instrument.family].documentation, instrument.unit)
        assert families[instrument.family].type == instrument.kind
        assert metric.WhichOneof("data") == {"counter": "sum"}.get(instrument.kind, instrument.kind)


def test_the_collector_gets_the_numbers_of_the_page() -> None:
    found: Samples = {}
    for instrument in INSTRUMENTS:
        metric = otlp()[instrument.name]
        for point in getattr(metric, metric.WhichOneof("data")).data_points:
            named = {name.replace(".", "_"): str(value) for name, value in attributes(point).items()}
            key = tuple(sorted(named.items()))
            if instrument.kind != "histogram":
                number = point.as_double if point.WhichOneof("value") == "as_double" else point.as_int
                found[instrument.family + ("_total" if instrument.kind == "counter" else ""), key] = number
                continue
            found[f"{instrument.family}_sum", key], found[f"{instrument.family}_count", key] = point.sum, point.count
            for at, bound in enumerate([*map(str, point.explicit_bounds), "+Inf"]):
                cumulative = tuple(sorted({**named, "le": bound}.items()))
                found[f"{instrument.family}_bucket", cumulative] = sum(point.bucket_counts[: at + 1])
    assert found == expected()


def test_totals_are_cumulative_from_the_start_of_the_process() -> None:
    for metric in otlp().values():
        kind = metric.WhichOneof("data")
        if kind != "gauge":
            assert getattr(metric, kind).aggregation_temporality == 2
            assert {point.start_time_unix_nano for point in getattr(metric, kind).data_points} == {1}
        if kind == "sum":
            assert metric.sum.is_monotonic


def test_a_status_is_a_number_to_the_collector() -> None:
    points = otlp()["http.server.request.duration"].histogram.data_points
    assert {attributes(point).get("http.response.status_code") for point in points} == {200, 503, 404, None}


def test_a_kept_trace_is_an_example_where_the_format_has_them() -> None:
    line = 'longpoll_hold_duration_seconds_bucket{route="updates",outcome="news",le="15.0"} 2'
    assert f"{line}\n" in page(False)
    assert f'{line} # {{trace_id="{TRACE}",span_id="{SPAN}"}} 12.0 1700000000.250\n' in page(True)
    assert TRACE not in page(False)
    points = otlp()["longpoll.hold.duration"].histogram.data_points
    found = [(each.trace_id.hex(), each.span_id.hex()) for point in points for each in point.exemplars]
    assert found == [(TRACE, SPAN)] * 2


def test_what_is_beyond_the_bound_is_marked_as_opentelemetry_does_it() -> None:
    readings = list(Series(1).read(gauges()))
    for modern, parse in ((False, parse_text), (True, parse_openmetrics)):
        found = samples(parse("".join(write(readings, modern))))
        assert found["longpoll_calls_total", (("otel_metric_overflow", "true"),)] == 17
        assert ("longpoll_hold_duration_seconds_count", (("otel_metric_overflow", "true"),)) in found
    message = encode_metrics(metrics_data(readings, Resource({}), 1, 2))
    metrics = {each.name: each for each in message.resource_metrics[0].scope_metrics[0].metrics}
    beyond = metrics["longpoll.calls"].sum.data_points[-1]
    assert (attributes(beyond), beyond.as_int) == ({"otel.metric.overflow": True}, 17)


def test_the_page_of_a_gateway_that_just_began_is_whole() -> None:
    text = page(True, tallies=None, held={}, shed={}, spans=None, endpoint_held={})
    assert text.endswith("# EOF\n")
    assert "longpoll_connections" in {family.name for family in parse_openmetrics(text)}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed")
@pytest.mark.parametrize("nothing", [True, False])
def test_prometheus_own_tool_has_nothing_to_say(nothing: bool) -> None:
    text = page(False, **({"tallies": None, "held": {}} if nothing else {}))
    done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_the_content_type_of_openmetrics_is_the_librarys() -> None:
    assert openmetrics.exposition.CONTENT_TYPE_LATEST.startswith("application/openmetrics-text; version=1.0.0")


@pytest.mark.parametrize(("text", "seconds"), [("", 60.0), ("500", 0.5), ("0", 60.0), ("-1", 60.0), ("1m", 60.0)])
def test_the_interval_is_opentelemetrys_variable_in_milliseconds(text: str, seconds: float) -> None:
    assert interval({"OTEL_METRIC_EXPORT_INTERVAL": text}) == seconds

"""`/metrics`: numbers that others keep as plain integers, in the text format of Prometheus. They are read when somebody
scrapes and never before: a call pays nothing for being counted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.edge.room import Shed


@dataclass(frozen=True, slots=True)
class Gauges:
    """What there is to see at one instant. Times are Unix seconds, totals count from the start of the process."""

    held: Mapping[tuple[str, str], int]  # by route and state
    connections: int
    log_lines_dropped: int
    draining: bool
    max_connections: int = 0
    shed: Mapping[Shed, int] = field(default_factory=dict)
    reloads: int = 0
    reloads_failed: int = 0
    last_reload_ok: bool = True
    last_reload_at: float = 0.0  # of the last one, whether it went well or not; 0 before the first


class Gateway(Collector):
    """The numbers of one gateway, as metrics."""

    def __init__(self, gauges: Callable[[], Gauges]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        now = self._gauges()
        held = GaugeMetricFamily("longpoll_held", "Calls that wait for an answer.", labels=["route", "state"])
        for labels, count in now.held.items():
            held.add_metric(labels, count)
        yield held
        yield _gauge("longpoll_connections", "Client connections that are open.", now.connections)
        yield _gauge("longpoll_max_connections", "Client connections there may be.", now.max_connections)
        yield _total("longpoll_log_lines_dropped", "Lines of the call log that were lost.", now.log_lines_dropped)
        shed = CounterMetricFamily(
            "longpoll_shed", "Calls and connections turned away for want of room.", labels=["reason"]
        )
        for reason, count in now.shed.items():
            shed.add_metric([reason], count)
        yield shed
        yield from _reloads(now)
        yield _gauge("longpoll_draining", "Whether the process is going to end.", now.draining)


def _reloads(now: Gauges) -> Iterator[Metric]:
    reloads = CounterMetricFamily("longpoll_reloads", "Reloads of the configuration.", labels=["result"])
    reloads.add_metric(["ok"], now.reloads)
    reloads.add_metric(["failed"], now.reloads_failed)
    yield reloads
    yield _gauge("longpoll_last_reload_success", "Whether the last reload went well.", now.last_reload_ok)
    yield _gauge("longpoll_last_reload_timestamp_seconds", "When the last reload was.", now.last_reload_at)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _total(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def registry(gauges: Callable[[], Gauges]) -> CollectorRegistry:
    """A registry of its own: what the process or a library registers globally is nobody's business here."""
    own = CollectorRegistry()
    own.register(Gateway(gauges))
    return own


def expose(own: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The page and its content type, in the format that the scraper prefers."""
    encode, content_type = choose_encoder(accept)
    return encode(own), content_type

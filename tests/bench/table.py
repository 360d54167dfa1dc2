"""The table at the end: which rows there are, what bar each has to meet, and how the figures are laid out.
Pure: figures in, text and plain values out.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .measure import Figures, Scale


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: its title, how it is written, and its bars. `bar` is an upper limit, with `at_least` a
    lower one; `ratio` limits the gateway's figure by the naive proxy's."""

    key: str
    title: str
    form: str = ".1f"
    bar: float | None = None
    ratio: float | None = None
    at_least: bool = False

    def bar_text(self) -> str:
        sign = ">=" if self.at_least else "<="
        own = [f"{sign} {self.bar:,g}"] if self.bar is not None else []
        return " and ".join(own + ([f"<= {self.ratio:g}x"] if self.ratio is not None else []))

    def verdict(self, gateway: float | None, naive: float | None) -> str:
        """ "ok", "MISS", or "" where there is no bar or the naive proxy gave no figure to compare with."""
        if self.bar is None and self.ratio is None:
            return ""
        if gateway is None:
            return "MISS"
        if self.bar is not None and (gateway < self.bar if self.at_least else gateway > self.bar):
            return "MISS"
        if self.ratio is None:
            return "ok"
        if not naive:
            return ""
        return "ok" if gateway / naive <= self.ratio else "MISS"


SHARING = (
    Row("shared_state_us", "shared://: CPU us more per short request than memory://", ".1f", bar=15),
    Row("shared_state_p99", "  ms more at p99", ".2f"),
    Row("shared_state_kib", "  KiB more per held poll", ".2f"),
    Row("shared_alone", "  % decided without it, at most", ".1f"),
    Row("redis_state_us", "redis://: CPU us more per short request than memory://", ".1f", bar=60),
    Row("redis_state_p99", "  ms more at p99", ".2f", bar=3),
    Row("redis_state_kib", "  KiB more per held poll", ".2f"),
    Row("redis_alone", "  % decided without it, at most", ".1f"),
    Row("crew_ratio", "CPU per short request with two workers, times that with one", ".2f", bar=1.15),
    Row("crew_most", "  % of the held polls that the busier one holds", ".0f"),
)


def rows(scale: Scale) -> tuple[Row, ...]:
    """The rows in the order they are printed."""
    return (*_of_the_gateway(scale), *_of_its_parts(scale))


def _of_the_gateway(scale: Scale) -> tuple[Row, ...]:
    """What a client and an operator would notice."""
    return (
        Row("hold_kib", "KiB per held poll", ".2f", bar=6, ratio=0.32),
        Row("wake_us", "CPU us per wake"),
        Row("woken", "polls answered after a wake", ",.0f", bar=scale.polls, at_least=True),
        Row("wake_all", f"ms until all {scale.polls:,} are answered", ".0f", bar=1000),
        Row("wake_p50", "  p50", ".0f"),
        Row("wake_p99", "  p99", ".0f"),
        Row("short_us", "CPU us per short request, known tokens", ratio=0.5),
        Row("short_rps", "  requests per second", ",.0f"),
        Row("short_p99", "  p99 ms", ".2f"),
        Row("mixed_us", "CPU us per short request, connections shared by clients"),
        Row("unseen_us", "CPU us per short request, 0 % cached tokens"),
        Row("unseen_rps", "  requests per second", ",.0f"),
        Row("unseen_p99", "  p99 ms", ".2f"),
        Row("idle_ms", "idle CPU, ms per s per 1,000 parked", ".2f", bar=2),
        Row("listening", "ms from start to listening", ".0f", bar=1000),
        Row("storm_fin", f"ms until upstream sees {scale.storm:,} hang-ups (FIN)", ".0f", bar=500),
        Row("storm_rst", f"ms until upstream sees {scale.storm:,} hang-ups (RST)", ".0f", bar=500),
        Row(
            "drain_blanks",
            f"of {scale.storm:,} polls drained with no-news",
            ",.0f",
            bar=scale.storm,
            at_least=True,
        ),
        Row("drain_exit", "s from SIGTERM to exit, drain 2 s", ".2f", bar=3),
        Row("chunk_p99", "ms that a chunk of a stream comes later, p99", ".2f", bar=1),
        Row("chunk_p50", "  p50", ".2f"),
        Row("chunk_us", "  CPU us per chunk"),
        Row("slow_kib", "KiB per client that takes nothing of 1 MiB", ".1f", bar=64),
        Row("slow_mib", "  MiB for 1,000 of them", ".0f", bar=100),
        Row("page_ms", f"ms for 1,000 of {scale.listed:,} held (/api/held)", ".0f", bar=50),
        Row("page_stall", "  longest short request meanwhile", ".1f", bar=10),
        Row("metrics_ms", f"ms for /metrics with {scale.listed:,} held", ".0f", bar=50),
        Row("metrics_stall", "  longest short request meanwhile", ".1f"),
    )


def _of_its_parts(scale: Scale) -> tuple[Row, ...]:
    """What a feature costs, by itself or beside the same without it."""
    return (
        Row("ask_query_us", "CPU us per wish: read, judged, rewritten; in the query", ".1f", bar=8),
        Row("ask_header_us", "  in a header", ".1f", bar=8),
        Row("ask_json_us", "  in a JSON body of 1 KiB", ".1f", bar=30),
        Row("tunnel_kib", "KiB per idle tunnel", ".2f", bar=6),
        Row("tunnel_us", "CPU us per echoed message of 100 bytes", ".2f"),
        Row("tunnel_nginx_us", "  the same through nginx", ".2f"),
        Row("tunnel_nginx", "  times that of nginx", ".2f", bar=1.5),
        Row("choose_least_held_us", f"CPU us to choose among 100 endpoints, {scale.polls:,} held", ".2f", bar=3),
        Row("choose_round_robin_us", "  round-robin", ".2f", bar=3),
        Row("choose_random_two_us", "  random-two", ".2f", bar=3),
        Row("choose_hash_us", "  hash:query.sid", ".2f", bar=3),
        Row("choose_sticky_us", "  sticky:query.sid", ".2f", bar=3),
        Row("shelf_ms", "ms to load, check and compile every shipped policy", ".0f", bar=300),
        Row("limits_us", "limits: CPU us per short request", ".2f", bar=6),
        Row("limits_mixed_us", "  connections shared by clients", ".2f"),
        Row("limits_unseen_us", "  0 % cached tokens", ".2f"),
        Row("limits_kib", "limits: KiB per held poll", ".2f", bar=0.6),
        Row("limits_wake_us", "limits: CPU us per wake", ".2f"),
        Row("telemetry_us", "telemetry: CPU us per short request", ".2f"),
        Row("telemetry_share", "  share of the same without", ".2f", bar=0.25),
        Row("telemetry_kib", "telemetry: KiB per held poll", ".2f", bar=0.5),
        Row("telemetry_wake_us", "telemetry: CPU us per wake", ".2f"),
        *SHARING,
    )


def median(samples: Sequence[Figures]) -> Figures:
    """The median of each figure; one that did not come about counts as infinitely long."""
    gathered: dict[str, list[float]] = {}
    for sample in samples:
        for key, value in sample.items():
            gathered.setdefault(key, []).append(float("inf") if value is None else value)
    middles = {key: statistics.median(values) for key, values in gathered.items()}
    return {key: None if middle == float("inf") else middle for key, middle in middles.items()}


def added(what: str, without: Sequence[Figures], variant: Sequence[Figures]) -> Figures:
    """What something costs: the median of the differences between a turn with it and its neighbour without."""
    figures: Figures = {}
    for key in ("short_us", "mixed_us", "unseen_us", "hold_kib", "wake_us"):
        pairs = zip(_values(variant, key), _values(without, key), strict=False)
        if differences := [more - less for more, less in pairs]:
            name = key.removeprefix("short_").removeprefix("hold_")
            figures[f"{what}_{name}"] = statistics.median(differences)
    pairs = zip(_values(variant, "short_us"), _values(without, "short_us"), strict=False)
    if shares := [more / less - 1 for more, less in pairs]:
        figures[f"{what}_share"] = statistics.median(shares)
    return figures


def _values(samples: Sequence[Figures], key: str) -> list[float]:
    return [value for sample in samples if (value := sample.get(key)) is not None]


def lay_out(scale: Scale, gateway: Figures, naive: Figures) -> list[dict[str, object]]:
    """The rows that were measured, as plain values (this is what `--json` writes)."""
    table: list[dict[str, object]] = []
    for row in rows(scale):
        if row.key not in gateway and row.key not in naive:
            continue
        ours, theirs = gateway.get(row.key), naive.get(row.key)
        table.append(
            {
                "key": row.key,
                "measure": row.title,
                "gateway": ours,
                "naive": theirs,
                "ratio": ours / theirs if ours is not None and theirs else None,
                "bar": row.bar_text(),
                "verdict": row.verdict(ours, theirs) if row.key in gateway else "",
            }
        )
    return table


def _cell(form: str, figures: Figures, key: str) -> str:
    if key not in figures:
        return "-"
    value = figures[key]
    return "never" if value is None else format(value, form)


def render(scale: Scale, gateway: Figures, naive: Figures) -> str:
    """The table as text."""
    forms = {row.key: row.form for row in rows(scale)}
    lines = [("measure", "gateway", "naive", "ratio", "bar", "")]
    for entry in lay_out(scale, gateway, naive):
        key, ratio = str(entry["key"]), entry["ratio"]
        lines.append(
            (
                str(entry["measure"]),
                _cell(forms[key], gateway, key),
                _cell(forms[key], naive, key),
                f"{ratio:.2f}x" if isinstance(ratio, float) else "",
                str(entry["bar"]),
                str(entry["verdict"]),
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: list[int]) -> str:
    title, *numbers = cells[:4]
    right = [number.rjust(width) for number, width in zip(numbers, widths[1:4], strict=True)]
    left = [cell.ljust(width) for cell, width in zip(cells[4:], widths[4:], strict=True)]
    return "  ".join([title.ljust(widths[0]), *right, *left]).rstrip()

"""What the gateway has to reach beside each peer: ratios within one run, each with its bar, and what is aimed at."""

from __future__ import annotations

from dataclasses import dataclass

from ..measure import Figures


@dataclass(frozen=True, slots=True)
class Bar:
    """The gateway's figure divided by the peer's is at most `limit`; if it is to be `beaten`, the peer's divided by the
    gateway's is at least that. Without a peer the figure itself counts. `paired`: the ratio of wakes in turn, not of
    figures that each gave alone."""

    title: str
    key: str
    peer: str
    limit: float
    stretch: float | None = None
    beaten: bool = False
    paired: bool = False

    def reached(self, ours: Figures, theirs: Figures) -> float | None:
        """The ratio; None where one of the two was not measured."""
        mine, other = ours.get(self.key), theirs.get(self.key)
        if not self.peer or not mine or not other:
            return None if self.peer else mine
        return other / mine if self.beaten else mine / other

    def verdict(self, ratio: float | None) -> str:
        if ratio is None:
            return "not measured in pairs" if self.paired else "not measured"
        return "ok" if (ratio >= self.limit if self.beaten else ratio <= self.limit) else "MISS"

    def unit(self) -> str:
        return "x" if self.peer else " ms"

    def text(self) -> str:
        return f"{'>=' if self.beaten else '<='} {self.limit:g}{self.unit()}"


BARS = (
    Bar("memory per held poll, of HAProxy's with JWT, limits and log", "hold_kib", "haproxy", 0.75, 0.6),
    Bar("memory per held poll, of nginx's with limits and log", "hold_kib", "nginx", 0.45),
    Bar("CPU per wake, of nginx's", "wake_us", "nginx", 1.3, 1.0, paired=True),
    Bar("time until the last is answered, of nginx's", "wake_all", "nginx", 1.3, paired=True),
    Bar("CPU per short request, of HAProxy's with JWT, limits and log", "short_us", "haproxy", 1.8, 1.2),
    Bar("CPU per short request, of Traefik's with limits and log", "short_us", "traefik", 0.5),
    Bar("naive proxy without policies: its CPU per short request", "short_us", "naive", 2.5, beaten=True),
    Bar("naive proxy: its CPU per wake", "wake_us", "naive", 2.5, beaten=True, paired=True),
    Bar("naive proxy: its memory per held poll", "hold_kib", "naive", 4, beaten=True),
    Bar("idle: CPU per second and 1,000 held polls", "idle_ms", "", 1.0),
)
PAIRED = {bar.peer for bar in BARS if bar.paired}  # who is woken in turn with the gateway

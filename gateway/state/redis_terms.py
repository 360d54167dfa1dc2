"""The times by which a process and a Redis server live together (docs/state.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds. `budget` for a decision; `patience` with a connection that says nothing; `rest` before it is tried
    again; `beat` between two signs of life, and without one for `dead` a node is gone; `settle` is what nodes get to
    say what they have lent to a server that has forgotten all; `confirm` for a poll elsewhere to end."""

    budget: float = 0.1
    patience: float = 2.0
    rest: float = 0.25
    beat: float = 2.0
    dead: float = 8.0
    settle: float = 1.0
    confirm: float = 0.25
    connect: float = 1.5
    again: float = 0.5  # between two attempts to connect, at most
    sweep: float = 3600.0  # in which every lease is made known again, whatever happened to it there

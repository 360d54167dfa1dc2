"""The cases of machines with several workers and of several nodes, by name, as in `cases`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from . import across, clocks, machine_lost, machine_turns, node_caps, state_lost
from .sheet import Sheet

STATE: dict[str, tuple[Callable[[Sheet, Path], Awaitable[None]], str]] = {
    "machine-drain": (machine_turns.drain, "SIGTERM with 1,000 polls held by two workers: nobody notices (row 1)"),
    "machine-reload": (
        machine_turns.reloaded,
        "SIGHUP of two workers with 1,000 polls held: all of them, or none (row 3)",
    ),
    "machine-replace": (
        machine_turns.replaced,
        "gateway run --replace with 1,000 polls held and 100 probes a second: nobody notices",
    ),
    "worker-killed": (machine_lost.killed, "one of two workers is killed under 1,000 polls: only its own fail (row 7)"),
    "worker-killed-redis": (machine_lost.killed_in_redis, "the same where Redis lends the places (row 7)"),
    "worker-hung": (machine_lost.hung, "one of two workers is stopped: it is killed after 30 s, and started again"),
    "lock-stopped": (machine_lost.lock_stopped, "a worker is stopped while it has the lock of the machine's state"),
    "two-nodes": (
        node_caps.two_nodes,
        "a cap of 10 under 1,000 polls at once over two gateways, one of which is killed (row 6)",
    ),
    "redis-back-empty": (state_lost.back_empty, "Redis is killed under 1,000 polls, and is back empty (row 8)"),
    "redis-closed": (state_lost.closed, 'the same where on_failure = "closed": 503 at once (row 8)'),
    "redis-sick": (state_lost.sick, "Redis is stopped, slow, out of memory, read only (row 9)"),
    "partition": (node_caps.partition, "one of two gateways loses Redis: no more than the cap and its share (row 10)"),
    "evict-nodes": (across.evict_nodes, "the newer poll at one gateway ends the older at the other within 250 ms"),
    "evict-workers": (across.evict_workers, "the same over two workers"),
    "wait-nodes": (across.wait_nodes, "who waits for a place at the other gateway is next within 250 ms, in turn"),
    "wait-workers": (across.wait_workers, "the same over two workers"),
    "clock": (clocks.machine, "the machine's clock jumps by an hour and by ten seconds under 200 polls (row 29)"),
    "clock-redis": (clocks.in_redis_too, "the clock of Redis does, under two gateways (row 29)"),
}

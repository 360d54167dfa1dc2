"""What the admin side may see and do of a running gateway. Looks things up and passes them on; decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.admin import counts, ending, listing, live, overview
from gateway.admin.metrics import Gauges
from gateway.call import Call
from gateway.state.memory import MemoryStore

if TYPE_CHECKING:
    from gateway.app import App
    from gateway.clock import Timers
    from gateway.edge.edge import Edge
    from gateway.limits import Limits
    from gateway.reloading import Reloads
    from gateway.state.condition import Condition
    from gateway.state.opening import Opened
    from gateway.telemetry.keeping import Telemetry


class Operator:
    """An `admin.api.Operated`."""

    def __init__(self, app: App, edge: Edge, timers: Timers, telemetry: Telemetry, reloads: Reloads,
                 limits: Limits, store: Opened) -> None:  # fmt: skip
        self.reload = app.reload
        self.begin_drain = app.begin_drain
        self.members = app.members
        self._app = app
        self._edge = edge
        self._timers = timers
        self._telemetry = telemetry
        self._reloads = reloads
        self._limits = limits
        self._store = store

    def ready(self) -> tuple[bool, str]:
        if self._app.draining:
            return False, "draining"
        state = self.state()
        said = ("serving", self._reloads.failure, state.words() if state is not None else "")
        return True, "; ".join(filter(None, said))

    def state(self) -> Condition | None:
        """Of a store that others share."""
        return None if isinstance(self._store, MemoryStore) else self._store.condition

    def log_lines_dropped(self) -> int:
        return self._telemetry.log.dropped

    async def held(self, asked: listing.Listing) -> listing.Page:
        return await listing.page(self._calls(), asked, self._timers.now)

    def sources(self) -> overview.Sources:
        room, reloads, telemetry = self._edge.room, self._reloads, self._telemetry
        return overview.Sources(
            calls=self._calls,
            now=self._timers.now,
            snapshot=self._edge.serve.snapshot,
            tallies=telemetry.tallies,
            store=self._store,
            limits=self._limits,
            state=self.state(),
            ready=self.ready(),
            draining=self._app.draining,
            connections=(room.open, room.limit),
            shed={str(reason): number for reason, number in room.shed.items()},
            reload={**reloads.counts, "failure": reloads.failure, "at": reloads.last},
            dropped={
                "log_lines": telemetry.log.dropped,
                "spans": telemetry.traces.dropped if telemetry.traces is not None else 0,
            },
        )

    def call_log(self) -> Path | None:
        return self._telemetry.file

    def upstreams(self) -> list[dict[str, object]]:
        seen, ended = self._edge.serve.snapshot, self._telemetry.tallies.endpoints
        return live.upstreams(seen, ended, self.members.names, self._timers.now())

    def routes(self) -> list[dict[str, object]]:
        return live.routes(self._edge.serve.snapshot)

    def limits(self, pairs: counts.Pairs) -> list[dict[str, object]]:
        return counts.counts(self._edge.serve.snapshot, self._limits, self._store, pairs, self._timers.now())

    async def end_held(
        self, chosen: ending.Selection, wanted: Callable[[], bool], begun_by: float = inf
    ) -> ending.Ended:
        return await ending.end(self._calls(), chosen, self._timers.now(), wanted, begun_by)

    async def endable(self, chosen: ending.Selection) -> tuple[list[float], int]:
        found, others = await ending.choose(self._calls(), chosen, self._timers.now())
        return [call.started for call in found], others

    def gauges(self) -> Gauges:
        room, reloads, traces = self._edge.room, self._reloads, self._telemetry.traces
        tallies = self._telemetry.tallies  # first: reading them brings the others up to date
        return Gauges(
            held=live.count(self._calls(), self._edge.serve.snapshot),
            connections=room.open,
            max_connections=room.limit,
            shed=room.shed,
            log_lines_dropped=self._telemetry.log.dropped,
            endpoints=live.endpoints(self._edge.serve.snapshot),
            endpoint_held=live.at_endpoints(self._edge.serve.snapshot),
            sessions_moved=live.moved_sessions(self._edge.serve.snapshot),
            sent_again=live.sent_again(self._edge.serve.snapshot),
            circuits=live.circuits(self._edge.serve.snapshot),
            spans=(traces.kept, traces.dropped) if traces is not None else None,
            tallies=tallies,
            names=self.members.names,
            draining=self._app.draining,
            reloads=reloads.counts["ok"],
            reloads_failed=reloads.counts["failed"],
            last_reload_ok=reloads.failure is None,
            last_reload_at=reloads.last,
            state=self.state(),
            notes_failed=self._app.notes.failed if self._app.notes is not None else None,
        )

    def _calls(self) -> Iterator[Call | None]:
        """Read one by one, also while connections come and go: each as it stands when its turn comes."""
        return (connection.call for connection in list(self._edge.connections))

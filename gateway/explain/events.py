"""What would happen to a parked call if the upstream stayed silent, the process drained, somebody left: each played on
a stage of its own, so that the real event table gives the answer, and told in one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.drain import SPREAD
from gateway.explain.model import Event
from gateway.explain.words import hidden, seconds, told
from gateway.holds.budget import OVERRUNS_FORGIVEN
from gateway.outcome import ENDINGS

if TYPE_CHECKING:
    from gateway.drain import Drain
    from gateway.explain.scene import Scene
    from gateway.explain.secrets import Mask

Play = Callable[[], AbstractContextManager["Scene"]]
_LAST = 0.999  # a lot is drawn from 0 to just below 1
_LATER = 5.0  # seconds after which an upstream is lost: late enough to show that less of the hold is left


def silence(play: Play, mask: Mask) -> Event:
    """The upstream says nothing until our clock runs out."""
    with play() as scene:
        scene.run_out()
        return _ended("upstream silent", scene, mask)


def events(play: Play, mask: Mask, quiet: Event, window: float, raw: bytes) -> tuple[Event, ...]:
    """Everything that may happen to a parked call, beginning with `quiet`, what `silence` gave. `window` is
    `server.drain` in seconds, `raw` the request."""
    found = [
        *_agreed(play),
        quiet,
        *_habit(play, mask, quiet),
        *_stopped(play),
        _lost(play, mask),
        _drained(play, mask, window),
    ]
    return (*found, _evicted(play, mask), *_second(play, mask, raw), _left(play, mask))


def _habit(play: Play, mask: Mask, quiet: Event) -> Iterator[Event]:
    """An overrun is forgiven so often in a row, then no more."""
    if quiet.outcome != "overrun":
        return
    with play() as scene:
        endpoint = scene.call.endpoint
        assert endpoint is not None
        endpoint.overruns = OVERRUNS_FORGIVEN
        scene.run_out()
        yield _ended(f"silent {OVERRUNS_FORGIVEN + 1} times in a row", scene, mask)


def _agreed(play: Play) -> Iterator[Event]:
    """The upstream changes the protocol: from then on it is no answer that is waited for."""
    with play() as scene:
        call = scene.call
        if call.upgrade is None or call.plan is None or call.plan.upgrade is None:
            return
        scene.switch()
        last = "the token's end" if call.clamped_by == "token" else "max_time"
        told = "both sides are told in a Close frame" if call.upgrade.framed else "both connections are reset"
        said = (
            f"a tunnel for {call.upgrade.protocol}: {told} when nothing passes for "
            f"{seconds(call.plan.upgrade.idle_timeout)}, after {seconds(call.deadline - scene.now)} at the latest "
            f"({last}), and at an instant of their own in a drain"
        )
        yield Event("upstream agrees (101)", said, "tunnelled")


def _stopped(play: Play) -> Iterator[Event]:
    """An answer that begins before there is news, and then nothing: only where that is no answer yet."""
    with play() as scene:
        call = scene.call
        if call.hold is None or not call.hold.early_headers:
            return
        scene.begin()
        scene.run_out()
        said = f"broken off after {seconds(scene.now)}" if scene.closed else "goes on"
        outcome = call.outcome.value if call.outcome is not None else None
        recorded = f"; recorded as {outcome}, note {call.note}" if outcome is not None else ""
        yield Event("answer begins, then silence", f"the answer that the client has of it is {said}{recorded}", outcome)


def _lost(play: Play, mask: Mask) -> Event:
    name = "upstream lost"
    with play() as scene:
        call = scene.call
        attempts, endpoint = call.attempts, call.endpoint
        scene.wait(min(_LATER, (call.due - scene.now) / 2))
        scene.lose()
        if not scene.parked or call.attempts == attempts:
            return _ended(name, scene, mask, "not sent again: ")
        where = "the same" if call.endpoint is endpoint else "another"
        left = f" with {seconds(call.wait_sent)} left of the hold" if call.wait_sent is not None else ""
        lost = scene.now
        while call.outcome is None:
            scene.lose()
        more = call.attempts - attempts
        times = "once more" if more == 1 else f"{more} times more"
        again = f"say after {seconds(lost)}: sent {times}, to {where} endpoint{left}; lost again: "
        return replace(_ended(name, scene, mask, again), replayed=True)


def _drained(play: Play, mask: Mask, window: float) -> Event:
    name = "drain (SIGTERM)"
    with play() as scene:
        if scene.call.blank is not None:
            scene.drain(0.0)  # the instant is drawn by lot; what is said is the same at each
            scene.run_out()
            spread = f"at an instant within {seconds(window * SPREAD)} of a window of {seconds(window)}: "
            return _ended(name, scene, mask, spread)
        alone = scene.call.due
        drain = scene.drain(window)
        due = scene.call.due
        if due == alone:
            return Event(name, f"runs on to its own end, {seconds(due)}, inside the window of {seconds(window)}")
        scene.run_out()
        return _by_lot(_ended(name, scene, mask, f"runs on for {seconds(due)}, the whole window; then "), drain)


def _by_lot(event: Event, drain: Drain) -> Event:
    """Retry-After is drawn by lot: its range stands for it."""
    answer = event.answer
    drawn = answer.header("Retry-After") if answer is not None else ""
    if answer is None or not drawn:
        return event
    said = f"{drain.retry_after(0.0)} to {drain.retry_after(_LAST)}"
    headers = tuple((name, said if name == "Retry-After" else value) for name, value in answer.headers)
    then = event.then.replace(f"Retry-After: {drawn}", f"Retry-After: {said}")
    return replace(event, then=then, answer=replace(answer, headers=headers))


def _evicted(play: Play, mask: Mask) -> Event:
    name = "evicted, or ended by hand"
    with play() as scene:
        scene.serve.on_evict(scene.call)
        if scene.parked:
            return Event(name, 'cannot be: only the upstream may say "no news" here, so the call runs on')
        return _ended(name, scene, mask)


def _second(play: Play, mask: Mask, raw: bytes) -> Iterator[Event]:
    """Another poll of the same poller comes, and where it only waits yet another."""
    with play() as scene:
        hold = scene.call.hold
        if hold is None or hold.concurrency == "many":
            return
        answer = hidden(scene.again(raw), scene.call.id, mask)
        if not scene.parked:
            yield _ended("a second poll comes", scene, mask, "it goes on, and this one ends: ")
        elif answer is not None:
            yield Event("a second poll comes", f"it is told {told(answer)}; this one goes on", answer=answer)
        elif scene.keeps_back:
            third = hidden(scene.again(raw), scene.call.id, mask)
            said = f"; a third is told {told(third)}" if third is not None else ""
            yield Event("a second poll comes", f"it waits until this one has ended{said}", answer=third)
        else:
            yield Event("a second poll comes", "both are held, for the request does not say who polls")


def _left(play: Play, mask: Mask) -> Event:
    with play() as scene:
        pair = scene.upstream
        scene.leave()
        gone = pair is not None and pair[1].over is not None
        return _ended("client leaves", scene, mask, "the upstream connection is reset at once" if gone else "")


def _ended(name: str, scene: Scene, mask: Mask, prefix: str = "") -> Event:
    """What the client was told, as a sentence and as values."""
    call = scene.call
    answer = hidden(scene.answer, call.id, mask)
    if call.outcome is None:
        return Event(name, prefix + "the call goes on", answer=answer)
    said = told(answer) if answer is not None else "the connection is closed" if scene.closed else ""
    blame = ENDINGS[call.outcome].blame.value
    whose = f", blame {blame}" if blame != "none" else ""
    return Event(name, f"{prefix}{said}; recorded as {call.outcome.value}{whose}", call.outcome.value, blame, answer)

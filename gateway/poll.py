"""`gateway poll`: a well-behaved long-poll client. Here are the loop, its live line and the command; what
to do after an answer is decided in `polling/rules.py`, one request is made in `polling/request.py`.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import click
from yarl import URL

from gateway.options import Seconds
from gateway.polling.request import Poll, Target, open_session, poll_once
from gateway.polling.rules import Draw, Next, Place, Rules, What, as_cursor, decide
from gateway.polling.text import printable, seconds, show

SHOWN_ITEMS = 20
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")


@dataclass(slots=True)
class Tally:
    """How many polls ended in what; the last line of a run."""

    counts: dict[What, int] = field(default_factory=lambda: dict.fromkeys(What, 0))

    def __str__(self) -> str:
        parts = ", ".join(f"{self.counts[what]} {what}" for what in What if self.counts[what])
        total = sum(self.counts.values())
        return f"{total} poll{'s' * (total != 1)}" + (f": {parts}" if parts else "")


async def follow(
    target: Target,
    say: Callable[[str], None],
    *,
    rules: Rules | None = None,
    draw: Draw = random.uniform,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    tally: Tally | None = None,
) -> str | None:
    """Polls until it must stop and returns why; None when `max_polls` were made and the last went well."""
    rules, tally = rules or Rules(), tally or Tally()
    given = target.url.query.get(target.cursor_param)
    place = Place(as_cursor(given) if given else None)
    async with open_session(target) as session:
        while True:
            poll = await poll_once(session, target, place.cursor)
            step = decide(place, poll.answer, rules, draw)
            place = step.place
            tally.counts[step.what] += 1
            done = target.max_polls is not None and sum(tally.counts.values()) >= target.max_polls
            for line in lines(poll, step, last=done or step.stop is not None):
                say(line)
            if step.stop is not None:
                return step.stop if poll.answer.status is None else f"{poll.answer.status}: {step.stop}"
            if done:
                return "the last poll failed" if step.what is What.FAILED else None
            await sleep(step.delay)


def lines(poll: Poll, step: Next, *, last: bool = False) -> list[str]:
    """The live line of a poll, and below it the news it brought."""
    answer, first = poll.answer, poll.first_byte
    none = "-" if answer.status is None else "reused"
    connect = none if poll.connect is None else seconds(poll.connect)
    what = f"news, {answer.items} item{'s' * (answer.items != 1)}" if step.what is What.NEWS else str(step.what)
    parts = [
        time.strftime("%H:%M:%S"),
        f"{answer.status or '---'}",
        f"{what:<14}",
        f"held {seconds(answer.held):>8}",
        f"connect {connect:>8}",
        f"first byte {'-' if first is None else seconds(first):>8}",
        f"total {seconds(poll.total):>8}",
        f"cursor {'-' if step.place.cursor is None else printable(str(step.place.cursor))}",
    ]
    if poll.detail:
        parts.append(f"({poll.detail})")
    if not last and step.delay >= 0.05:
        parts.append(f"next in {seconds(step.delay)}")
    shown = [f"          {show(item)}" for item in poll.items[:SHOWN_ITEMS]] if step.what is What.NEWS else []
    if len(poll.items) > SHOWN_ITEMS:
        shown.append(f"          .. and {len(poll.items) - SHOWN_ITEMS} more")
    return ["  ".join(parts), *shown]


def read_header(text: str) -> tuple[str, str]:
    """`Name: value` as typed after -H.

    Raises click.BadParameter if it is not a header field (RFC 9110 section 5.5).
    """
    match = _HEADER.fullmatch(text.strip(" \t"))
    if match is None:
        raise click.BadParameter("not a header; write it as 'Name: value'", param_hint="-H")
    return match[1], match[2].rstrip(" \t")


def read_url(text: str) -> URL:
    """An http(s) address as typed.

    Raises click.BadParameter for anything else.
    """
    try:
        url = URL(text)
        if url.scheme in ("http", "https") and url.host and url.port:
            return url.with_fragment(None)
    except ValueError:
        pass
    raise click.BadParameter("not a full address; write it as http://host:port/path", param_hint="URL")


@click.command("poll", short_help="Follow an address, as a well-behaved long-poll client.")
@click.argument("url")
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="Request header; may be repeated.",
)
@click.option("--follow/--once", "following", default=True, show_default=True, help="Keep polling, or poll once.")
@click.option(
    "--cursor-param",
    default="last_event_id",
    show_default=True,
    help="Query parameter that carries the cursor.",
)
@click.option("--cursor-field", default="id", show_default=True, help="Field of an item that holds its id.")
@click.option(
    "--timeout",
    type=Seconds(),
    default=25,
    show_default=True,
    metavar="SECONDS",
    help="Hold to ask for.",
)
@click.option(
    "--timeout-param",
    default="timeout",
    show_default=True,
    help="Query parameter that carries it; '' sends none.",
)
@click.option("--max-polls", type=click.IntRange(1), metavar="N", help="Stop after N polls.")
def poll_command(
    url: str,
    headers: tuple[str, ...],
    following: bool,
    cursor_param: str,
    cursor_field: str,
    timeout: float,
    timeout_param: str,
    max_polls: int | None,
) -> None:
    """Long-poll URL and print one line per poll, with the news below it.

    The cursor is the largest id seen; it starts from the one in URL, if any. Failures are retried with
    growing, random pauses; a refusal that will not change (401, 404 ..) ends the run with exit code 1.
    """
    target = Target(
        read_url(url),
        tuple(read_header(text) for text in headers),
        cursor_param,
        cursor_field,
        timeout_param,
        timeout,
        max_polls if following else 1,
    )
    tally = Tally()
    try:
        trouble = asyncio.run(follow(target, click.echo, tally=tally))
    except KeyboardInterrupt:
        trouble = None
        click.echo()
    click.echo(str(tally))
    if trouble is not None:
        raise click.ClickException(trouble)

"""What a comparison must not get wrong: a peer that does not do its work, one that is missing, a bar, and the page.
Every peer that is installed is verified and measured as a full run does it, with few polls.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from .__main__ import _chosen, main
from .load import Control
from .measure import Figures, Scale, hold, idle, short, warm
from .peers import comparing
from .peers import verify as verifying
from .peers.bars import BARS, Bar
from .peers.comparing import Comparison, bodies, compare
from .peers.gateway import CONF, GATEWAY, NAIVE, SHARED
from .peers.judging import by_turn
from .peers.known import PEERS
from .peers.machine import Machine
from .peers.page import write
from .peers.peer import Limits, Peer
from .peers.playing import Told, playing
from .peers.plot import plot
from .peers.tables import as_text, bars
from .peers.verify import UntrueError, verify
from .process import MeasureError
from .proxies import Ports

TINY = Scale(polls=40, wakes=1, idle=0.1, short=0.1, unseen=64)
ROOT = Path(__file__).parents[2]
LONG = 'max            = "120s"'
MACHINE = Machine(0.5, (80.0, 81.0))


@pytest.fixture(params=list(PEERS.values()), ids=list(PEERS))
def peer(request: pytest.FixtureRequest) -> Peer:
    chosen: Peer = request.param
    if reason := chosen.missing():
        pytest.skip(reason)
    return chosen


async def test_every_peer_does_what_its_row_says(peer: Peer) -> None:
    await verify(peer, hold_for=1.0)


async def test_every_peer_is_measured(peer: Peer) -> None:
    figures: Figures = {}
    async with playing(peer, Limits()) as on:
        for measure in (hold, short, bodies, idle):
            for sample in await measure(on, TINY):
                figures |= sample
    assert figures["woken"] == TINY.polls
    assert {bar.key for bar in BARS} <= set(figures)
    assert all(figures[key] for key in ("wake_us", "wake_all", "short_us", "unseen_us", "answer_us", "upload_us"))


LIES = {
    "jwt": replace(NAIVE, jwt="so it says"),
    "rates": replace(NAIVE, rates="so it says"),
    "held": replace(NAIVE, held="so it says"),
    "log": replace(NAIVE, log="so it says", records="calls.jsonl"),
}
MODESTY = {"jwt": replace(GATEWAY, jwt=""), "rates": replace(GATEWAY, rates=""), "held": replace(GATEWAY, held="")}


@pytest.mark.parametrize("liar", LIES.values(), ids=LIES)
async def test_a_peer_that_does_not_do_what_its_row_says_is_found_out(
    liar: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "WITHIN", 4.0)
    with pytest.raises(UntrueError, match="naive"):
        await verify(liar, hold_for=0.1)


@pytest.mark.parametrize("modest", MODESTY.values(), ids=MODESTY)
async def test_a_peer_that_does_more_than_its_row_says_is_found_out(modest: Peer) -> None:
    with pytest.raises(UntrueError, match="gateway"):
        await verify(modest, hold_for=0.1)


async def test_a_poll_that_ends_before_its_time_is_found_out() -> None:
    def impatient(ports: Ports, directory: Path, limits: Limits) -> list[str]:
        command = GATEWAY.command(ports, directory, limits)
        path = Path(command[-1])
        path.write_text(path.read_text().replace(LONG, 'max = "1s"\nabsent = "1s"\nmargin = "100ms"'))
        return command

    with pytest.raises(UntrueError, match="did not hold a poll for 3 s"):
        await verify(replace(GATEWAY, command=impatient), hold_for=3.0)


async def test_who_is_missing_is_named_and_the_others_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(NAIVE, name="nginx", programs=("no-such-program",), package="install it")
    failing = replace(NAIVE, name="caddy", command=lambda *_: ["false"])
    monkeypatch.setattr(comparing, "PEERS", {"nginx": absent, "caddy": failing, "naive": NAIVE})
    done = await compare(["nginx", "caddy", "naive"], ["hold"], TINY, 2, quick=True)
    assert list(done.peers) == list(done.turns) == ["naive"] and len(done.turns["naive"]) == 2
    assert done.absent[0] == "nginx is not installed (no-such-program not found): install it"
    assert done.absent[1].startswith("caddy ended with 1")


def test_there_is_no_comparison_without_the_gateway() -> None:
    with pytest.raises(MeasureError, match="it died"):
        Comparison().leaves("gateway", "it died")


@pytest.mark.parametrize(
    ("bar", "ours", "theirs", "ratio", "verdict"),
    [
        (Bar("", "k", "nginx", 1.3), 13.0, 10.0, 1.3, "ok"),
        (Bar("", "k", "nginx", 1.3), 14.0, 10.0, 1.4, "MISS"),
        (Bar("", "k", "nginx", 1.3), 14.0, None, None, "not measured"),
        (Bar("", "k", "nginx", 1.3), None, 10.0, None, "not measured"),
        (Bar("", "k", "naive", 4, beaten=True), 2.0, 8.0, 4.0, "ok"),
        (Bar("", "k", "naive", 4, beaten=True), 2.0, 7.0, 3.5, "MISS"),
        (Bar("", "k", "", 1.0), 1.0, None, 1.0, "ok"),
        (Bar("", "k", "", 1.0), 1.1, None, 1.1, "MISS"),
        (Bar("", "k", "", 1.0), 0.0, None, 0.0, "ok"),
    ],
)
def test_a_bar_is_judged_by_the_ratio(
    bar: Bar, ours: float | None, theirs: float | None, ratio: float | None, verdict: str
) -> None:
    reached = bar.reached({"k": ours}, {"k": theirs} if theirs else {})
    assert reached == ratio
    assert bar.verdict(reached) == verdict


def compared() -> Comparison:
    """A run of two turns in which nginx could not be measured."""
    turns: dict[str, list[Figures]] = {
        "gateway": [{"hold_kib": 4.0}, {"hold_kib": 6.0}, {"short_us": 40.0, "unseen_us": None}],
        "haproxy": [{"hold_kib": 8.0}, {"hold_kib": 8.0}, {"short_us": 20.0}],
    }
    told = {
        name: Told({"conf": f"text of {name} in /tmp/b\n"}, [f"/opt/{name}", "/tmp/b/conf"], Path("/tmp/b"))
        for name in turns
    }
    peers = {name: replace(PEERS[name], version=()) for name in turns}
    return Comparison(peers, turns, told, ["nginx is not installed (nginx not found): apt-get install nginx"])


def test_the_bars_show_what_each_turn_gave_and_what_was_not_measured() -> None:
    done = compared()
    assert by_turn(BARS[0], done) == [0.5, 0.75]
    lines = as_text(bars(done)).splitlines()
    assert lines[1].split()[-7:] == ["0.62x", "<=", "0.75x", "ok", "0.6x", "0.50,", "0.75"]
    assert "not measured" in lines[2]
    assert "2.00x" in lines[5] and "MISS" in lines[5]


def test_the_page_has_figures_duties_configurations_and_who_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "figures.md", compared(), Scale(), 3, MACHINE)
    page = (tmp_path / "figures.md").read_text()
    for part in (
        "| gateway | 5.00 |", "never", "text of haproxy in .", "<code>haproxy ./conf</code>", "(figures.svg)",
        "Not compared: nginx is not installed", "81 ms after", "jwt_verify",
    ):  # fmt: skip
        assert part in page
    assert "/opt/" not in page and "/tmp/" not in page
    ElementTree.parse(tmp_path / "figures.svg")


def test_the_plot_shows_a_bar_for_each_figure_and_the_longest_for_the_dearest() -> None:
    done = compared()
    picture = ElementTree.fromstring(plot(done))
    widths = [one.attrib["width"] for one in picture.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert widths == ["181.2", "290.0", "290.0", "145.0"]


def test_what_the_example_configures_for_a_poll_is_on_in_what_is_measured() -> None:
    example = tomllib.loads((ROOT / "gateway.example.toml").read_text())
    measured = tomllib.loads(
        CONF.format(port=1, admin=2, upstream=3, collector=4, server="", state="memory://", issuer="i", audience="a",
                    directory="/tmp", **Limits()._asdict())
    )  # fmt: skip
    assert kinds(example, "updates") <= kinds(measured, "poll")
    assert set(example["upstream"]["updates"]["identity"]) - {"certificate"} <= set(
        measured["upstream"]["bench"]["identity"]
    )


def kinds(config: dict[str, dict[str, dict[str, object]]], route: str) -> set[str]:
    """What the policies of a route are made of, and the shipped ones by name."""
    found: set[str] = set()
    routes: list[dict[str, list[str]]] = config["route"]  # type: ignore[assignment]
    for name in next(one for one in routes if one["name"] == route)["policies"]:  # type: ignore[comparison-overlap]
        found |= set(config["policy"].get(name, {name: {}}))
    return found


async def test_what_is_measured_of_shared_state_is_shared_state() -> None:
    async with playing(SHARED, Limits()) as on:
        await warm(on)
        metrics = await (await Control.connect(on.admin)).ask("GET /metrics")
    assert int(re.search(rb'longpoll_state_decisions_total\{by="asked"\} (\d+)', metrics)[1]) > 32  # type: ignore[index]


def test_a_proxy_is_chosen_by_its_name_or_by_what_several_begin_with() -> None:
    known = ["gateway", "gateway-tls", "storm-fin", "storm-rst"]
    assert _chosen(known, "gateway, storm", "proxy") == ["gateway", "storm-fin", "storm-rst"]


def test_a_page_is_only_written_of_a_comparison() -> None:
    said = CliRunner().invoke(main, ["--docs", "figures.md"])
    assert said.exit_code == 2 and "add --peers" in said.output

"""Whatever a file says, checking it ends in problems or in a configuration, never in anything else."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.check import check
from gateway.config.load import Loaded, Source
from gateway.config.schema import Document

TABLES = ("include", "server", "admin", "state", "log", "telemetry", "jwt", "upstream", "route", "policy")
KEYS = """
    name match upstream policies hold jwt cors headers allow_list body_size when ask absent max empty idle cursor
    refusals any all in path host methods listen tls front drain keys secret algorithms from endpoints url weight
    balance request response set remove provider claims origins addresses jitter 429 x
"""
TEXTS = """
    25s 1KiB GET /a /{x}/** u p main env:X file:x query:x header:A 127.0.0.1:80 http://a HS256 RS256 template
    origin stdout * https://a.b status==204 {query:x}
"""

scalars = (
    st.sampled_from(TEXTS.split()) | st.text(max_size=8) | st.integers() | st.booleans() | st.floats()
    | st.just(datetime.date(2024, 1, 1))
)  # fmt: skip
names = st.sampled_from(KEYS.split()) | st.text(max_size=4)
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)


def judge(data: dict[str, Any], role: str = "main") -> None:
    sources = (Source("g.toml", Path("/nonexistent"), data, role),)
    config, problems, notices = check(Loaded(Path("g.toml"), sources), {})
    assert (config is None) == bool(problems)
    for line in (*map(str, problems), *notices):
        assert line.startswith("g.toml: ")
        assert "\n" not in line


@given(st.dictionaries(st.sampled_from(TABLES) | names, values, max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_tables_end_in_problems_or_a_configuration(data: dict[str, Any]) -> None:
    judge(data)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "jwt": st.dictionaries(st.just("main"), st.dictionaries(names, values, max_size=5), max_size=1),
            "upstream": st.just({"u": {"endpoints": ["http://a:1"]}}),
            "policy": st.fixed_dictionaries({"p": st.fixed_dictionaries({"hold": st.dictionaries(names, values)})}),
            "route": st.lists(
                st.fixed_dictionaries(
                    {"name": st.sampled_from("ab"), "match": st.just({"path": "/a"}), "upstream": st.just("u")},
                    optional={"policies": st.just(["p"]), "hold": st.dictionaries(names, values, max_size=4)},
                ),
                max_size=2,
            ),
        },
    )
)
@settings(max_examples=150, deadline=None)
def test_nearly_right_tables_end_in_problems_or_a_configuration(data: dict[str, Any]) -> None:
    judge(data)
    judge(data, "include")


def test_every_default_is_one_that_a_person_could_write() -> None:
    assert Document.model_validate({}).server.drain == 25

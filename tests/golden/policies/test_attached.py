"""All shipped policies attached at once, each on a route as its file says: they check without a word and compile,
also side by side; one that no route uses is not even read. How long that takes is measured by `make bench`.
"""

from __future__ import annotations

import re
import time
import tomllib
from pathlib import Path

import pytest

from gateway.config.assemble import assemble
from gateway.config.compile import compile_config
from gateway.config.load import load
from tests.golden.policies.shelf import NAMES, configured, everything
from tests.unit.config.kit import ENVIRON, checked

# A poll that only its upstream may end may outlast the drain that a default configuration gives it: that is said.
SAID = ("may not be ended early, but drain is", "anyone may call it")


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_attached_as_its_file_says_is_clean(name: str, tmp_path: Path) -> None:
    result = checked(tmp_path, configured(name))
    assert result.problems == []
    assert [notice for notice in result.notices if not any(said in notice for said in SAID)] == []
    assert result.config is not None
    hold = compile_config(result.config, time.time, ENVIRON).plans[0].hold
    assert hold is not None
    assert hold.dialect == name


def test_all_of_them_can_be_attached_side_by_side(tmp_path: Path) -> None:
    result = checked(tmp_path, everything())
    assert result.problems == []
    assert result.config is not None
    plans = compile_config(result.config, time.time, ENVIRON).plans
    assert [plan.hold.dialect for plan in plans if plan.hold is not None] == NAMES


def test_a_policy_that_no_route_uses_is_not_read(tmp_path: Path) -> None:
    main = tmp_path / "gateway.toml"
    main.write_text(configured("cursor-updates"))
    loaded = load(main)
    assert [source.file for source in loaded.sources] == [str(main), "shipped cursor-updates.toml"]
    assert list(assemble(loaded).config.policies) == ["cursor-updates"]


def test_the_wheel_takes_all_of_them_along() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))
    assert (
        project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]["policies"] == "gateway/shipped_policies"
    )


@pytest.mark.parametrize("front", ["aws-alb", "cloudflare", "heroku"])
@pytest.mark.parametrize("name", NAMES)
def test_who_does_as_check_says_behind_an_edge_is_not_told_so_again(name: str, front: str, tmp_path: Path) -> None:
    """Every complaint about the edge names what to write on the route; written there, none is left."""
    server = f'[server]\nfront = "{front}"\n'
    said = [each for each in checked(tmp_path, server + configured(name)).problems if front in each]
    remedies = [each.partition("; ")[2].partition(", or over_max")[0] for each in said]
    advised = dict(pair for each in remedies for pair in re.findall(r'\b(\w+) = ("[^"]+"|true)', each))
    if any("smaller jitter" in each for each in remedies):  # longer than the edge waits: a person has to choose
        advised = {"jitter": '{ span = "0s" }', "max": '"20s"', "absent": '"20s"', "min": '"1s"'}
    assert bool(advised) is bool(said)
    more = "[route.hold]\n" + "".join(f"{key} = {value}\n" for key, value in advised.items())
    assert checked(tmp_path, server + configured(name, more=more)).problems == []

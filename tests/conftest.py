"""Settings of every test: Hypothesis sets no time limits, because no test may depend on the speed of a machine, and its
tests, which work all the time where others wait, have longer before they are taken for hung. So have those that
start a machine of workers.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

AT_WORK = 300  # seconds: one that takes 7 alone takes 70 beside eight others
MACHINES = 180  # seconds: each start of a machine of workers has 60 of its own (tests/kit/machines.py)
STARTERS = {"tests.kit.machines", "tests.kit.successions"}


def pytest_configure() -> None:
    settings.register_profile("gateway", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
    settings.load_profile("gateway")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout"):
            continue
        if item.get_closest_marker("hypothesis"):
            item.add_marker(pytest.mark.timeout(AT_WORK))
        elif _starts_machines(item):
            item.add_marker(pytest.mark.timeout(MACHINES))


def _starts_machines(item: pytest.Item) -> bool:
    names = vars(item.module) if isinstance(item, pytest.Function) else {}
    return any(getattr(each, "__module__", "") in STARTERS for each in names.values())

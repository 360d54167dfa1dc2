"""Settings of every test: Hypothesis sets no time limits, because no test may depend on the speed of a machine, and its
tests, which work all the time where others wait, have longer before they are taken for hung.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

AT_WORK = 300  # seconds: one that takes 7 alone takes 70 beside eight others


def pytest_configure() -> None:
    settings.register_profile("gateway", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
    settings.load_profile("gateway")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("hypothesis") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(AT_WORK))

"""Settings of every test: Hypothesis sets no time limits, because no test may depend on the speed of a machine."""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def pytest_configure() -> None:
    settings.register_profile("gateway", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
    settings.load_profile("gateway")

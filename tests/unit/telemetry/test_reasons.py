"""Why an export failed: the first word of the exporter's own thread, in a form that any log can take."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from gateway.telemetry.otlp import MAX_REASON, Reasons

EXPORTER = logging.getLogger("opentelemetry.exporter.test")


@pytest.fixture
def reasons() -> Iterator[Reasons]:
    found = Reasons()
    found.listen()
    yield found
    found.close()


def test_the_first_of_several_reasons_is_told_once(reasons: Reasons) -> None:
    EXPORTER.warning("refused")
    EXPORTER.error("gave up")
    assert [reasons.take(), reasons.take()] == ["refused", ""]
    EXPORTER.error("again")
    assert reasons.take() == "again"


def test_what_a_collector_says_is_one_short_line(reasons: Reasons) -> None:
    EXPORTER.error("code: 500, reason: \x1b[2J\r\n\u2028" + "x" * 5000)
    said = reasons.take()
    assert said.startswith(r"code: 500, reason: \x1b[2J\r\n\u2028x") and said.isprintable()
    assert len(said) <= MAX_REASON + 20


def test_another_threads_reasons_are_not_ours(reasons: Reasons) -> None:
    other = threading.Thread(target=EXPORTER.error, args=("of the other",))
    other.start()
    other.join()
    assert reasons.take() == ""


def test_nobody_is_told_after_the_end(reasons: Reasons, capfd: pytest.CaptureFixture[str]) -> None:
    reasons.close()
    EXPORTER.error("shut down already")
    assert reasons.take() == "" and capfd.readouterr().err == ""

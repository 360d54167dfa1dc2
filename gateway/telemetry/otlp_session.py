"""How a collector is asked and how much of its answer is read. The exporters take a redirect for success, and would
read an answer without an end until there is no memory left: here both are failures, with a reason.
"""

from __future__ import annotations

import time
from typing import Any

import requests

from gateway.telemetry.otlp import TIMEOUT

MAX_ANSWER = 64 * 1024  # bytes; what a collector says is empty, or names what it did not take


class Session(requests.Session):
    """For one exporter, whose `OTEL_EXPORTER_OTLP_CERTIFICATE` counts also where there is a `REQUESTS_CA_BUNDLE`."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks["response"].append(_read)
        self._settings: dict[str, Any] | None = None

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """`requests` lets the environment win over what a session was told. It is looked through once: each time would
        be a quarter of an export."""
        if self._settings is None:
            self._settings = super().merge_environment_settings(url, proxies, stream, verify or self.verify, cert)
        return self._settings


def _read(response: requests.Response, timeout: float = TIMEOUT, **_: Any) -> None:
    """Raises a RequestException, with the reason, for an answer that means nothing was taken."""
    if 300 <= response.status_code < 400:
        raise requests.RequestException(f"it is elsewhere: {response.headers.get('Location', 'it does not say where')}")
    size, end = 0, time.monotonic() + timeout
    while piece := response.raw.read1(4096):
        size += len(piece)
        if size > MAX_ANSWER or time.monotonic() > end:
            response.close()
            raise requests.RequestException("its answer does not end")

"""A real Prometheus, as Debian packages it, that scrapes a gateway and is asked over its API. Where it is not installed
the tests that need it are skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .gateways import fetch, free_port
from .waiting import until_sync

NEEDED = ("prometheus", "promtool")
needs_prometheus = pytest.mark.skipif(
    not all(map(shutil.which, NEEDED)), reason="prometheus is not installed (on Debian: apt-get install prometheus)"
)


def promtool(*arguments: object) -> str:
    """What it says; it fails the test where it finds fault."""
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@dataclass
class Prometheus:
    port: int

    def get(self, path: str, **query: str | Sequence[str]) -> Any:
        """`data` of an answer of the API; a query it cannot run fails the test."""
        status, body = fetch(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query, doseq=True)}")
        found = json.loads(body)
        assert (status, found["status"]) == (200, "success"), (query, found)
        return found["data"]

    def ask(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and values of an expression, now; values that are no numbers (nothing by nothing) are left out."""
        found = self.get("query", query=expression)
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        samples = [(one["metric"], float(one["value"][1])) for one in found["result"]]
        return [(labels, value) for labels, value in samples if value == value]

    async def asked(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """`ask` for a test that has a loop to keep going."""
        return await asyncio.to_thread(self.ask, expression)


@contextlib.contextmanager
def prometheus(folder: Path, rules: Path, job: str, target: str, interval: str = "500ms") -> Iterator[Prometheus]:
    """It scrapes `target` and runs `rules` so often; its data is in `folder`."""
    port = free_port()
    file = folder / "prometheus.yml"
    every = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
    jobs = [{"job_name": job, "static_configs": [{"targets": [target]}]}]
    file.write_text(json.dumps({"global": every, "rule_files": [str(rules)], "scrape_configs": jobs}))
    command = ["prometheus", f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}"]
    command += [f"--storage.tsdb.path={folder}/data", "--enable-feature=exemplar-storage", "--log.level=warn"]
    with (folder / "prometheus.txt").open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, cwd=folder)
    try:
        ready = f"http://127.0.0.1:{port}/-/ready"
        until_sync(lambda: process.poll() is not None or fetch(ready)[0] == 200, "prometheus")
        assert process.poll() is None, (folder / "prometheus.txt").read_text("utf-8", "replace")
        yield Prometheus(port)
    finally:
        process.kill()
        process.wait()

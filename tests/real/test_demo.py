"""`gateway demo` as a person runs it: a process of its own, the printed lines, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.kit.gateways import fetch, free_port
from tests.kit.waiting import until_sync


@dataclass
class Demo:
    process: subprocess.Popen[bytes]
    output: Path
    port: int
    admin_port: int

    @property
    def text(self) -> str:
        return self.output.read_text("utf-8")

    @property
    def session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        found = re.search(r"^TOKEN=(\S+)$", self.text, re.MULTILINE)
        assert found is not None, self.text
        session.headers["Authorization"] = f"Bearer {found[1]}"
        return session

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def held(self) -> int:
        return int(json.loads(fetch(self.url("/stats"))[1])["held"])

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        until_sync(lambda: self.process.poll() is not None, "the end of the demo")
        return int(self.process.returncode)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    port, admin_port, output = free_port(), free_port(), tmp_path / "output.txt"
    options = ["--port", str(port), "--admin-port", str(admin_port)]
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "demo", *options],
            stdout=sink,
            stderr=sink,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        until_sync(
            lambda: process.poll() is not None or "Ctrl-C ends the demo" in output.read_text("utf-8"), "the greeting"
        )
        assert process.poll() is None, output.read_text("utf-8")
        yield Demo(process, output, port, admin_port)
    finally:
        if process.poll() is None:
            process.terminate()  # not killed: it removes its folder
        process.wait()


def test_the_printed_lines_do_what_they_say(demo: Demo) -> None:
    with demo.session as session:
        published = session.post(demo.url("/publish"), data={"message": "hello"}, timeout=20)
        assert (published.status_code, published.json()) == (201, {"id": 1})
        answers: list[requests.Response] = []
        url = demo.url("/updates?last_event_id=1&timeout=20")
        poll = threading.Thread(target=lambda: answers.append(session.get(url, timeout=40)))
        poll.start()
        until_sync(lambda: demo.held() == 1, "a held poll")
        (held,) = json.loads(fetch(f"http://127.0.0.1:{demo.admin_port}/api/held")[1])["calls"]
        top = [sys.executable, "-m", "gateway", "top", "--url", f"http://127.0.0.1:{demo.admin_port}", "--once"]
        seen = subprocess.run(top, capture_output=True, text=True, check=True, timeout=50).stdout.splitlines()
        assert seen[-1].split()[:3] == [held["route"], held["consumer"], "parked"]
        with demo.session as other:
            other.post(demo.url("/publish"), json={"message": "news"}, timeout=20)
        poll.join(20)
        assert [event["message"] for event in answers[0].json()] == ["news"]
        assert fetch(url)[0] == 401
        assert fetch(f"http://127.0.0.1:{demo.admin_port}/healthz")[0] == 200
        status, page = fetch(demo.url("/"))
        assert (status, b"<title>Long-poll demo</title>" in page) == (200, True)
    until_sync(lambda: '"outcome":"news"' in demo.text, "the record of the poll")


def test_ctrl_c_ends_it_cleanly_although_a_poll_is_held(demo: Demo) -> None:
    with demo.session as session:
        answers: list[requests.Response] = []
        url = demo.url("/updates?last_event_id=0&timeout=40")
        poll = threading.Thread(target=lambda: answers.append(session.get(url, timeout=50)))
        poll.start()
        until_sync(lambda: demo.held() == 1, "a held poll")
        assert demo.interrupt() == 0
        poll.join(20)
        assert [(answer.status_code, answer.json()) for answer in answers] == [(200, [])]
    assert demo.text.rstrip().endswith("bye")
    assert "Traceback" not in demo.text


def test_the_dashboard_is_where_the_greeting_says(demo: Demo) -> None:
    address = f"http://127.0.0.1:{demo.admin_port}/"
    assert f"\n{address}\n" in demo.text
    status, page = fetch(address)
    assert status == 200 and b"longpoll-gateway" in page

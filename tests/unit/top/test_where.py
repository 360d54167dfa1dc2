"""Which gateway is watched, as a person types it; and what a gateway that is not watched never loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.addresses import Listen
from gateway.top.where import Where, at, parse_url


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("127.0.0.1:9090", Where("http://127.0.0.1:9090", "127.0.0.1:9090")),
        ("http://127.0.0.1:9090/", Where("http://127.0.0.1:9090", "http://127.0.0.1:9090")),
        ("https://ops.example.com/gateway", Where("https://ops.example.com/gateway", "https://ops.example.com/gateway")),
        ("0.0.0.0:9090", Where("http://127.0.0.1:9090", "0.0.0.0:9090")),
        ("unix:/run/a.sock", Where("http://localhost", "unix:/run/a.sock", "/run/a.sock")),
    ],
)  # fmt: skip
def test_an_address_is_read(text: str, where: Where) -> None:
    assert parse_url(text) == where


@pytest.mark.parametrize(
    "text",
    ["", "x", "9090", "http://", "http://user:secret@host/", "http://h/?a=b", "http://h:0/", "http://h:x", "http://h/#a",
     "http://h\n/", "127.0.0.1:0", "ftp://h:21", "http://[::1"],
)  # fmt: skip
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"; write |is another one at every start"):
        parse_url(text)


def test_the_socket_of_a_configuration_is_a_place(tmp_path: Path) -> None:
    assert at(Listen("", 0, f"{tmp_path}/a")).socket == f"{tmp_path}/a"


def test_a_gateway_that_serves_loads_no_screen_and_no_database() -> None:
    loaded = "import sys, gateway.process, gateway.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=50)
    assert "gateway" in done.stdout.split()
    assert not {"textual", "rich", "duckdb", "pygal", "jinja2"} & set(done.stdout.split())

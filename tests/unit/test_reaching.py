"""Where a running gateway is asked, and with what token, as its configuration says."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from gateway.config.addresses import Listen
from gateway.reaching import admin_listen, admin_token, base_url


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        (Listen("127.0.0.1", 9090), "http://127.0.0.1:9090"),
        (Listen("::1", 9090), "http://[::1]:9090"),
        (Listen("0.0.0.0", 9090), "http://127.0.0.1:9090"),
        (Listen("::", 9090), "http://[::1]:9090"),
        (Listen("localhost", 9090), "http://localhost:9090"),
        (Listen("", 0, "/run/a.sock"), "http://localhost"),
    ],
)
def test_a_listener_for_everybody_is_asked_on_loopback(listen: Listen, url: str) -> None:
    assert base_url(listen) == url


def write(folder: Path, text: str) -> Path:
    file = folder / "gateway.toml"
    file.write_text(text)
    return file


def test_the_token_stands_where_the_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    assert admin_token(write(tmp_path, '[admin]\ntoken = "env:TOKEN"\n'), {"TOKEN": "xyz"}) == "xyz"
    assert admin_token(write(tmp_path, '[admin]\ntoken = "file:token"\n'), {}) == "abc"
    assert admin_token(write(tmp_path, "[admin]\n"), {}) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\n", "has no admin listener to ask; add [admin]"),
        ('[admin]\ntoken = "env:TOKEN"\n', "admin.token: the environment variable TOKEN is not set; "),
        ("[admin]\ntoken = 7\n", 'admin.token: is not a secret; write "env:NAME" or "file:PATH"'),
    ],
)
def test_a_token_that_cannot_be_had_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(click.ClickException) as caught:
        admin_token(write(tmp_path, text), {})
    assert said in caught.value.message


def test_only_the_table_of_the_admin_listener_is_looked_at(tmp_path: Path) -> None:
    assert admin_listen(write(tmp_path, "[admin]\n[server]\nspelt = 'wrong'\n")) == Listen("127.0.0.1", 9090)

"""Who the client is, and who says so, as an explanation tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.explain.model import Explanation
from gateway.explain.text import render
from tests.kit.certificates import make_certificate

from .kit import configured, told

TRUSTED = "[server]\ntrusted_proxies = ['10.0.0.0/8']\n"
ANNOUNCED = "--from is taken as whom the PROXY header names, which server.trusted_proxies send"
NOT_BELIEVED = "not believed, for 127.0.0.1 is not in server.trusted_proxies"


def of(story: Explanation) -> str:
    """The section's text, however its lines are broken."""
    sections = [part.partition("\n") for part in render(story).split("\n\n")]
    return " ".join(" ".join(text.split()) for title, _, text in sections if title == "Client")


@pytest.mark.parametrize(
    ("more", "peer", "fields", "lines"),
    [
        ("", "127.0.0.1", [], []),
        ("", "127.0.0.1", [("X-Forwarded-For", "203.0.113.9")],
         ["address 127.0.0.1, over http", f"X-Forwarded-For: {NOT_BELIEVED}"]),
        ("", "127.0.0.1", [("Forwarded", "for=203.0.113.9"), ("X-Forwarded-Proto", "https")],
         ["address 127.0.0.1, over http", f"Forwarded, X-Forwarded-Proto: {NOT_BELIEVED}"]),
        (TRUSTED, "192.0.2.7", [],
         ["address 192.0.2.7, over http", "it speaks for itself: it is not in server.trusted_proxies"]),
        (TRUSTED, "10.0.0.1", [],
         ["address 10.0.0.1, over http",
          "it is in server.trusted_proxies, and names no client in X-Forwarded-For or Forwarded"]),
        (TRUSTED, "10.0.0.1", [("X-Forwarded-For", "1.1.1.1, 203.0.113.9, 10.9.9.9"), ("X-Forwarded-Proto", "https")],
         ["address 203.0.113.9, over https", "10.0.0.1 says so in X-Forwarded-For, and is in server.trusted_proxies"]),
        (TRUSTED, "10.0.0.1", [("Forwarded", "for=203.0.113.9;proto=https")],
         ["address 203.0.113.9, over https", "10.0.0.1 says so in Forwarded, and is in server.trusted_proxies"]),
        (TRUSTED + "proxy_protocol = true\n", "192.0.2.7", [],
         ["address 192.0.2.7, over http", "it speaks for itself: it is not in server.trusted_proxies",
          ANNOUNCED]),
    ],
)  # fmt: skip
def test_who_counts_as_the_client_and_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: str,
    peer: str,
    fields: list[tuple[str, str]],
    lines: list[str],
) -> None:
    config = configured(tmp_path, monkeypatch, more)
    story = told(config, "http://api.example.com/updates", *fields, peer=peer)
    assert of(story) == " ".join(lines)
    if lines and story.forwarded is not None:
        address = lines[0].split()[1].rstrip(",")
        assert f"X-Forwarded-For: {address}" in story.forwarded.lines


@pytest.mark.parametrize(
    ("auth", "need"), [("require", "it must show a certificate that"), ("ask", "it may show a certificate, which")]
)
def test_whether_the_client_shows_a_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: str, need: str
) -> None:
    made = make_certificate(tmp_path / "tls", "localhost")
    files = ", ".join(f"{key} = 'file:tls/{name}.pem'" for key, name in
                      (("cert", "cert"), ("key", "key"), ("client_ca", "cert")))  # fmt: skip
    assert made.cert.exists()
    config = configured(tmp_path, monkeypatch, f"[server]\ntls = {{ {files}, client_auth = '{auth}' }}\n")
    lines = of(told(config, "https://api.example.com/updates"))
    assert lines.startswith("address 127.0.0.1, over https ")
    assert lines.endswith(f" {need} server.tls.client_ca vouches for")

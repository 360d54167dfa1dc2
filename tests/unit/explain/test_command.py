"""The command from outside: what may be typed, what is printed, the exit code."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cli import main
from gateway.config.settings import Config
from gateway.explain.request import describe
from gateway.explain.text import render

from ..config.kit import refusal
from .kit import ENVIRON, POLL, WHOLE, token, told


@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        ("/updates?x=1", "/updates?x=1", "api.example.com"),
        ("/plain/x", "/plain/x", "any.example.org"),
        ("http://h:8080/a?b#c", "/a?b", "h:8080"),
        ("HTTPS://H", "/", "H"),
        ("http://h?x=1", "/?x=1", "h"),
    ],
)
def test_a_url_may_leave_out_scheme_and_host(config: Config, url: str, target: str, host: str) -> None:
    story = told(config, url, method="POST" if "plain" in url else "GET", bearer=None)
    assert (story.target, story.host) == (target, host)


def test_a_host_header_counts_more_than_the_url(config: Config) -> None:
    story = told(config, "http://127.0.0.1:8080/article", ("Host", "api.example.com"))
    assert (story.host, story.verdict.result) == ("api.example.com", "held")


@pytest.mark.parametrize(
    ("method", "url", "message"),
    [
        ("GET", "updates", "URL is neither an address nor a path; write http://HOST/PATH or /PATH"),
        ("GET", "ftp://h/", "URL is neither an address nor a path; write http://HOST/PATH or /PATH"),
        ("GET", "http:///x", "URL names no host; write http://HOST/PATH or /PATH"),
        ("GET", "/a b", "URL holds a space or a control character; write %20 for a space"),
        ("GET", "/a\r\nX: y", "URL holds a space or a control character; write %20 for a space"),
        ("G T", "/a", "METHOD is not a method; write one such as GET"),
    ],
)
def test_what_no_client_could_send_is_wrong_usage(method: str, url: str, message: str) -> None:
    assert refusal(describe, method, url) == message


@given(
    st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "CONNECT", "get", "X"]),
    st.text(st.characters(min_codepoint=33, exclude_characters="\x7f", exclude_categories=("Cs",)), max_size=30),
    st.dictionaries(st.sampled_from(["Prefer", "Host", "Expect", "Content-Length", "Transfer-Encoding", "Connection", "X"]), st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=("Cc",)), max_size=12), max_size=3),
    st.none() | st.text(max_size=20),
)  # fmt: skip
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_request_has_an_explanation(
    config: Config, method: str, path: str, fields: dict[str, str], data: str | None
) -> None:
    for url in ("/" + path, "/article?" + path, "/doc/1?" + path):
        story = told(
            config,
            url,
            *((name, value.strip()) for name, value in fields.items()),
            method=method,
            data=data,
            bearer=None,
        )
        assert story.passes == (story.verdict.result != "refused")
        assert render(story)
        assert json.loads(orjson.dumps(story))


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "gateway.toml"
    path.write_text(WHOLE)
    return path


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["explain", *map(str, arguments)])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_command_prints_text_and_its_exit_code_says_whether_it_passes(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = ran(capsys, "-c", written, "GET", "/article")
    assert (code, err) == (0, "")
    assert out.startswith("GET /article\nto api.example.com from 127.0.0.1\n\nResult\n  held        25 s granted")
    code, out, _ = ran(capsys, "-c", written, "-H", "X: y", "GET", POLL)
    assert code == 1
    assert "token_missing" in out


def test_the_command_prints_one_json_document(
    written: Path, capsys: pytest.CaptureFixture[str], config: Config
) -> None:
    bearer = token(config, now=time.time())
    code, out, _ = ran(
        capsys, "-c", written, "-H", f"Authorization: Bearer {bearer}", "--json", "GET", f"{POLL}&timeout=90"
    )
    found = json.loads(out)
    assert (code, found["verdict"]["result"], found["hold"]["granted"]) == (0, "held", 45.0)
    assert (found["caller"]["consumer"], found["hold"]["clamped_by"]) == ("alice", "max")


def test_the_body_may_come_from_a_file_or_from_standard_input(
    written: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"\x00\xff any bytes\n"
    (written.parent / "body").write_bytes(body)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
    for file in (written.parent / "body", "-"):
        code, out, _ = ran(capsys, "-c", written, "--data-file", file, "POST", "/article")
        lines = out.splitlines()
        assert (code, "  | and a body of 13 bytes" in lines) == (0, True)
        assert lines[lines.index("  | and a body of 13 bytes") + 1] == "  | \\x00\\xff any bytes"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("GET", "updates"), 2, "Error: URL is neither an address nor a path; write http://HOST/PATH or /PATH\n"),
        (("-H", "nonsense", "GET", "/"), 2, "not a header; write it as 'Name: value'\n"),
        (
            ("--data", "x", "--data-file", "y", "POST", "/"),
            2,
            "Error: --data and --data-file both give the body; write one of them\n",
        ),
        (
            ("--data", "@body.json", "POST", "/"),
            2,
            "Error: --data is the body itself, not the name of a file; write --data-file body.json\n",
        ),
        (("--data", "@", "POST", "/"), 2, "the name of a file; write --data-file -\n"),
        (
            ("--data-file", "gone.json", "POST", "/"),
            2,
            "Error: --data-file: gone.json: no such file or directory; check the path\n",
        ),
        (("--data-file", "/", "POST", "/"), 2, "Error: --data-file: /: is a directory; check the path\n"),
        (
            ("--data-file", "/dev/zero", "POST", "/"),
            2,
            "Error: --data-file: /dev/zero: is larger than 16MiB; name the body of one request\n",
        ),
        (("--from", "here", "GET", "/"), 2, "Error: --from is not an address; write one such as 192.0.2.7\n"),
        (("GET",), 2, "Error: Missing argument 'URL'.\n"),
        (("-c", "gone.toml", "GET", "/"), 2, "gateway: gone.toml: no such file or directory; check the path\n"),
    ],
)
def test_wrong_usage_is_one_sentence(
    written: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    found, out, err = ran(capsys, *(() if "-c" in arguments else ("-c", written)), *arguments)
    assert (found, out) == (code, "")
    assert err.endswith(message)

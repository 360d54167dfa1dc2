"""What the README, the pages of docs/ and the example file say, held against the code: configurations are accepted,
tables name every field and outcome, numbers come out, links and commands exist.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from gateway.cli import cli, main
from gateway.config.clocks import outside, process, upstream_side
from gateway.config.compile import compile_config
from gateway.config.fronts import KNOWN
from gateway.config.jsonschema import document_schema
from gateway.config.merge import merge_route
from gateway.holds import budget
from gateway.outcome import ENDINGS, Outcome
from gateway.telemetry.schema import record_schema
from tests.kit.certificates import make_certificate

from .config.kit import BASE, ROUTE, SECRET, sound

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
EXAMPLE = ROOT / "gateway.example.toml"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
RESERVED = {"revoked"}


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


BLOCKS = [(page.name, number, text) for page in PAGES for number, text in enumerate(blocks(page))]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a newcomer: an issuer's public key, certificates, secrets in a file and the environment."""
    made = make_certificate(tmp_path / "tls", "localhost")
    for name in ("tls/example.pem", "tls/api.pem", "tls/clients.pem", "ca.pem", "c.pem"):
        (tmp_path / name).write_bytes(made.cert.read_bytes())
    for name in ("tls/example.key", "tls/api.key", "k.pem"):
        (tmp_path / name).write_bytes(made.key.read_bytes())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    keys = {"keys": [{**jwk, "kid": "1", "use": "sig", "alg": "RS256"}]}
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model-key").write_text("sk-secret\n")
    for name in ("GATEWAY_JWT_SECRET", "GATEWAY_ADMIN_TOKEN", "MODEL_AUTHORIZATION"):
        monkeypatch.setenv(name, SECRET)
    return tmp_path


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out + said.err


def written(value: object) -> str:
    """A value as TOML on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {written(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def test_the_configuration_of_the_readme_is_whole(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = blocks(README)[0]
    assert len([line for line in text.splitlines() if line]) <= 22
    (home / "gateway.toml").write_text(text)
    code, said = ran(capsys, "check", "gateway.toml")
    assert (code, said.splitlines()) == (0, [
        "route updates: holds up to 45s, over after 52.9s, safe up to 51.6s: client_timeout 60s fires first after it",
        "gateway.toml: ok, 1 route, 1 upstream, 1 provider",
    ])  # fmt: skip


@pytest.mark.parametrize(("page", "number", "text"), BLOCKS, ids=[f"{page}-{number}" for page, number, _ in BLOCKS])
def test_every_configuration_that_is_shown_is_accepted(
    home: Path, capsys: pytest.CaptureFixture[str], page: str, number: int, text: str
) -> None:
    """A block that is a part stands in the place of the same tables of the README's first one."""
    whole = tomllib.loads(blocks(README)[0])
    for table, content in tomllib.loads(text).items():
        whole[table] = {**whole.get(table, {}), **content} if isinstance(content, dict) else content
    (home / "gateway.toml").write_text("\n".join(f"{key} = {written(value)}" for key, value in whole.items()))
    code, said = ran(capsys, "check", "gateway.toml")
    assert (code, said.splitlines()[-1].partition(", ")[0]) == (0, "gateway.toml: ok"), said


def test_the_configuration_before_a_language_model_is_whole(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "gateway.toml").write_text(blocks(ROOT / "docs" / "llm.md")[0])
    assert ran(capsys, "check", "gateway.toml") == (0, "gateway.toml: ok, 1 route, 1 upstream, 1 provider\n")


def test_the_secret_of_the_readme_signs_tokens(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "gateway.toml").write_text(blocks(README)[1])
    code, token = ran(capsys, "token", "-c", "gateway.toml", "--sub", "alice", "--ttl", "1h")
    assert (code, token.count(".")) == (0, 2)


def table_of(page: Path, title: str) -> list[list[str]]:
    """The rows of the table whose first column has this title."""
    lines = page.read_text("utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {title} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def test_every_field_of_the_record_is_explained_and_no_other() -> None:
    golden = [json.loads(line) for line in (ROOT / "tests" / "golden" / "records.jsonl").open()]
    fields = {name for row in table_of(ROOT / "docs" / "record.md", "field") for name in re.findall("`(.+?)`", row[0])}
    assert fields == {name for record in golden for name in record} | {"worker"}  # which the log itself adds


def test_every_outcome_is_explained_with_its_blame() -> None:
    rows = table_of(ROOT / "docs" / "record.md", "outcome")
    said = {row[0].strip("`"): row[-1] for row in rows}
    assert said == {each.value: ENDINGS[each].blame.value for each in Outcome if each.value not in RESERVED}


def test_the_record_of_the_readme_has_the_fields_of_a_poll_in_their_order() -> None:
    text = re.findall(r"^```json\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)[0]
    golden = [json.loads(line) for line in (ROOT / "tests" / "golden" / "records.jsonl").open()]
    news = next(record for record in golden if record["outcome"] == "news")
    assert list(json.loads(text)) == [name for name in news if name != "note"]


def test_the_example_of_the_deadline_comes_out(tmp_path: Path) -> None:
    """docs/holds.md: 90 s asked of cursor-updates, with a token that ends in 30 s."""
    text = BASE + ROUTE.replace('["signed"]', '["signed", "cursor-updates"]')
    environ = {"SECRET": SECRET}
    (plan,) = compile_config(sound(tmp_path, text), lambda: 0.0, environ).plans
    assert plan.hold is not None
    alone = budget.grant(0.0, 90.0, plan.hold)
    assert (alone.hold, round(alone.deadline, 1)) == (45.0, 52.8)
    short = budget.grant(0.0, 90.0, plan.hold, [("token", 30.0)])
    assert (round(short.hold, 1), short.deadline, short.clamped_by) == (23.5, 30.0, "token")


def test_every_edge_that_is_known_by_name_is_explained_with_its_numbers() -> None:
    rows = table_of(ROOT / "docs" / "clocks.md", "name")
    found = {
        row[0].strip("`"): (row[1], row[3], row[4].split(",")[0], row[5].split("(")[1].strip(") ")) for row in rows
    }
    said = {
        name: (f"{edge.waits:g}s", edge.answers, f"{edge.keeps:g}s" if edge.keeps else "not said", edge.source)
        for name, edge in KNOWN.items()
    }
    assert found == said


def test_every_clock_that_explain_lists_has_its_line(tmp_path: Path) -> None:
    config = sound(tmp_path, BASE + ROUTE + '[server]\nshutdown_delay = "1s"\nfront = "1h"\n')
    merged = merge_route(config, config.routes[0])
    listed = [*outside(config.server, merged), *upstream_side(merged), *process(config.server)]
    text = " ".join(row[0] for row in table_of(ROOT / "docs" / "clocks.md", "clock"))
    assert [clock.name for clock in listed if clock.name not in text] == []


def test_the_example_file_shows_the_defaults() -> None:
    """A line that is no default says so: "by default", "required", or in the words of its comment."""
    tables = document_schema()["$defs"]
    parsed = tomllib.loads(EXAMPLE.read_text("utf-8"))
    shown = {
        "Server": parsed["server"],
        "Admin": parsed["admin"],
        "State": parsed["state"],
        "Log": parsed["log"],
        "JwtProvider": parsed["jwt"]["main"],
        "Upstream": parsed["upstream"]["updates"],
        "Jwt": parsed["policy"]["signed-in"]["jwt"],
        "Cors": parsed["policy"]["web"]["cors"],
        "Hold": parsed["policy"]["jobs"]["hold"],
    }
    own = {"when", "ask", "issuer", "audience", "tenant", "keys", "algorithms", "consumer"}
    wrong = []
    for table, lines in shown.items():
        for key, value in lines.items():
            default = tables[table]["properties"][key].get("default")
            excused = not_default(key) or key in own
            if default is not None and default != value and not excused:
                wrong.append(f"{table}.{key}: {value!r} is not {default!r}")
    assert wrong == []


def not_default(key: str) -> bool:
    """Whether every line of the example file that sets a key says that its value is no default."""
    lines = re.findall(rf"^#? *{key} +=.*(?:\n +#.*)?", EXAMPLE.read_text("utf-8"), re.MULTILINE)
    return bool(lines) and all("by default" in line or "required" in line for line in lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_every_command_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    commands = set(re.findall(r"(?:`|^)gateway ([a-z]+)", text, re.MULTILINE))
    context = cli.make_context("gateway", ["--help"], resilient_parsing=True)
    assert commands <= set(cli.list_commands(context))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_key_that_a_sentence_sets_is_one(page: Path) -> None:
    """`key = value` between words, of the configuration or of a record that is looked for."""
    prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    known = names_in(document_schema()) | names_in(record_schema())
    assert [key for key in re.findall(r"`([a-z_.]+) = [^`]*`", prose) if not known & set(key.split("."))] == []


def names_in(schema: Any) -> set[str]:
    """Every key of every table."""
    inner = list(schema.values()) if isinstance(schema, dict) else schema if isinstance(schema, list) else []
    own = set(schema.get("properties", ())) if isinstance(schema, dict) else set()
    return own.union(*map(names_in, inner))

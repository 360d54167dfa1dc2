"""The list of policies that come with the gateway: each with what it is for, and with whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli import main
from gateway.config.load import shipped_dir
from gateway.config.shelf import policy_text, shelf

OWN = '[policy.prefer-wait.hold]\nmax = "3s"\n'


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["policies", *map(str, arguments)])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_every_shipped_policy_has_a_line_that_says_what_it_is_for() -> None:
    lines = shelf(None).splitlines()
    assert [line.split()[0] for line in lines] == sorted(path.stem for path in shipped_dir().glob("*.toml"))
    assert all(len(line.split(maxsplit=1)[1]) > 10 for line in lines)
    assert "cursor-updates" in lines[[line.split()[0] for line in lines].index("cursor-updates")]


def test_a_policy_of_ones_own_says_that_it_counts_instead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gateway.toml").write_text('include = ["mine.toml"]\n')
    (tmp_path / "mine.toml").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    for arguments in ((), ("-c", "gateway.toml")):
        code, out, _ = ran(capsys, *arguments)
        replaced = [line.split()[0] for line in out.splitlines() if line.endswith("[replaced by yours in mine.toml]")]
        assert (code, replaced) == (0, ["prefer-wait"])


def test_a_shipped_policy_that_is_used_as_it_is_is_nobodys_own(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[[route]]\npolicies = ["prefer-wait", "engineio"]\n')
    assert shelf(file) == shelf(None)


def test_without_a_configuration_or_with_a_broken_one_the_list_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = ran(capsys)
    (tmp_path / "gateway.toml").write_text("a = ")
    assert ran(capsys) == plain == (0, shelf(None) + "\n", "")
    code, _, err = ran(capsys, "-c", "gone.toml")
    assert (code, err) == (2, "gateway: gone.toml: no such file or directory; check the path\n")


def test_a_policy_is_printed_to_be_copied(capsys: pytest.CaptureFixture[str]) -> None:
    text = (shipped_dir() / "prefer-wait.toml").read_text("utf-8")
    assert ran(capsys, "prefer-wait") == (0, text, "")
    assert policy_text("prefer-wait") + "\n" == text


@pytest.mark.parametrize(
    ("name", "hint"),
    [("prefer-wat", "did you mean prefer-wait?"), ("zz", "'gateway policies' lists them"), ("../prefer-wait", "did")],
)  # fmt: skip
def test_a_name_that_is_none_is_told_the_nearest(capsys: pytest.CaptureFixture[str], name: str, hint: str) -> None:
    code, _, err = ran(capsys, name)
    assert code == 2
    assert f"no policy '{name}' is shipped; {hint}" in err

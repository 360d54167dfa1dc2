"""Reading files: broken TOML, includes, shipped policies and the user's own of the same name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.load import load, shipped_dir

from .kit import BASE, ROUTE, checked, sound

POLICY = "[policy.p.hold]\nabsent = '1s'\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = \n", "line 1, column 5: is not valid TOML: invalid value; see https://toml.io"),
        ("a = 1\na = 2\n", "line 2, column 6: is not valid TOML: cannot overwrite a value; see https://toml.io"),
        (
            "[a",
            "end of document: is not valid TOML: expected ']' at the end of a table declaration; see https://toml.io",
        ),
        ("a = " + "[" * 5000, "nests too deep; write it flatter"),
    ],
)
def test_broken_toml_is_one_problem_with_its_place(tmp_path: Path, text: str, line: str) -> None:
    result = checked(tmp_path, text)
    assert result.problems == [f"gateway.toml: {line}"]
    assert result.config is None


def test_a_file_that_is_no_text_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    loaded = load(tmp_path / "x.toml")
    assert [each.what for each in loaded.problems] == ["is not UTF-8 text"]


def test_a_main_file_that_is_missing_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "gone.toml")


def test_included_files_bring_policies_and_their_own_place_in_problems(tmp_path: Path) -> None:
    text = 'include = ["p*.toml"]\n' + BASE + ROUTE.replace('["signed"]', '["signed", "p"]')
    assert checked(tmp_path, text, p_toml=POLICY).problems == []
    assert checked(tmp_path, text, p_toml=POLICY + "max = 1\n").problems == [
        'p.toml: policy.p.hold.max: is a number without a unit; write a duration in quotes, such as "25s"'
    ]


def test_paths_in_an_included_file_count_from_its_own_directory(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "secret").write_text("0" * 32)
    (tmp_path / "keys" / "jwt.toml").write_text(
        '[jwt.x]\nissuer = "i"\naudience = "a"\nalgorithms = ["HS256"]\nkeys = { secret = "file:secret" }\n'
    )
    config = sound(tmp_path, 'include = ["keys/*.toml"]\n' + BASE + ROUTE)
    secret = config.jwt["x"].keys.secret
    assert secret is not None
    assert secret.where == str(tmp_path / "keys" / "secret")


def test_an_included_file_with_broken_toml_is_named(tmp_path: Path) -> None:
    text = 'include = ["p.toml"]\n' + BASE + ROUTE
    assert checked(tmp_path, text, p_toml="a = \n").problems == [
        "p.toml: line 1, column 5: is not valid TOML: invalid value; see https://toml.io"
    ]


def test_tables_of_the_process_stand_in_the_main_file_only(tmp_path: Path) -> None:
    text = 'include = ["p.toml"]\n' + BASE + ROUTE
    assert checked(tmp_path, text, p_toml="[server]\n[log]\n").problems == [
        "p.toml: log: may only stand in the main file; move it there",
        "p.toml: server: may only stand in the main file; move it there",
    ]


def test_a_name_that_two_files_use_is_a_problem_that_names_both(tmp_path: Path) -> None:
    text = 'include = ["p.toml"]\n' + BASE + ROUTE
    assert checked(tmp_path, text, p_toml="[policy.signed.cors]\norigins = ['*']\n").problems == [
        "p.toml: policy.signed: the name 'signed' is taken by policy.signed of gateway.toml; write another name"
    ]


def test_a_pattern_without_a_match_is_a_notice(tmp_path: Path) -> None:
    result = checked(tmp_path, 'include = ["more/*.toml"]\n' + BASE + ROUTE)
    assert (result.problems, result.notices) == ([], ["gateway.toml: include[0]: no file matches more/*.toml"])


def test_a_file_that_two_patterns_match_is_read_once(tmp_path: Path) -> None:
    text = 'include = ["p.toml", "*.toml"]\n' + BASE + ROUTE
    assert checked(tmp_path, text, p_toml=POLICY).problems == []


def test_an_own_policy_replaces_the_shipped_one_with_a_notice(tmp_path: Path) -> None:
    own = "[policy.cursor-updates.hold]\nabsent = '5s'\nmargin = '1s'\n"
    result = checked(tmp_path, BASE + ROUTE.replace('["signed"]', '["signed", "cursor-updates"]') + own)
    assert result.problems == []
    assert result.notices == ["gateway.toml: policy.cursor-updates: replaces the shipped policy of that name"]
    assert result.config is not None
    hold = result.config.policies["cursor-updates"].hold
    assert hold is not None
    assert hold.absent == 5


def test_every_shipped_policy_has_the_name_of_its_file() -> None:
    import tomllib

    names = {path.stem: set(tomllib.loads(path.read_text())["policy"]) for path in shipped_dir().glob("*.toml")}
    assert names
    assert all(policies == {name} for name, policies in names.items())

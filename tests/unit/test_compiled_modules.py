"""What mypyc asks of the modules that are compiled (pyproject.toml) and tells only those who wait for the compiler, or
who come upon it in a gateway that is compiled. tests/real/test_compiled.py has one.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.source import parsed

ROOT = Path(__file__).resolve().parents[2]
HOOK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
PATTERNS: list[str] = HOOK["custom"]["modules"]
COMPILED = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))
OTHERS = sorted(set((ROOT / "gateway").rglob("*.py")) - set(COMPILED))


def classes(path: Path) -> Iterator[ast.ClassDef]:
    yield from (node for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef))


def imported(nodes: list[ast.stmt]) -> dict[str, tuple[str, str]]:
    """What names stand for that are imported there."""
    return {each.asname or each.name: (node.module or "", each.name)
            for node in nodes if isinstance(node, ast.ImportFrom) for each in node.names}  # fmt: skip


def for_the_checker(tree: ast.Module) -> set[str]:
    """Names that are not there when the module runs."""
    blocks = [node.body for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {name for body in blocks for name in imported(body)}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_names_a_module(pattern: str) -> None:
    assert [*ROOT.glob(pattern)]


def test_no_class_that_is_interpreted_inherits_from_one_that_is_compiled() -> None:
    """It could not be made; a module that has one is compiled too."""
    ours = {(".".join(path.relative_to(ROOT).with_suffix("").parts), one.name)
            for path in COMPILED for one in classes(path)}  # fmt: skip
    heirs = [
        f"{path.relative_to(ROOT)}: {one.name}"
        for path in OTHERS
        for names in [imported([node for node in ast.walk(parsed(path)) if isinstance(node, ast.stmt)])]
        for one in classes(path)
        if any(names.get(ast.unparse(base)) in ours for base in one.bases)
    ]
    assert heirs == []


def test_fields_of_tuples_have_types_that_are_there_or_stand_in_quotes() -> None:
    """mypyc looks them up when the class is made."""
    wrong = [
        f"{path.relative_to(ROOT)}: {one.name}.{ast.unparse(field)}"
        for path in COMPILED
        for absent in [for_the_checker(parsed(path))]
        for one in classes(path)
        if any(ast.unparse(base) == "NamedTuple" for base in one.bases)
        for field in one.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.annotation, ast.Name) and field.annotation.id in absent
    ]
    assert wrong == []


def test_no_field_is_given_an_empty_tuple_that_has_no_type() -> None:
    """Whoever reads the field later in that function is said to read a tuple of nothing, whatever was put there."""
    given = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in COMPILED
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Assign)
        for target in node.targets
        for into, value in pairs(target, node.value)
        if isinstance(into, ast.Attribute) and isinstance(value, ast.Tuple) and not value.elts
    ]
    assert given == []


def pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """What goes where in an assignment."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


def test_what_is_compiled_is_called_by_no_word_of_c() -> None:
    """`self._signed` becomes `__signed` in C."""
    words = {"_signed", "_thread", "_inline", "_const", "_volatile", "_restrict", "_attribute", "_extension", "_asm"}
    named = {
        f"{path.relative_to(ROOT)}: {node.attr}"
        for path in COMPILED
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and node.attr in words
    }
    assert named == set()

"""The rules of the house that a reader cannot check at a glance: which way imports point, who may know aiohttp, how
long things get, and what may lie where. A rule that has to give way is listed here with its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.kit.source import parsed

ROOT = Path(__file__).parent.parent
GATEWAY = ROOT / "gateway"
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in GATEWAY.rglob("*.py"))
ALL_PYTHON = [*MODULES, *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py"))]

MAX_FILE, MAX_TEST_FILE, MAX_FUNCTION = 250, 300, 60
# Module or function -> why it is longer than the rule.
LONG_FILES: dict[str, str] = {
    "tests/unit/test_serve_events.py": "the stages, the events and what holds of each pair belong together",
    "gateway/edge/http1.py": "one connection is one state machine; its phases are read together or not understood",
    "gateway/app.py": "the composition root: one line for each part that begins, goes on at a reload, and ends",
    "gateway/upstream/http1.py": "as on the client's side: one connection, one state machine",
    "gateway/telemetry/instruments.py": "a table: one metric a row",
    "tests/unit/identity/test_hostile.py": "a table: one hostile token a row",
    "tests/unit/test_poll.py": "tables of answers and what a client does next",
}
LONG_FUNCTIONS: dict[str, str] = {}

# Lower layers first; a module may import its own layer and those below it. `app` stands above all.
NOUNS = ["outcome", "head", "pipeline", "clock", "call", "sides", "holds.plan", "identity.claims"]
PURE = [
    "shapes",
    "holds",
    "target",
    "routing",
    "templates",
    "problem",
    "refusals",
    "identity",
    "config",
    "state.bucket",
    "state.store",
    "telemetry.fields",
    "telemetry.paths",
    "telemetry.record",
    "telemetry.sampling",
    "telemetry.trace",
]
PURE += [
    "machine.part",
    "drain",
    "policies",
    "bodies",
    "networks",
    "verdicts",
    "streams",
    "upstream.failure",
    "upstream.headers",
    "upstream.hops",
]
BEHAVIOUR = [
    "plan",
    "parse",
    "rush",
    "poller",
    "sending",
    "transport",
    "serve",
    "life",
    "limits",
    "rules",
    "asking",
    "demands",
    "pollers",
    "memory",
    "waiting",
    "ramp",
    "admission",
    "upstream",
    "telemetry",
    "state",
    "tokens",
    "descriptors",
    "sockets",
]
BEHAVIOUR += [
    "sparing",
    "options",
    "reaching",
    "checking",
    "config.compile",
    "config.limits",
    "config.health",
    "config.upstreams",
]  # the last four bind what all of these make
EDGES = ["edge", "admin", "middleware", "poll", "polling", "health", "demo", "explain", "top", "past"]
TOP = [
    "built",
    "interpreter",
    "machine",
    "operating",
    "loading",
    "reloading",
    "app",
    "process",
    "cli",
    "__main__",
    "demo.run",
]
LAYERS = [NOUNS, PURE, BEHAVIOUR, EDGES, TOP]

TOP_LEVEL = {
    "gateway", "policies", "tests", "deploy", "docs", ".ci", ".git", ".gitignore", ".github", ".dockerignore",
    "pyproject.toml", "Makefile", "README.md", "CHANGELOG.md", "LICENSE", "gateway.example.toml", "requirements.lock",
    "CONTRIBUTING.md", "SECURITY.md", "requirements.txt", "uv.lock",
}  # fmt: skip
MADE_BY_TOOLS = {
    ".venv",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    "dist",
    "build",
    "var",
    "artifacts",
}


@cache
def tree(module: str) -> ast.Module:
    return parsed(ROOT / module)


def imports(node: ast.AST) -> Iterator[str]:
    """Every module that is imported at run time, with the names taken from it; not under TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from imports(child)


def dotted(module: str) -> str:
    return module.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")


def layer(name: str) -> int:
    """The layer of `gateway.x.y`: the longest name of LAYERS that begins it; -1 for the package itself."""
    inner = name.removeprefix("gateway").removeprefix(".")
    known = [
        (len(one), level) for level, names in enumerate(LAYERS) for one in names if f"{inner}.".startswith(f"{one}.")
    ]
    return max(known)[1] if known else -1


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    own = layer(dotted(module))
    wrong = [name for name in imports(tree(module)) if name.startswith("gateway.") and layer(name) > own >= 0]
    assert not wrong


def test_every_module_has_a_layer() -> None:
    assert not [module for module in MODULES if layer(dotted(module)) < 0 and dotted(module) != "gateway"]


@pytest.mark.parametrize("module", [one for one in MODULES if one.startswith(("gateway/policies/", "gateway/holds/"))])
def test_policies_and_holds_know_no_machinery(module: str) -> None:
    machinery = {"aiohttp", "redis", "opentelemetry", "logging", "lmdb"}
    assert not [name for name in imports(tree(module)) if name.partition(".")[0] in machinery]


@pytest.mark.parametrize("module", [one for one in MODULES if one != "gateway/parse.py"])
def test_only_parse_touches_the_parsers_of_aiohttp(module: str) -> None:
    inside = re.compile(r"aiohttp\.(http_parser|http_exceptions|base_protocol|streams|_|client_proto|web_protocol)")
    assert not [name for name in imports(tree(module)) if inside.match(name)]


@pytest.mark.parametrize("module", [one for one in ALL_PYTHON if (ROOT / one).stat().st_size])
def test_every_module_says_what_belongs_in_it(module: str) -> None:
    text = ast.get_docstring(tree(module)) or ""
    assert len(text) >= (40 if module in MODULES else 20)
    assert text.rstrip().endswith((".", ":"))


def length(module: str) -> int:
    return (ROOT / module).read_text("utf-8").count("\n")


def limit(module: str) -> int:
    return MAX_FILE if module in MODULES else MAX_TEST_FILE


@pytest.mark.parametrize("module", ALL_PYTHON)
def test_files_and_functions_stay_short(module: str) -> None:
    assert length(module) <= limit(module) or module in LONG_FILES
    functions = (node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    long = [node.name for node in functions if node.end_lineno and node.end_lineno - node.lineno >= MAX_FUNCTION]
    assert not [name for name in long if f"{module}:{name}" not in LONG_FUNCTIONS]


def test_no_exception_outlives_its_need() -> None:
    assert not [module for module in LONG_FILES if module not in ALL_PYTHON or length(module) <= limit(module)]
    assert not [name for name in LONG_FUNCTIONS if name.partition(":")[0] not in ALL_PYTHON]


@pytest.mark.parametrize("module", MODULES)
def test_no_module_keeps_state(module: str) -> None:
    assert not list(module_state(tree(module)))


def module_state(module: ast.Module) -> Iterator[str]:
    """Module-level names that hold something mutable and are not written as constants; and `global`."""
    mutable = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    for node in module.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        calls = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in (
            "list",
            "dict",
            "set",
            "defaultdict",
        )
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            name = ast.unparse(target)
            if (isinstance(node.value, mutable) or calls) and not name.isupper() and not name.startswith("__"):
                yield name
    yield from (f"global {node.names}" for node in ast.walk(module) if isinstance(node, ast.Global))


@pytest.mark.parametrize("module", MODULES)
def test_importing_does_nothing(module: str) -> None:
    allowed = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
    )
    for node in tree(module).body:
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), ast.unparse(node)
        elif isinstance(node, ast.If):
            assert "TYPE_CHECKING" in ast.dump(node.test) or "__name__" in ast.dump(node.test)
        else:
            assert isinstance(node, allowed), ast.unparse(node)


def texts() -> Iterator[Path]:
    for name in sorted(TOP_LEVEL - {".git"}):
        path = ROOT / name
        found = path.rglob("*") if path.is_dir() else [path]
        yield from (one for one in found if one.is_file() and "__pycache__" not in one.parts)


def test_no_path_of_a_developers_machine_is_in_the_tree() -> None:
    strange = re.compile(rb"(?<![\w.])/" + rb"(?:work|home|Users|root)/\w")
    assert not [path for path in texts() if strange.search(path.read_bytes())]


def test_the_top_level_holds_what_it_may() -> None:
    strange = {path.name for path in ROOT.iterdir()} - TOP_LEVEL - MADE_BY_TOOLS
    assert not {name for name in strange if not name.endswith((".egg-info", "__pycache__"))}

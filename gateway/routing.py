"""From host, path and method to a plan. A tree of path segments per host, built once per Snapshot: finding a route
costs the same with one route or five thousand. The most specific route wins: part by part from the left, plain text
before plain text around a capture (more of it before less), that before a capture alone, that before `**`; a tie is an
error when the tree is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway.templates import TAIL, Capture, capture, parts_of

if TYPE_CHECKING:
    from gateway.plan import Plan


_EMPTY: Final[dict[Any, Any]] = {}


class RouteConflictError(ValueError):
    """Two routes would match the same request equally well."""


class Rule(NamedTuple):
    """What a route matches: `host` exact, `*.suffix` or None for any; `path` with `{x}`, `a{x}b` and a last `**`."""

    host: str | None
    path: str
    methods: tuple[str, ...]  # () = any


class Found(NamedTuple):
    plan: "Plan"
    params: dict[str, str] | None


class NotFound(NamedTuple):
    """No route. `allow` names the methods of the path when only the method is wrong; `known_host`: 404, not 421."""

    allow: tuple[str, ...]
    known_host: bool


@dataclass(slots=True)
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    around: dict[tuple[int, int], dict[str, _Node]] = field(
        default_factory=dict
    )  # plain text before and after, by size
    param: _Node | None = None
    tail: dict[str, _Leaf] = field(default_factory=dict)  # by method; "" = any
    leaf: dict[str, _Leaf] = field(default_factory=dict)
    exact: dict[str, dict[str, Found]] = field(default_factory=dict)  # of a root: whole paths without parameters


class _Leaf(NamedTuple):
    plan: "Plan"
    names: tuple[str, ...]


class Router:
    """Immutable once built; raises RouteConflictError naming both routes."""

    def __init__(self, rules: Iterable[tuple[Rule, Plan]]) -> None:
        self._hosts: dict[str, _Node] = {}
        self._suffixes: dict[str, _Node] = {}
        self._any: _Node | None = None
        self._usual: tuple[_Node, ...] | None = None  # the trees of every host, where no route names one
        for rule, plan in rules:
            root = self._root(rule.host)
            leaves = _insert(root, rule, plan)
            if "{" not in rule.path and not rule.path.endswith(TAIL):
                root.exact[rule.path] = {method: Found(leaf.plan, None) for method, leaf in leaves.items()}
        for root in self._trees():
            _slim(root)
        if not self._hosts and not self._suffixes:
            self._usual = tuple(self._roots(""))

    def _root(self, host: str | None) -> _Node:
        if host is None:
            if self._any is None:
                self._any = _Node()
            return self._any
        table, name = (self._suffixes, host[1:]) if host.startswith("*.") else (self._hosts, host)
        return table.setdefault(name.lower(), _Node())

    def _trees(self) -> list[_Node]:
        trees = [*self._hosts.values(), *self._suffixes.values()]
        return [*trees, self._any] if self._any is not None else trees

    def find(self, host: str, path: str, method: str) -> Found | NotFound:
        """The plan for a request: host without port in lower case, canonical path. An exact host is tried before a
        `*.suffix` (longest first), that before routes for any host; the first tree that has the path decides."""
        roots = self._usual or self._roots(host)
        for root in roots:
            exact = root.exact.get(path)
            if exact is not None and method in exact:  # the most specific a path can be: no need to walk
                return exact[method]
            found = _straight(root, path, method) or _with_detours(root, path, method)
            if found is not None:
                return found
        return NotFound((), bool(roots))

    def _roots(self, host: str) -> Sequence[_Node]:
        roots: list[_Node] = []
        if host in self._hosts:
            roots.append(self._hosts[host])
        if self._suffixes:
            at = host.find(".")
            while at >= 0:
                if host[at:] in self._suffixes:
                    roots.append(self._suffixes[host[at:]])
                at = host.find(".", at + 1)
        if self._any is not None:
            roots.append(self._any)
        return roots


def _insert(node: _Node, rule: Rule, plan: Plan) -> dict[str, _Leaf]:
    names: list[str] = []
    parts = parts_of(rule.path)
    tail = parts[-1] == TAIL
    for part in parts[:-1] if tail else parts:
        wanted = capture(part)
        if wanted is None:
            node = node.literal.setdefault(part, _Node())
        else:
            names.append(intern(wanted.name))
            node = _capturing(node, wanted)
    leaves = node.tail if tail else node.leaf
    if tail:
        names.append(TAIL)
    for method in _with_head(rule.methods):
        if method in leaves:
            other = leaves[method].plan.route
            raise RouteConflictError(f"routes '{other}' and '{plan.route}' match the same requests ({rule.path})")
        leaves[method] = _Leaf(plan, tuple(names))
    return leaves


def _slim(node: _Node) -> None:
    """One empty dict for all: most nodes have several, and looking into each is a miss of the cache."""
    for below in (*node.literal.values(), *(each for nodes in node.around.values() for each in nodes.values())):
        _slim(below)
    if node.param is not None:
        _slim(node.param)
    node.literal, node.around = node.literal or _EMPTY, node.around or _EMPTY
    node.tail, node.leaf, node.exact = node.tail or _EMPTY, node.leaf or _EMPTY, node.exact or _EMPTY


def _capturing(node: _Node, wanted: Capture) -> _Node:
    """The branch of a capture: of one with plain text around it by how much there is, so that many cost one look-up."""
    before, _, after = wanted
    if not before and not after:
        node.param = node.param or _Node()
        return node.param
    nodes = node.around.setdefault((len(before), len(after)), {})
    node.around = dict(sorted(node.around.items(), key=lambda each: (sum(each[0]), each[0]), reverse=True))
    return nodes.setdefault(f"{before}/{after}", _Node())


def _with_head(methods: tuple[str, ...]) -> tuple[str, ...]:
    """HEAD is allowed wherever GET is (RFC 9110 9.3.2)."""
    if not methods:
        return ("",)
    return (*methods, "HEAD") if "GET" in methods and "HEAD" not in methods else methods


def _straight(root: _Node, path: str, method: str) -> Found | None:
    """What `_walk` finds where it need not choose nor go back, which is nearly always: at half the price."""
    node = root
    values: list[str] = []  # `list[str]()` costs ten times as much
    for part in path[1:].split("/"):
        child = node.literal.get(part)
        if child is None:
            child = node.param
            if child is None or not part or node.around:
                return None
            values.append(part)
        node = child
    leaf = node.leaf.get(method) or node.leaf.get("")
    return _found(leaf, values) if leaf is not None and path != "*" else None


def _with_detours(root: _Node, path: str, method: str) -> Found | NotFound | None:
    """None: this tree does not have the path, not for any method."""
    allow: set[str] = set()
    found = _walk(root, path[1:].split("/"), method, allow) if path != "*" else _server(root, method, allow)
    if found is not None:
        return _found(*found)
    return NotFound(tuple(sorted(allow)), True) if allow else None


def _found(leaf: _Leaf, values: list[str]) -> Found:
    names = leaf.names
    if len(names) == 1:
        return Found(leaf.plan, {names[0]: values[0]})
    return Found(leaf.plan, dict(zip(names, values, strict=True)) if names else None)


def _walk(node: _Node, parts: list[str], method: str, allow: set[str]) -> tuple[_Leaf, list[str]] | None:
    """Literal before `a{x}b` before `{x}` before `**`, segment by segment from the left, going back where a branch ends
    nowhere."""
    if not parts:
        leaf = _pick(node.leaf, method, allow)
        return (leaf, []) if leaf else None
    head = parts[0]
    child = node.literal.get(head)
    if child is not None and (found := _walk(child, parts[1:], method, allow)):
        return found
    if node.around and (found := _walk_around(node, parts, method, allow)):
        return found
    if node.param is not None and head and (found := _walk(node.param, parts[1:], method, allow)):
        found[1].insert(0, head)
        return found
    leaf = _pick(node.tail, method, allow)
    return (leaf, ["/".join(parts)]) if leaf else None


def _walk_around(node: _Node, parts: list[str], method: str, allow: set[str]) -> tuple[_Leaf, list[str]] | None:
    """The longest plain text first, and of equally long the one that begins with more."""
    head, rest = parts[0], parts[1:]
    for (before, after), nodes in node.around.items():
        end = len(head) - after
        child = nodes.get(f"{head[:before]}/{head[end:]}") if end > before else None
        if child is not None and (found := _walk(child, rest, method, allow)):
            found[1].insert(0, head[before:end])
            return found
    return None


def _server(root: _Node, method: str, allow: set[str]) -> tuple[_Leaf, list[str]] | None:
    """`OPTIONS *` is about the server as a whole: only a route for everything takes it."""
    leaf = _pick(root.tail, method, allow)
    return (leaf, ["*"]) if leaf else None


def _pick(leaves: dict[str, _Leaf], method: str, allow: set[str]) -> _Leaf | None:
    leaf = leaves.get(method) or leaves.get("")
    if leaf is None:
        allow.update(leaves)
    return leaf

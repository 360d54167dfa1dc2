"""All objects of this process, counted by what they are: of classes by their name, of what Python brings along also by
the slot that holds them ("bytes of Call.wire"). Two of these, one before and one after, tell what came between.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, CellType, FunctionType, MemberDescriptorType, MethodType

Tally = dict[str, list[int]]  # how many, and bytes
PLAIN = (
    str, bytes, bytearray, int, float, tuple, list, dict, set, frozenset, memoryview, FunctionType, MethodType,
    BuiltinFunctionType, CellType,
)  # fmt: skip
_SLOTS: dict[type, list[tuple[str, MemberDescriptorType]]] = {}


class Census:
    """Each object is counted once: what is held twice, where it is found first."""

    def __init__(self) -> None:
        self.tally: Tally = {}
        self._seen: set[int] = set()

    def take(self) -> Tally:
        gc.collect()
        gc.unfreeze()  # what was there when the gateway began to serve is not walked otherwise, and grows, too
        everything = gc.get_objects()
        self._seen |= {id(each) for each in (everything, self.tally, self._seen, self)}
        for each in everything:
            if not plain(each) and not isinstance(each, type):
                self._count(each, named(type(each)))
                self._below(each)
        for each in everything:  # what no instance holds: of modules, of frames, of nobody
            if id(each) not in self._seen:
                self._count(each, f"{type(each).__name__} elsewhere")
        return self.tally

    def _below(self, owner: object) -> None:
        """The plain things that an instance holds, and what these hold."""
        fresh = [held for held in gc.get_referents(owner) if plain(held) and id(held) not in self._seen]
        names = {id(value): name for name, value in attributes(owner)} if fresh else {}
        for held in fresh:
            name = names.get(id(held))
            self._held(held, f"{named(type(owner))}{'.' + name if name else ''}")

    def _held(self, held: object, where: str) -> None:
        todo = [held]
        while todo:
            each = todo.pop()
            if id(each) in self._seen:
                continue
            self._count(each, f"{type(each).__name__} of {where}")
            if not isinstance(each, (FunctionType, BuiltinFunctionType)):
                todo += [below for below in gc.get_referents(each) if plain(below)]

    def _count(self, each: object, label: str) -> None:
        if id(each) in self._seen:
            return
        self._seen.add(id(each))
        entry = self.tally.setdefault(label, [0, 0])
        entry[0] += 1
        entry[1] += sys.getsizeof(each)


def plain(each: object) -> bool:
    return type(each) in PLAIN


def named(kind: type) -> str:
    """A class as it is found in the source; one of a library with its package."""
    package = kind.__module__.partition(".")[0]
    return kind.__qualname__ if package in ("gateway", "builtins") else f"{package}.{kind.__qualname__}"


def attributes(owner: object) -> Iterator[tuple[str, object]]:
    """What its slots hold. Looking at a `__dict__` would make one where there was none."""
    for name, slot in _slots(type(owner)):
        try:
            yield name, slot.__get__(owner)
        except AttributeError:  # nothing is in it
            continue


def _slots(kind: type) -> list[tuple[str, MemberDescriptorType]]:
    if kind not in _SLOTS:
        found = ((name, value) for each in kind.__mro__ for name, value in vars(each).items())
        _SLOTS[kind] = [(name, value) for name, value in found if isinstance(value, MemberDescriptorType)]
    return _SLOTS[kind]

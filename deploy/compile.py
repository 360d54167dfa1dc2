"""Compiles the hot modules of the gateway with mypyc, straight into its wheel: a build hook of hatchling, on where
HATCH_BUILD_HOOK_ENABLE_CUSTOM is set; pyproject.toml says which modules. The plugin hatch-mypyc would leave libraries
beside the sources, where they hide every later edit, renames pyproject.toml meanwhile, and has one long file compiled.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from mypyc.build import mypycify
from setuptools import Distribution
from setuptools.command.build_ext import build_ext

NAME = "longpoll_gateway"  # of the one library that all compiled modules are in, `longpoll_gateway__mypyc`


class Compile(BuildHookInterface):  # type: ignore[type-arg]
    """Adds libraries to the wheel, beside the sources that they were made of: tracebacks show those."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        modules = sorted(
            path.relative_to(root).as_posix() for each in self.config["modules"] for path in root.glob(each)
        )
        for built, name in compiled(root, modules).items():
            build_data["force_include"][str(built)] = name
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compiled(root: Path, modules: list[str]) -> dict[Path, str]:
    """Every library that was made, and the path at which Python will look for it. What is made meanwhile stays in
    build/compiled: where little has changed, little is made anew."""
    work = root / "build" / "compiled" / (sys.implementation.cache_tag or "")
    options = ["--config-file=", f"--cache-dir={work / 'types'}"]  # the configuration is about checking
    with chdir(root):
        extensions = mypycify(
            [*options, *modules], opt_level="2", debug_level="0", multi_file=True, target_dir=str(work / "c"),
            group_name=NAME,
        )  # fmt: skip
        command = _SideBySide(Distribution({"name": NAME, "ext_modules": extensions}))
        command.build_lib, command.build_temp = str(work / "lib"), str(work / "objects")
        command.ensure_finalized()
        command.run()
        return {root / path: command.get_ext_filename(each.name) for each in extensions
                if (path := Path(command.get_ext_fullpath(each.name)))}  # fmt: skip


class _SideBySide(build_ext):
    """One file of C on each core, and none that is compiled already."""

    def build_extensions(self) -> None:
        one_by_one = self.compiler.compile
        others = max(path.stat().st_mtime for path in (Path(__file__), *Path(self.build_temp).parent.rglob("*.h")))

        def compile_all(sources: list[str], output_dir: str, **how: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(pool.map(lambda source: compile_one(source, output_dir, how), sources))

        def compile_one(source: str, output_dir: str, how: dict[str, Any]) -> str:
            (made,) = self.compiler.object_filenames([source], output_dir=output_dir)
            path = Path(made)
            if not path.exists() or path.stat().st_mtime < max(Path(source).stat().st_mtime, others):
                one_by_one([source], output_dir=output_dir, **how)
            return made

        self.compiler.compile = compile_all
        super().build_extensions()

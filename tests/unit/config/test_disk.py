"""The files of a configuration as they were when they were read: included ones, keys and certificates; nothing that
becomes of them afterwards is seen by who reads the copy.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gateway.config.disk import Copy, at, reading
from gateway.config.problems import ConfigError
from gateway.loading import Built, build
from gateway.policies.rate_limit import Screen
from gateway.state.memory import MemoryStore

from .kit import UPSTREAM

MAIN = 'include = ["conf.d/*.toml"{more}]\n' + UPSTREAM
ROUTE = '[[route]]\nname = "{name}"\nmatch = {{ path = "/{name}" }}\nupstream = "u"\n'


def built(path: Path, copy: Copy | None) -> Built:
    with reading(copy):
        return build(path, time.time, Screen(MemoryStore(), time.monotonic))


def routes(path: Path, copy: Copy | None) -> list[str]:
    return [route.name for route in built(path, copy).config.routes]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "etc" / "conf.d").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "etc" / "gateway.toml").write_text(
        MAIN.replace("{more}", f', "{tmp_path}/elsewhere/*.toml", "../*.toml"')
    )
    (tmp_path / "etc" / "conf.d" / "a.toml").write_text(ROUTE.format(name="a"))
    (tmp_path / "elsewhere" / "b.toml").write_text(ROUTE.format(name="b"))
    (tmp_path / "c.toml").write_text(ROUTE.format(name="c"))
    return tmp_path


def test_a_copy_is_what_the_files_were(folder: Path, tmp_path: Path) -> None:
    main, root = folder / "etc" / "gateway.toml", tmp_path / "copy"
    assert routes(main, Copy(root, making=True)) == ["a", "b", "c"]
    (folder / "etc" / "conf.d" / "a.toml").write_text("half written [[")
    (folder / "etc" / "conf.d" / "new.toml").write_text(ROUTE.format(name="new"))
    (folder / "elsewhere" / "more.toml").write_text(ROUTE.format(name="more"))
    (folder / "c.toml").unlink()
    assert routes(main, Copy(root)) == ["a", "b", "c"]
    main.unlink()
    assert routes(main, Copy(root)) == ["a", "b", "c"]


def test_secrets_are_read_from_it_too(folder: Path, tmp_path: Path) -> None:
    main, secret, root = folder / "etc" / "gateway.toml", folder / "etc" / "secret", tmp_path / "copy"
    secret.write_text("s3cret")
    main.write_text(main.read_text() + '[upstream.u.headers]\nset = { Authorization = "file:secret" }\n')
    built(main, Copy(root, making=True))
    secret.unlink()
    with pytest.raises(ConfigError, match="cannot read"):
        built(main, None)
    assert built(main, Copy(root)).snapshot.plans


def test_a_file_is_read_once_however_often_it_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("first")
    with reading(Copy(tmp_path / "copy", making=True)):
        assert at(file).read_text() == "first"
        file.write_text("second")
        assert at(file).read_text() == "first"
    assert at(file).read_text() == "second"


def test_only_its_user_can_read_it(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    built(folder / "etc" / "gateway.toml", Copy(root, making=True))
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) == 4 and not any(path.stat().st_mode & 0o077 for path in (root, *files))


def test_nothing_is_written_outside_of_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    root = tmp_path / "copy"
    with reading(Copy(root, making=True)):
        winding = Path(f"/{'../' * 20}{file}")
        assert at(winding).read_text() == "text"
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["file"]


def test_what_cannot_be_read_is_named_as_it_is_written(folder: Path, tmp_path: Path) -> None:
    main = folder / "etc" / "gateway.toml"
    missing = folder / "etc" / "none.toml"
    with pytest.raises(FileNotFoundError) as found:
        built(missing, Copy(tmp_path / "copy", making=True))
    assert found.value.filename == str(missing)
    main.write_text("listen = [")
    with pytest.raises(ConfigError, match=os.fspath(main)):
        built(main, Copy(tmp_path / "copy", making=True))

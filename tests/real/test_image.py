"""The image without Docker: the steps of deploy/Dockerfile are done in a directory, and what they make is run as the
image would be, by nobody in particular, who may write nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.dockerfile import build, read_stages, within
from tests.kit.gateways import SECRET, free_port
from tests.kit.raw import client, get
from tests.kit.waiting import until

ROOT = Path(__file__).resolve().parents[2]
BUILD, FINAL = read_stages(ROOT / "deploy" / "Dockerfile")
ETC = "etc/longpoll-gateway/gateway.toml"
CONFIGS = ["deploy/gateway.toml", "gateway.example.toml"]
# Of root's powers only that of reading: the Python of these tests may be in root's home.
NOBODY = ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--no-new-privs"]
NOBODY += [f"--{which}=-all,+dac_read_search" for which in ("bounding-set", "inh-caps", "ambient-caps")]

pytestmark = pytest.mark.timeout(300)  # the build tool may have to be fetched


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """The root directory of the image, not in pytest's own, which is closed to others. Its dependencies are those of
    these tests, so that nothing else is fetched."""
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        os.chmod(folder, 0o755)
        yield made(Path(folder))


def made(root: Path) -> Path:
    done = build(ROOT, BUILD, root, shortened)
    if "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("the package index, which has the build tool, is out of reach")
    assert done.returncode == 0, done.stderr
    (site,) = (root / "opt/longpoll-gateway/lib").glob("python*/site-packages")
    (site / "of-the-tests.pth").write_text(sysconfig.get_path("purelib"))
    return root


def shortened(command: str) -> str:
    """Without what is fetched, and without compiling: `make test` does that, and test_compiled.py looks at it."""
    if command.startswith("apt-get"):
        return "true"
    return command.replace("HATCH_BUILD_HOOK_ENABLE_CUSTOM=1", "").replace(" install ", " install --no-deps ")


def started(image: Path, command: list[str], **environ: str) -> subprocess.Popen[bytes]:
    """A command of the image, with no right to write and no room in any file."""
    env = dict(one.split("=", 1) for one in FINAL.one("ENV").text.split())
    env["PATH"] = within(env["PATH"], image).replace("$PATH", os.environ["PATH"])
    nobody = NOBODY if os.geteuid() == 0 and shutil.which("setpriv") else []
    return subprocess.Popen(
        [*nobody, *(within(word, image) for word in command)], env=env | environ, cwd="/", stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )  # fmt: skip


def installed(image: Path) -> dict[str, int]:
    """Every file and directory of the image, with the time of its last change."""
    return {str(one): one.stat().st_mtime_ns for one in image.rglob("*")}


def configured(image: Path, config: str) -> tuple[int, int]:
    """Puts one of CONFIGS into the image, on two free ports: the gateway's and the admin's."""
    ports = free_port(), free_port()
    text = (ROOT / config).read_text("utf-8")
    for old, new in zip((":8080", ":9090"), ports, strict=True):
        assert f'{old}"' in text
        text = text.replace(f'{old}"', f':{new}"')
    (image / ETC).parent.mkdir(parents=True, exist_ok=True)
    (image / ETC).write_text(text, "utf-8")
    return ports


def words(word: str, admin_port: int = 9090) -> list[str]:
    command = FINAL.one(word).exec_form
    assert command is not None
    return [one.replace("9090", str(admin_port)) for one in command]


def test_the_wheel_holds_the_gateway_and_its_policies_and_nothing_else(image: Path) -> None:
    (path,) = (image / "wheels").glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" not in name]
        policies = {name: wheel.read(name) for name in names if name.startswith("gateway/shipped_policies/")}
        metadata = [name.partition(".dist-info/")[2] for name in wheel.namelist() if ".dist-info/" in name]
    shipped = {f"gateway/shipped_policies/{one.name}": one.read_bytes() for one in (ROOT / "policies").glob("*.toml")}
    assert policies == shipped
    sources = {one.relative_to(ROOT).as_posix() for one in (ROOT / "gateway").rglob("*") if one.is_file()}
    assert set(names) - set(shipped) == {name for name in sources if "__pycache__" not in name}
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= set(metadata)


@pytest.mark.parametrize("config", CONFIGS)
async def test_it_starts_is_well_and_stops_without_writing_anything(image: Path, config: str) -> None:
    port, admin_port = configured(image, config)
    check = words("HEALTHCHECK", admin_port)
    before = installed(image)
    process = started(image, [*words("ENTRYPOINT"), *words("CMD")], GATEWAY_JWT_SECRET=SECRET)
    try:

        def well() -> bool:
            assert process.poll() is None, process.communicate()
            with started(image, check) as asked:
                return asked.wait() == 0

        await until(well, "health")
        async with client(port) as raw:
            found = await raw.ask(get("/updates?last_event_id=1&timeout=5", host="api.example.com"))
            assert found.status == 401
        process.terminate()
        out, said = await asyncio.to_thread(process.communicate)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert [json.loads(line)["dialect"] for line in out.splitlines()] == ["cursor-updates"]
    assert b"Traceback" not in said
    assert installed(image) == before

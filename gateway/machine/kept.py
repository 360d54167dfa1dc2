"""The configuration that counts on this machine, as its supervisor read it: a worker that is started again takes it
from the machine's directory, whatever has become of the file meanwhile.
"""

from __future__ import annotations

import pickle
from pathlib import Path

from gateway.config.settings import Config

_NAME = "configuration"


def keep(config: Config, directory: Path) -> None:
    """From now on it counts for every worker that starts. Only this user's processes can write there."""
    fresh = directory / f"{_NAME}.new"
    fresh.write_bytes(pickle.dumps(config))
    fresh.replace(directory / _NAME)


def kept(directory: Path) -> Config:
    found: Config = pickle.loads((directory / _NAME).read_bytes())  # written by `keep`, and by nobody else
    return found

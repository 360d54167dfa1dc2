"""Configuration: from the files a person writes to one checked Config. `read_config` is the way in for everyone
who wants the result; `load`, `check` and `merge` are its parts. Compiling to a Snapshot is `config.compile`.
"""

from __future__ import annotations

from pathlib import Path

from gateway.config.settings import Config


def read_config(path: Path) -> tuple[Config, list[str]]:
    """Loads and checks a configuration file. Returns it with the notices a person should see.

    Raises ConfigError with every problem found, OSError when the file itself cannot be read.
    """
    from gateway.config.check import check
    from gateway.config.load import load
    from gateway.config.problems import ConfigError

    config, problems, notices = check(load(path))
    if config is None or problems:
        raise ConfigError(problems)
    return config, notices

"""The configuration that most tests explain requests in."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.settings import Config

from .kit import configured


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    return configured(tmp_path, monkeypatch)

"""A catalog with a device of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import llmsizer
from llmsizer.catalog.catalog import Catalog

sys.path.insert(0, str(Path(__file__).parent))

from synthetic import OVERLAY


@pytest.fixture(scope="session")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalog") / "device.yaml"
    path.write_text(OVERLAY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def nouns(overlay: Path) -> Catalog:
    return llmsizer.load_catalog([overlay])

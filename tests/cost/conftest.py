"""The catalog, and overlays written for a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import llmsizer
from llmsizer.schema.accelerator import Accelerator


@pytest.fixture(scope="session")
def catalog() -> llmsizer.Catalog:
    return llmsizer.load_catalog()


@pytest.fixture(scope="session")
def h100(catalog: llmsizer.Catalog) -> Accelerator:
    return catalog.accelerator("h100")


@pytest.fixture
def overlay(tmp_path: Path) -> Callable[[str], llmsizer.Catalog]:
    def load(text: str) -> llmsizer.Catalog:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return llmsizer.load_catalog(path)

    return load

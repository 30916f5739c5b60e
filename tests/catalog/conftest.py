"""Overlays written for a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import llmsizer

Overlay = Callable[..., llmsizer.Catalog]


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    """Lays YAML text over the built-in catalog."""

    def load(text: str, name: str = "mine.yaml") -> llmsizer.Catalog:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return llmsizer.load_catalog(path)

    return load

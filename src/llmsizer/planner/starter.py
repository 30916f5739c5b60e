"""The commented plan file that people start from."""

from __future__ import annotations

from importlib.resources import files


def starter_text() -> str:
    """The text of ``starter.yaml``."""
    return (files("llmsizer.planner") / "starter.yaml").read_text(encoding="utf-8")

"""What all drawings share: their size, and how they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmsizer.core.errors import InvalidQuestion, LlmsizerError

SUFFIXES = (".svg", ".png", ".pdf")
# Okabe and Ito's colours, which colour-blind readers can tell apart.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")


def blank_figure(width: float, height: float) -> Any:
    """An empty figure of a size in inches. Raises LlmsizerError where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LlmsizerError("--plot needs matplotlib", "pip install 'llmsizer[plot]'") from error
    return Figure(figsize=(width, height))


def checked_picture(path: Path) -> Path:
    """A path that names a kind of picture. Raises InvalidQuestion for any other."""
    if path.suffix not in SUFFIXES:
        raise InvalidQuestion(f"--plot: '{path.name[:60]}' must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    return path


def save_figure(figure: Any, path: Path) -> None:
    """Writes a figure; an SVG without the date, so that equal figures are equal files."""
    try:
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None} if path.suffix == ".svg" else None)
    except OSError as error:
        raise LlmsizerError(f"--plot: {path} cannot be written: {error.strerror}") from error

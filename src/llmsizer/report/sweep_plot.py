"""Curves of a sweep: throughput and times over one of its words, a line for each combination of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmsizer.core.errors import InvalidQuestion
from llmsizer.question.sweep import Sweep
from llmsizer.report.figures import PALETTE, blank_figure, checked_picture, save_figure

# From top to bottom: the figure, its axis, its number in the axis's unit.
CURVES = (
    ("throughput.output_tokens_per_second", "output tokens/s", 1.0),
    ("latency.tpot_seconds", "TPOT (ms)", 1e3),
    ("latency.ttft_seconds", "TTFT (s)", 1.0),
)
AXES = ("concurrency", "request_rate", "input_tokens", "output_tokens", "prefix_cache_hit_rate")
MOST_LINES = 12
STYLES = ("-", "--")


def draw_sweep(found: Sweep, path: Path) -> None:
    """Draws a sweep; along the first word of ``AXES`` that varies, else the first with numbers.

    Needs matplotlib (``pip install 'llmsizer[plot]'``). Raises LlmsizerError where it is missing or the
    file cannot be written, and InvalidQuestion where nothing varies that could be an axis.
    """
    checked_picture(path)
    along = axis_of(found)
    figure = blank_figure(8, 9)
    panels = figure.subplots(len(CURVES), 1, sharex=True)
    for axes, (name, text, factor) in zip(panels, CURVES, strict=True):
        _lines(axes, found, along, name, factor)
        axes.set_ylabel(text)
        axes.grid(True, which="major", alpha=0.3)
    panels[-1].set_yscale("log")
    values = found[along]
    spread = values.min() > 0 and values.max() / values.min() >= 20
    panels[-1].set(xlabel=along.replace("_", " "), xscale="log" if spread else "linear")
    if len(found.words) > 1:
        panels[0].legend(fontsize=8, frameon=False)
    save_figure(figure, path)


def axis_of(found: Sweep) -> str:
    """The word that the curves run along."""
    numbers = [name for name in found.words if found[name].dtype.kind in "if"]
    for name in (*AXES, *numbers):
        if name in numbers and len(found.words[name]) > 1:
            return name
    raise InvalidQuestion("--plot: no word with numbers varies", "for example: --concurrency 1..256:x2")


def _lines(axes: Any, found: Sweep, along: str, name: str, factor: float) -> None:
    import numpy as np

    others = [word for word in found.words if word != along]
    keys = list(zip(*(found[word].tolist() for word in others), strict=True)) if others else [()] * len(found)
    series: dict[tuple[Any, ...], list[int]] = {}
    for index, key in enumerate(keys):
        series.setdefault(key, []).append(index)
    if len(series) > MOST_LINES:
        raise InvalidQuestion(f"--plot: {len(series):,} lines are too many", f"at most {MOST_LINES}: shorten a list")
    for number, (key, places) in enumerate(series.items()):
        text = ", ".join(_label(word, value) for word, value in zip(others, key, strict=True))
        order = np.array(places)[np.argsort(found[along][places], kind="stable")]
        axes.plot(
            found[along][order], found[name][order] * factor, marker=".", linewidth=1.4, label=text or None,
            color=PALETTE[number % len(PALETTE)], linestyle=STYLES[number // len(PALETTE) % len(STYLES)],
        )  # fmt: skip


def _label(word: str, value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or f"default {word}"
    return f"{word.replace('_', ' ')} {value:g}"

"""The roofline of a device with the operations of an estimate on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmsizer.core.explain import plain
from llmsizer.report.figures import PALETTE, blank_figure, checked_picture, save_figure
from llmsizer.report.memory import heading
from llmsizer.sizing.estimate import Estimate
from llmsizer.sizing.speed import Phase

COLOURS = {"prefill": PALETTE[1], "decode": PALETTE[0]}


def draw_roofline(estimate: Estimate, path: Path) -> None:
    """Draws peak and bandwidth of the device, and every operation at its intensity and rate.

    Needs matplotlib (``pip install 'llmsizer[plot]'``). Raises LlmsizerError where it is missing or the file
    cannot be written.
    """
    checked_picture(path)
    save_figure(_figure(estimate), path)


def _figure(estimate: Estimate) -> Any:
    figure = blank_figure(8, 5)
    axes = figure.subplots()
    roofline_on(axes, estimate)
    axes.set_title(heading(estimate), fontsize=9)
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return figure


def roofline_on(axes: Any, estimate: Estimate, roof: str = "#555555", names: int = 4) -> None:
    """Draws the roof (in a colour) and the operations of both phases on some axes, the largest with their names."""
    speed = estimate.speed
    assert speed is not None
    bandwidth = float(plain(estimate.case.accelerator.memory_bandwidth))
    peaks = {name: float(plain(getattr(speed, name).ridge_point_flop_per_byte)) * bandwidth for name in COLOURS}
    _roof(axes, bandwidth, peaks, roof)
    for name, colour in COLOURS.items():
        _operations(axes, getattr(speed, name), name, colour, names)
    axes.set(xscale="log", yscale="log", xlabel="arithmetic intensity (FLOP/byte)", ylabel="rate of one device (FLOP/s)")


def _roof(axes: Any, bandwidth: float, peaks: dict[str, float], colour: str) -> None:
    low, high = 0.5, 2e4
    for peak in sorted(set(peaks.values())):
        ridge = peak / bandwidth
        axes.plot([low, ridge, high], [low * bandwidth, peak, peak], color=colour, linewidth=1.2)
        axes.annotate(f"{peak / 1e12:,.0f} TFLOP/s", (high, peak), ha="right", va="bottom", fontsize=8)
    axes.annotate(f"{bandwidth / 1e12:,.2f} TB/s", (low * 1.5, low * 1.5 * bandwidth), rotation=32, fontsize=8, va="bottom")


def _operations(axes: Any, phase: Phase, name: str, colour: str, names: int) -> None:
    shown = [each for each in phase.operations if each["flop"] > 0]
    axes.scatter(
        [each["intensity_flop_per_byte"] for each in shown],
        [each["flop"] / each["seconds"] for each in shown],
        s=[20 + 400 * each["share"] for each in shown],
        color=colour, alpha=0.7, label=f"{name} (area: share of the step)",
    )  # fmt: skip
    for each in sorted(shown, key=lambda each: -float(each["share"]))[:names]:
        place = (each["intensity_flop_per_byte"], each["flop"] / each["seconds"])
        axes.annotate(each["name"], place, fontsize=7, textcoords="offset points", xytext=(6, -8))

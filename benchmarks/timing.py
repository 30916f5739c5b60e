"""A small shared timer: medians beside their budgets, as text or JSON."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured figure: its median, its spread, and the budget it must keep (None: no budget), or the
    ``least`` it must reach."""

    name: str
    unit: str
    median: float
    low: float
    high: float
    runs: int
    budget: float | None = None
    least: float | None = None

    @property
    def ratio(self) -> float | None:
        """The median as a share of the budget, or the least as a share of the median; above 1 it is broken."""
        if self.least:
            return self.least / self.median
        return self.median / self.budget if self.budget else None


def figure(name: str, unit: str, samples: list[float], budget: float | None = None, least: float | None = None) -> Figure:
    """The figure of some samples; low and high are their quartiles."""
    low, _, high = statistics.quantiles(samples, n=4) if len(samples) > 1 else (samples[0],) * 3
    return Figure(name, unit, statistics.median(samples), low, high, len(samples), budget, least)


def seconds_of(
    work: Callable[[], Any], runs: int, warm: int = 1, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """The time of each of several runs, after some that do not count; wall time, or what ``clock`` tells."""
    for _ in range(warm):
        work()
    samples = []
    for _ in range(runs):
        start = clock()
        work()
        samples.append(clock() - start)
    return samples


def report(title: str, figures: list[Figure]) -> None:
    """Prints the figures, as JSON with ``--json``; ends with exit code 1 if ``--strict`` and a budget is broken."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a budget is broken")
    options = parser.parse_args()
    if options.json:
        found = [{**asdict(each), "ratio": each.ratio} for each in figures]
        print(json.dumps({"title": title, "python": sys.version.split()[0], "figures": found}, indent=2))
    else:
        print(title)
        for each in figures:
            print(f"  {line_of(each)}")
    if options.strict and any((each.ratio or 0) > 1 for each in figures):
        raise SystemExit(1)


def line_of(each: Figure) -> str:
    """A figure as one line of text."""
    text = f"{each.name:42s} {each.median:9.4g} {each.unit:4s} ({each.low:.4g} to {each.high:.4g}, {each.runs} runs)"
    if each.ratio is None:
        return text
    if each.least is not None:
        return f"{text}  at least {each.least:g} {each.unit}: {1 / each.ratio:.1f} times that"
    return f"{text}  budget {each.budget:g} {each.unit}: {each.ratio:.2f} of it"

"""How long work takes: repeated, with the median and the spread of the repetitions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from llmsizer.authoring.measure.torch_device import TorchDevice
from llmsizer.validation.statistics import percentile

# A batch of calls is timed as one where a call is shorter than this, so that the clock's own cost vanishes.
SHORTEST_BATCH = {"cuda": 2e-3, "cpu": 5e-3}
LARGEST_BATCH = 200


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one call: the median of the repetitions, their 10th and 90th percentile, the least."""

    median: float
    low: float
    high: float
    least: float
    repeats: int

    def to_dict(self) -> dict[str, Any]:
        """The timing as a record keeps it."""
        values = {"seconds": self.median, "low": self.low, "high": self.high, "least": self.least}
        return {**{name: round_significant(value) for name, value in values.items()}, "repeats": self.repeats}

    def shared(self, calls: int) -> Timing:
        """The timing of one of some equal calls that were timed together."""
        return Timing(self.median / calls, self.low / calls, self.high / calls, self.least / calls, self.repeats)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to repeat one piece of work: so often, but not beyond some seconds after the second time.
    All is measured in some rounds, of which each figure's quietest counts."""

    repeats: int = 9
    seconds: float = 2.0
    rounds: int = 1


class Deadline:
    """A time at which measuring has to be over."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that remain; below zero when it has passed."""
        return self.end - time.monotonic()

    def part(self, share: float) -> Deadline:
        """A deadline after a share of what remains."""
        return Deadline(max(self.left(), 0.0) * share)


def timed(device: TorchDevice, work: Callable[[], Any], patience: Patience, batched: bool = True) -> Timing:
    """Times a piece of work after running it twice; short work in batches of calls unless it must not be."""
    work()
    device.wait()
    once = _seconds(device, work, 1)
    calls = max(1, min(LARGEST_BATCH, round(SHORTEST_BATCH[device.kind] / max(once, 1e-9)))) if batched else 1
    found: list[float] = []
    started = time.monotonic()
    while len(found) < patience.repeats and (len(found) < 2 or time.monotonic() - started < patience.seconds):
        found.append(_seconds(device, work, calls) / calls)
    return timing_of(found)


def timing_of(seconds: list[float]) -> Timing:
    """The timing of some repetitions."""
    middle = percentile(seconds, 0.5)
    return Timing(middle, percentile(seconds, 0.1), percentile(seconds, 0.9), min(seconds), len(seconds))


def _seconds(device: TorchDevice, work: Callable[[], Any], calls: int) -> float:
    """Seconds of some calls together: by the device's own events where it has them."""
    if not device.is_cuda:
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        return time.perf_counter() - begin
    first, last = (device.torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    for _ in range(calls):
        work()
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last)) / 1e3


def round_significant(value: float, digits: int = 5) -> float:
    """A number with so many digits, as records keep it."""
    return float(f"{value:.{digits}g}")


TIMES = frozenset(field for field in timing_of([1.0]).to_dict())


def quietest(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of rows that measured the same, the fastest: what other work on a machine adds is no property of it."""
    best: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple((name, value) for name, value in row.items() if name not in TIMES)
        if key not in best or row.get("seconds", 0.0) < best[key].get("seconds", 0.0):
            best[key] = row
    return list(best.values())

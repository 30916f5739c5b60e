"""Measured rows of one device, engine and format, ready for a formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.authoring.fit.least_squares import Arrays

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Rows:
    """Measured times of one kind of kernel: one device, engine and format.

    ``inputs`` are the formula's arguments by name, ``shapes`` a number per row that equal shapes
    share (folds of cross-validation keep a shape together), ``units`` the compute units (SMs) of the
    device where the fit states them, ``pooled`` False when the rows carry a
    defect (host time) that other engines' rows must not inherit.
    """

    device: str
    architecture: str
    backend: str
    format: str
    peak_of: str
    kernel: str
    inputs: Arrays
    seconds: Any
    shapes: Any
    pooled: bool = True
    host_seconds: float = 0.0
    units: float = 0.0

    def __len__(self) -> int:
        return len(self.seconds)

    def where(self, mask: Any) -> Rows:
        """The rows that a mask selects."""
        inputs = {name: column[mask] for name, column in self.inputs.items()}
        return replace(self, inputs=inputs, seconds=self.seconds[mask], shapes=self.shapes[mask])

    def sample(self, most: int, seed: int = 0) -> Rows:
        """At most so many rows, drawn at random but always the same ones."""
        import numpy as np

        if len(self) <= most:
            return self
        chosen = np.random.default_rng(seed).choice(len(self), most, replace=False)
        return self.where(np.sort(chosen))

    def fold(self, number: int) -> tuple[Rows, Rows]:
        """The rows without and with the shapes of one fold."""
        inside = self.shapes % FOLDS == number
        return self.where(~inside), self.where(inside)


def joined(parts: Sequence[Rows]) -> tuple[Arrays, Any]:
    """The inputs and seconds of several sets of rows as one."""
    import numpy as np

    names = parts[0].inputs
    inputs = {name: np.concatenate([part.inputs[name] for part in parts]) for name in names}
    return inputs, np.concatenate([part.seconds for part in parts])


def shape_numbers(*columns: Any) -> Any:
    """A well-mixed whole number per row that rows with equal columns share."""
    import numpy as np

    number = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        number = (number ^ np.asarray(column, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        number ^= number >> np.uint64(29)
    return (number >> np.uint64(20)).astype(np.int64)


# Where one engine's kernels take this many times another's on the same device and format, the engine
# fell back to a kernel that was not made for the device.
FALLBACK = 2.5
_STREAMED_SECONDS = 5e-5


def without_fallbacks(found: Sequence[Rows]) -> list[Rows]:
    """The rows without the tables that timed a fallback kernel, judged where weights are streamed."""
    best: dict[tuple[str, str], float] = {}
    slowness = [_slowness(rows) for rows in found]
    for rows, slow in zip(found, slowness, strict=True):
        key = (rows.device, rows.format)
        best[key] = min(best.get(key, float("inf")), slow or float("inf"))
    judged = zip(found, slowness, strict=True)
    return [rows for rows, slow in judged if slow is None or slow <= FALLBACK * best[rows.device, rows.format]]


def _slowness(rows: Rows) -> float | None:
    """Median of measured time over the time to stream the weights, for products bound by that."""
    import numpy as np

    ideal = rows.inputs["weight_bytes"] / rows.inputs["memory_bandwidth"]
    small = rows.inputs["activation_bytes"] < 0.05 * rows.inputs["weight_bytes"]
    streaming = small & (ideal > _STREAMED_SECONDS)
    return float(np.median(rows.seconds[streaming] / ideal[streaming])) if streaming.any() else None

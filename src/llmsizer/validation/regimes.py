"""Errors by quantity, phase, engine and class of device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import LlmsizerError
from llmsizer.validation.statistics import ErrorRow, Summary, summary

# Words of a quantity's name that tell the phase it belongs to.
PHASES = {
    "prefill": ("TTFT", "prompt", "prefill"), "decode": ("TPOT", "generation", "decode", "latency of a batch"),
    "both": ("throughput",),
}  # fmt: skip
ANY = "any"
# An interval that holds fewer measurements than this, in a group of so many, is too narrow.
FEWEST_ROWS, LEAST_INSIDE = 20, 0.65


@dataclass(frozen=True, slots=True)
class Regime:
    """Rows of one quantity, engine and class of device, and their errors."""

    quantity: str
    phase: str
    engine: str
    device_class: str
    summary: Summary

    @property
    def is_narrow(self) -> bool:
        """Whether the intervals of the regime hold too few of its measurements."""
        inside = self.summary.coverage
        return inside is not None and self.summary.count >= FEWEST_ROWS and inside < LEAST_INSIDE


def phase_of(quantity: str) -> str:
    """The phase of a quantity; ``memory`` for sizes."""
    return next((phase for phase, words in PHASES.items() if any(word in quantity for word in words)), "memory")


def class_of(hardware: str, catalog: Catalog) -> str:
    """The architecture of a device; the device itself where the catalog lacks it."""
    if not hardware:
        return ANY
    try:
        return catalog.accelerator(hardware).architecture
    except LlmsizerError:
        return hardware


def regimes(errors: Iterable[ErrorRow], catalog: Catalog, worst: int = 3) -> list[Regime]:
    """The regimes of the rows that set no parameter, in order of phase and quantity."""
    found: dict[tuple[str, str, str, str], list[ErrorRow]] = {}
    for error in errors:
        if error.role == "validate":
            place = (phase_of(error.quantity), error.quantity, error.engine or ANY, class_of(error.hardware, catalog))
            found.setdefault(place, []).append(error)
    return [
        Regime(quantity, phase, engine, device_class, summary(rows, worst))
        for (phase, quantity, engine, device_class), rows in sorted(found.items())
    ]

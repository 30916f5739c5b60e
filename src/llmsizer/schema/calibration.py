"""Calibration: how far from the peak a device works, as curves fitted to measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmsizer.core.errors import UnsupportedCombination
from llmsizer.core.explain import Provenance
from llmsizer.core.quantities import Count


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """The fitted parameters of one kind of kernel in one format on one device or class of devices.

    ``peak_of`` names the peak that its compute fraction refers to (None: the format's own).
    ``parameters`` are keyword parameters of the family's formula, by name; ``tier`` says how far
    they are trusted on this device; ``error`` is the median relative error that shapes left out of
    the fit showed (whole devices, where the curve is another device's). ``line``: the line of a
    calibration file that it was made of.
    """

    family: str
    format: str
    parameters: Mapping[str, Count]
    tier: str
    peak_of: str | None = None
    error: float | None = None
    line: tuple[Mapping[str, Any], ...] = ()
    provenance: Provenance = field(default_factory=Provenance)


class Calibration:
    """The curves that apply to one device and engine. ``find`` looks one up by family and format; ``spreads``
    has the intervals of ln(measured / estimate) by quantity where the device's own runs set them."""

    def __init__(
        self,
        name: str,
        device: str,
        find: Callable[[str, str], Curve | None],
        spreads: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        self.name, self.device = name, device
        self.spreads: Mapping[str, tuple[float, float]] = spreads or {}
        self.find = find
        self._found: dict[tuple[str, str], Curve] = {}

    def curve(self, family: str, format_: str) -> Curve:
        """The curve of a family in a format. UnsupportedCombination where none was ever fitted."""
        key = (family, format_)
        if key not in self._found:
            found = self.find(family, format_)
            if found is None:
                raise UnsupportedCombination(
                    f"no calibration of {family} in {format_} applies to {self.device}",
                    "--calibration ideal gives lower bounds",
                )
            self._found[key] = found
        return self._found[key]

    def used(self) -> list[Curve]:
        """The curves asked for so far."""
        return list(self._found.values())

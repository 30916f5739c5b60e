"""The calibration files of attention: curves pooled per architecture, finer where that helps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.authoring.fit.attention import AttentionFamily
from llmsizer.authoring.fit.least_squares import Parameter, relative_errors, summary
from llmsizer.authoring.fit.pooling import Curve, Fitter
from llmsizer.authoring.fit.pooling import _class_curves as class_curves
from llmsizer.authoring.fit.rows import Rows, joined
from llmsizer.authoring.fit.tables import TITLE
from llmsizer.authoring.fit.writing import calibration_yaml

SAMPLE, GENERIC_SAMPLE = 800, 250
# An engine whose times exceed what the others' curve says by this ratio in a fifth of the rows runs a
# fallback kernel there; its rows keep their own curve and are not pooled.
SLOW_QUANTILE, SLOW_RATIO = 0.8, 2.0
# Devices outside the measured ones count their units differently (cores, engines, arrays), so the
# generic curves hold no time per unit.
GENERIC_FIXED = {"item_seconds": 1e-9}
LIKE = {"fp16": ["bf16"], "fp32": ["bf16"], "int8": ["fp8", "bf16"], "int4": ["fp8", "bf16"], "fp8": ["bf16"]}
SOURCE = {"title": TITLE, "date": "2026-07", "note": "measured kernel times, newest version of each engine; curves fitted here"}


@dataclass(frozen=True, slots=True)
class TwoStarts(Fitter):
    """A fitter that also starts from the middle of every range, and keeps the better fit."""

    def fit(self, parts: Sequence[Rows], fixed: Mapping[str, float] | None = None) -> dict[str, float]:
        """The better of two fits, by the mean error in log time."""
        middle = [replace(one, start=(one.low * one.high) ** 0.5) for one in self.parameters]
        fits = [Fitter(self.equation, starts).fit(parts, fixed) for starts in (self.parameters, middle)]
        return min(fits, key=lambda values: self.distance(parts, values))

    def distance(self, parts: Sequence[Rows], values: Mapping[str, float]) -> float:
        """Mean absolute error in log time."""
        import numpy as np

        inputs, seconds = joined(parts)
        return float(np.abs(np.log(self.equation(**inputs, **values) / seconds)).mean())


def sampled(rows: Sequence[Rows], most: int = SAMPLE) -> list[Rows]:
    """At most so many rows of every table."""
    return [part.sample(most) for part in rows]


def marked(fitter: Fitter, rows: Sequence[Rows]) -> list[Rows]:
    """The rows, those of engines far slower than the others on the same architecture not to be pooled."""
    import numpy as np

    slow = set()
    for key in {(part.architecture, part.format, part.backend) for part in rows}:
        own = [part for part in rows if (part.architecture, part.format, part.backend) == key]
        others = [part for part in rows if (part.architecture, part.format) == key[:2] and part.backend != key[2]]
        if others:
            inputs, seconds = joined(own)
            ratio = seconds / fitter.equation(**inputs, **fitter.fit(others))
            if np.quantile(ratio, SLOW_QUANTILE) > SLOW_RATIO and np.median(ratio) > 1.0:
                slow.add(key)
    return [replace(part, pooled=(part.architecture, part.format, part.backend) not in slow) for part in rows]


def fitted_curves(equation: Callable[..., Any], parameters: Sequence[Parameter], rows: Sequence[Rows]) -> list[Curve]:
    """All curves of a family: generic ones without time per unit, then per architecture and finer."""
    fitter = TwoStarts(equation, parameters)
    rows = marked(fitter, rows)
    formats = sorted({part.format for part in rows})
    found = [generic(fitter, name, [part for part in rows if part.format == name and part.pooled]) for name in formats]
    for key in sorted({(part.architecture, part.format) for part in rows}):
        found += class_curves(fitter, [part for part in rows if (part.architecture, part.format) == key])
    # A device's curve over engines would go before the architecture's curve of the engine asked for.
    several = {curve.architecture for curve in found if curve.backend is not None}
    return [one for one in found if one.device is None or one.backend is not None or one.architecture not in several]


def generic(fitter: Fitter, format_name: str, parts: Sequence[Rows]) -> Curve:
    """One curve over all devices, without the parameters that only similar GPUs share."""
    names = {one.name for one in fitter.parameters}
    fixed = {name: value for name, value in GENERIC_FIXED.items() if name in names}
    few = sampled(parts, GENERIC_SAMPLE)
    values = fitter.fit(few, fixed)
    return Curve(
        architecture=None, device=None, format=format_name, backend=None, peak_of=parts[0].peak_of, parameters=values,
        parts=tuple(parts), error=fitter.errors(parts, values), device_left_out=left_out(fitter, few, fixed),
    )  # fmt: skip


def left_out(fitter: Fitter, parts: Sequence[Rows], fixed: Mapping[str, float]) -> Any:
    """The errors on each device by the fit of the others, with some parameters fixed."""
    import numpy as np

    errors = []
    for device in sorted({part.device for part in parts}):
        others = [part for part in parts if part.device != device]
        own = [part for part in parts if part.device == device]
        if others:
            errors.append(relative_errors(fitter.equation, *joined(own), fitter.fit(others, fixed)))
    return summary(np.concatenate(errors)) if errors else None


def with_head(text: str, ideal: Mapping[str, Any], like: Mapping[str, Sequence[str]]) -> str:
    """A calibration file with its ideal parameters and the formats that may stand in for others."""
    lines = [f"ideal: {_flow(ideal)}"]
    if like:
        lines.append("like: {" + ", ".join(f"{name}: [{', '.join(others)}]" for name, others in like.items()) + "}")
    return text.replace("\ncurves:\n", "\n" + "\n".join(lines) + "\ncurves:\n", 1)


def _flow(mapping: Mapping[str, Any]) -> str:
    items = (f"{name}: {_flow(value) if isinstance(value, Mapping) else value}" for name, value in mapping.items())
    return "{" + ", ".join(items) + "}"


def ideal_parameters(family: AttentionFamily) -> dict[str, float]:
    """The parameters at which a family's formula is its roofline."""
    ones = {"compute_fraction": 1.0, "memory_fraction": 1.0, "splits": 1e9}
    return {one.name: ones.get(one.name, 0.0) for one in family.parameters}


def attention_text(family: AttentionFamily, rows: Sequence[Rows], date: str) -> str:
    """The calibration file of one family."""
    found = fitted_curves(family.equation, family.parameters, sampled(rows))
    heading = f"Fitted by llmsizer.authoring.fit; formula llmsizer.formulas.attention.{family.name}_seconds.\n"
    heading += "format is that of the cache; fractions are of the device's 16-bit peak and memory bandwidth."
    text = calibration_yaml(family.name, found, [SOURCE], date, family.axes, heading)
    return with_head(text, ideal_parameters(family), LIKE)

"""From measured rows to curves: pooled per architecture and format, then finer where that helps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llmsizer.authoring.fit.least_squares import (
    Equation,
    ErrorSummary,
    Parameter,
    fit_parameters,
    relative_errors,
    summary,
)
from llmsizer.authoring.fit.rows import FOLDS, Rows, joined

# Rows that a fit takes: at most of one part, and of all parts together.
MOST_ROWS, MOST_ROWS_TOGETHER = 3000, 12_000
# With fewer rows than this in all its parts a curve only rescales the generic one.
FEWEST_ROWS = 150
# A finer curve is kept when it takes the median or the 90th percentile of the error to this share of the coarser one's.
WORTHWHILE = 0.85
# What a curve of few rows sets itself; the rest it has from the generic one.
RESCALED = ("compute_fraction", "memory_fraction", "launch_seconds")


@dataclass(frozen=True, slots=True)
class Curve:
    """Fitted parameters for some architecture, device, format and engine (None: any), and their errors."""

    architecture: str | None
    device: str | None
    format: str | None
    backend: str | None
    peak_of: str | None
    parameters: Mapping[str, float]
    parts: tuple[Rows, ...]
    error: ErrorSummary
    shapes_left_out: ErrorSummary | None = None
    device_left_out: ErrorSummary | None = None


@dataclass(frozen=True, slots=True)
class Fitter:
    """An equation with the parameters to fit."""

    equation: Equation
    parameters: Sequence[Parameter]

    def fit(self, parts: Sequence[Rows], fixed: Mapping[str, float] | None = None) -> dict[str, float]:
        """The parameters that fit some rows best; large parts weigh alike."""
        most = min(MOST_ROWS, MOST_ROWS_TOGETHER // len(parts))
        inputs, seconds = joined([part.sample(most) for part in parts])
        return fit_parameters(self.equation, inputs, seconds, self.parameters, fixed)

    def errors(self, parts: Sequence[Rows], values: Mapping[str, float]) -> ErrorSummary:
        """The errors of some parameters on all rows."""
        inputs, seconds = joined(parts)
        return summary(relative_errors(self.equation, inputs, seconds, values))

    def shapes_left_out(self, parts: Sequence[Rows]) -> ErrorSummary:
        """The errors on a fifth of the shapes by the fit of the others, over all fifths."""
        import numpy as np

        errors = []
        for number in range(FOLDS):
            pairs = [part.fold(number) for part in parts]
            inside = [pair[1] for pair in pairs if len(pair[1])]
            if inside:
                values = self.fit([pair[0] for pair in pairs if len(pair[0])])
                errors.append(relative_errors(self.equation, *joined(inside), values))
        return summary(np.concatenate(errors))

    def device_left_out(self, parts: Sequence[Rows]) -> ErrorSummary | None:
        """The errors on each device by the fit of the others; None with a single device."""
        import numpy as np

        errors = []
        for device in sorted({part.device for part in parts}):
            others = [part for part in parts if part.device != device]
            if not others:
                return None
            own = [part for part in parts if part.device == device]
            errors.append(relative_errors(self.equation, *joined(own), self.fit(others)))
        return summary(np.concatenate(errors))


def curves(fitter: Fitter, rows: Sequence[Rows]) -> list[Curve]:
    """Generic curves, curves per architecture and format, and finer ones where they help clearly."""
    groups = _groups([part for part in rows if len(part)], lambda part: (part.architecture, part.format))
    large = [group for group in groups if sum(map(len, group)) >= FEWEST_ROWS]
    found = _generic(fitter, [part for group in large for part in group if part.pooled])
    generic = {curve.format: curve for curve in found}
    for group in groups:
        if group in large:
            found += _class_curves(fitter, group)
        else:
            found.append(_rescaled(fitter, group, generic.get(group[0].format) or generic[None]))
    return found


def _groups(rows: Sequence[Rows], key: Callable[[Rows], tuple[str, ...]]) -> list[list[Rows]]:
    found: dict[tuple[str, ...], list[Rows]] = {}
    for part in rows:
        found.setdefault(key(part), []).append(part)
    return [found[name] for name in sorted(found)]


def _generic(fitter: Fitter, rows: Sequence[Rows]) -> list[Curve]:
    names = [None, *sorted({part.format for part in rows})]
    return [_generic_curve(fitter, name, [part for part in rows if name in (None, part.format)]) for name in names]


def _generic_curve(fitter: Fitter, name: str | None, parts: Sequence[Rows]) -> Curve:
    values = fitter.fit(parts)
    return Curve(
        architecture=None, device=None, format=name, backend=None, peak_of=parts[0].peak_of if name else None,
        parameters=values, parts=tuple(parts), error=fitter.errors(parts, values),
        device_left_out=fitter.device_left_out(parts),
    )  # fmt: skip


def _class_curves(fitter: Fitter, group: Sequence[Rows]) -> list[Curve]:
    clean = [part for part in group if part.pooled] or list(group)
    whole = _curve(fitter, clean)
    found = [whole]
    engines = _groups(group, lambda part: (part.backend,))
    by_engine: dict[str, Curve] = {}
    for parts in engines if len(engines) > 1 else []:
        curve = _finer(fitter, parts, whole, backend=parts[0].backend)
        if curve is not None:
            by_engine[parts[0].backend] = curve
    devices = _groups(group, lambda part: (part.device,))
    for parts in devices if len(devices) > 1 else []:
        own = _finer(fitter, [part for part in parts if part.pooled] or parts, whole, device=parts[0].device)
        found += [own] if own is not None and not by_engine else []
        for part in parts:
            parent = by_engine.get(part.backend) or (whole if by_engine else own or whole)
            exact = _finer(fitter, [part], parent, device=part.device, backend=part.backend)
            found += [exact] if exact is not None else []
    return found + list(by_engine.values())


def _curve(fitter: Fitter, parts: Sequence[Rows], device: str | None = None, backend: str | None = None) -> Curve:
    values = fitter.fit(parts)
    first = parts[0]
    return Curve(
        architecture=first.architecture, device=device, format=first.format, backend=backend, peak_of=first.peak_of,
        parameters=values, parts=tuple(parts), error=fitter.errors(parts, values),
        shapes_left_out=fitter.shapes_left_out(parts),
        device_left_out=None if device else fitter.device_left_out(parts),
    )  # fmt: skip


def _finer(
    fitter: Fitter, parts: Sequence[Rows], parent: Curve, device: str | None = None, backend: str | None = None
) -> Curve | None:
    coarse = fitter.errors(parts, parent.parameters)
    curve = _curve(fitter, parts, device, backend)
    unseen = curve.shapes_left_out or curve.error
    better = unseen.median <= WORTHWHILE * coarse.median or unseen.p90 <= WORTHWHILE * coarse.p90
    return curve if better and unseen.median <= coarse.median else None


def _rescaled(fitter: Fitter, parts: Sequence[Rows], generic: Curve) -> Curve:
    count = sum(len(part) for part in parts)
    free = RESCALED if count >= 10 else RESCALED[:1]
    fixed = {name: value for name, value in generic.parameters.items() if name not in free}
    values = fitter.fit(parts, fixed)
    first = parts[0]
    return Curve(
        architecture=first.architecture, device=None, format=first.format, backend=None, peak_of=first.peak_of,
        parameters=values, parts=tuple(parts), error=fitter.errors(parts, values),
        device_left_out=fitter.errors(parts, generic.parameters),
    )  # fmt: skip

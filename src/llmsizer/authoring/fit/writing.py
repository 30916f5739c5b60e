"""Calibration YAML from fitted curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmsizer.authoring.fit.least_squares import ErrorSummary
from llmsizer.authoring.fit.pooling import Curve
from llmsizer.authoring.fit.rows import Rows

CARRIED = ("matmul", "experts")  # families whose curves are carried over to other devices of an architecture


def calibration_yaml(
    family: str, curves: Iterable[Curve], sources: Sequence[Mapping[str, str]], date: str, axes: Sequence[str], heading: str
) -> str:
    """The text of a calibration file; ``axes`` are the inputs whose range each curve states."""
    lines = [f"# {line}" if line else "#" for line in heading.strip().splitlines()]
    lines += [f"family: {family}", "sources:"]
    lines += [f"  - {_flow(source)}" for source in sources]
    lines += [f"date: {date}", "curves:"]
    for curve in sorted(curves, key=_order):
        lines += _curve_lines(curve, axes, family in CARRIED)
    return "\n".join(lines) + "\n"


def _order(curve: Curve) -> tuple[str, str, str, str]:
    return curve.architecture or "", curve.format or "", curve.device or "", curve.backend or ""


def _curve_lines(curve: Curve, axes: Sequence[str], is_carried: bool) -> list[str]:
    parts = curve.parts
    host = {part.device: part.host_seconds for part in parts if part.host_seconds} if curve.backend else {}
    lines = [
        f"  - architecture: {_word(curve.architecture)}",
        f"    device: {_word(curve.device)}",
        f"    format: {_word(curve.format)}",
        f"    peak_of: {_word(curve.peak_of)}",
        f"    backend: {_word(curve.backend)}",
        f"    parameters: {_flow({name: _number(value) for name, value in curve.parameters.items()})}",
        f"    rows: {sum(len(part) for part in parts)}",
        f"    devices: [{', '.join(sorted({part.device for part in parts}))}]",
        f"    backends: [{', '.join(sorted({part.backend for part in parts}))}]",
        f"    range: {_flow({axis: _range(curve, axis) for axis in axes})}",
        f"    error: {_errors(curve.error)}",
    ]
    if is_carried and curve.architecture and not curve.device:
        lines.append(f"    measured_on: {_flow(_measured_on(parts))}")
    if curve.shapes_left_out:
        lines.append(f"    shapes_left_out: {_errors(curve.shapes_left_out)}")
    if curve.device_left_out:
        lines.append(f"    device_left_out: {_errors(curve.device_left_out)}")
    if host:
        lines.append(f"    host_seconds_left_out: {_flow({name: _number(value) for name, value in sorted(host.items())})}")
    return lines


def _measured_on(parts: Sequence[Rows]) -> dict[str, str]:
    """The mean units, peak and bandwidth of the devices of some rows."""
    devices = {
        part.device: (part.units, *(float(part.inputs[name][0]) for name in ("peak", "memory_bandwidth"))) for part in parts
    }
    means = (sum(each) / len(devices) for each in zip(*devices.values(), strict=True))
    return dict(zip(("units", "peak", "memory_bandwidth"), map(_number, means), strict=True))


def _word(name: str | None) -> str:
    return "null" if name is None else name


def _range(curve: Curve, axis: str) -> str:
    low = min(float(part.inputs[axis].min()) for part in curve.parts)
    high = max(float(part.inputs[axis].max()) for part in curve.parts)
    return f"[{low:.6g}, {high:.6g}]"


def _errors(error: ErrorSummary) -> str:
    return f"{{median: {error.median:.3f}, p90: {error.p90:.3f}}}"


def _number(value: float) -> str:
    """Four digits, always with a point or an exponent that every YAML reader takes for a number.

    >>> _number(4.1234e-6), _number(1e-8), _number(250000.0)
    ('4.123e-06', '1.0e-08', '250000.0')
    """
    text = f"{float(f'{value:.4g}')!r}"
    mantissa, mark, exponent = text.partition("e")
    return mantissa + (".0" if "." not in mantissa else "") + mark + exponent


def _flow(mapping: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {_quoted(value)}" for name, value in mapping.items()) + "}"


def _quoted(value: Any) -> str:
    text = str(value)
    plain = not any(mark in text for mark in ",:#{}\"'") or text.startswith("[")
    return text if plain else '"' + text.replace('"', "'") + '"'

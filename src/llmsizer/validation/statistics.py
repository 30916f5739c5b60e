"""Errors of many rows in few numbers: counts, medians, percentiles, group medians, worst rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One comparison of an ``estimate`` with what was ``measured``, named by ``quantity`` and ``id``: ``error`` is
    (estimate − measured) / reference, signed; ``role`` says whether anything was fitted to the row (``fit``) or not
    (``validate``); ``group`` joins rows of one kind for macro medians; ``cause`` says why a large error is there, where
    that is known; ``inside`` whether the measurement lies in the estimate's 80 % interval (None: it has none);
    ``engine`` and ``hardware`` are empty where the figure depends on neither."""

    quantity: str
    id: str
    group: str
    role: str
    estimate: float
    measured: float
    error: float
    cause: str = ""
    inside: bool | None = None
    engine: str = ""
    hardware: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """The errors of one ``quantity`` and ``role``, ``count`` rows: ``median``, ``mean`` and ``percentile_90`` of their
    sizes, ``bias`` (median of the signed), ``macro_median`` (of the groups' medians), ``coverage`` (share inside the
    80 % interval; None: no interval), and the ``worst`` rows."""

    quantity: str
    role: str
    count: int
    median: float
    mean: float
    percentile_90: float
    bias: float
    macro_median: float
    coverage: float | None
    worst: tuple[ErrorRow, ...]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a share of the values lies, between neighbours linearly."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summary(rows: Iterable[ErrorRow], worst: int = 10) -> Summary:
    """The summary of rows of one quantity and role."""
    found = list(rows)
    sizes = [abs(row.error) for row in found]
    groups: dict[str, list[float]] = {}
    for row in found:
        groups.setdefault(row.group, []).append(abs(row.error))
    return Summary(
        quantity=found[0].quantity,
        role=found[0].role,
        count=len(found),
        median=median(sizes),
        mean=sum(sizes) / len(sizes),
        percentile_90=percentile(sizes, 0.9),
        bias=median(row.error for row in found),
        macro_median=median(median(group) for group in groups.values()),
        coverage=_coverage(found),
        worst=tuple(sorted(found, key=lambda row: -abs(row.error))[:worst]),
    )


def _coverage(rows: Sequence[ErrorRow]) -> float | None:
    told = [row.inside for row in rows if row.inside is not None]
    return sum(told) / len(told) if told else None


def summaries(rows: Iterable[ErrorRow], worst: int = 10) -> list[Summary]:
    """One summary for each quantity and role, in order of appearance."""
    kinds: dict[tuple[str, str], list[ErrorRow]] = {}
    for row in rows:
        kinds.setdefault((row.quantity, row.role), []).append(row)
    return [summary(found, worst) for found in kinds.values()]

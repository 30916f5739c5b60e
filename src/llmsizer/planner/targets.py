"""What an answer must keep to: a time at a percentile, and the presets of usual traffic."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import InvalidQuestion, UnitError, UnknownName, nearest
from llmsizer.core.quantities import human, parse_quantity

METRICS = ("ttft", "tpot", "e2e")
PERCENTILES = ("mean", "p50", "p90", "p95", "p99")
DEFAULT_PERCENTILE = "p95"


@dataclass(frozen=True, slots=True)
class Target:
    """A metric (``ttft``, ``tpot``, ``e2e``) that may not exceed ``limit_seconds`` at a percentile."""

    metric: str
    limit_seconds: float
    percentile: str = DEFAULT_PERCENTILE

    @property
    def figure(self) -> str:
        """The field of ``Latency`` that it bounds."""
        return f"{self.metric}_seconds" if self.percentile == "mean" else f"{self.metric}_{self.percentile}_seconds"

    @property
    def title(self) -> str:
        """The metric as people write it: ``TTFT P95``."""
        return f"{self.metric.upper()} {self.percentile if self.percentile == 'mean' else self.percentile.upper()}"

    def __str__(self) -> str:
        return f"{self.title} ≤ {human(self.limit_seconds, 'second')}"


def preset_names() -> list[str]:
    """The presets of targets."""
    return list(package_data("targets.yaml")["presets"])


def preset(name: str) -> tuple[Target, ...]:
    """The targets of a preset. Raises UnknownName with the nearest."""
    known = package_data("targets.yaml")["presets"]
    if name not in known:
        raise UnknownName("preset of targets", name, known)
    return targets_of(known[name]["targets"])


def targets_of(given: Any) -> tuple[Target, ...]:
    """Targets from their written form: a preset's name, or a mapping such as ``{"ttft_p95": "500 ms",
    "tpot": "40 ms", "tokens_per_second": 25}``. A metric without percentile is meant at p95;
    ``tokens_per_second`` is a user's reading speed, 1/TPOT.

    >>> [str(each) for each in targets_of({"ttft_p99": "1 s", "tokens_per_second": 20})]
    ['TTFT P99 ≤ 1 s', 'TPOT P95 ≤ 50 ms']

    Raises InvalidQuestion or UnitError for what is none.
    """
    if given is None:
        return ()
    if isinstance(given, str):
        return preset(given)
    if isinstance(given, Mapping):
        return _unique(_target(str(key), value) for key, value in given.items() if value is not None)
    if isinstance(given, Sequence) and all(isinstance(each, Target) for each in given):
        return tuple(given)
    presets = ", ".join(preset_names())
    raise InvalidQuestion(f"targets: expected a preset or a mapping, got {given!r:.40}", f"presets: {presets}")


def _target(key: str, value: Any) -> Target:
    match = re.fullmatch(r"([a-z][a-z0-9]*(?:_per_second)?)(?:_(mean|p\d+))?", key.strip().lower())
    metric, percentile = (match[1], match[2] or DEFAULT_PERCENTILE) if match else (key, "")
    if metric not in (*METRICS, "tokens_per_second") or percentile not in PERCENTILES:
        known = [*METRICS, *(f"{name}_{share}" for name in METRICS for share in PERCENTILES), "tokens_per_second"]
        near = nearest(key.partition("_")[0], METRICS) or nearest(key, known) or known
        raise InvalidQuestion(f"targets: '{key[:40]}' is not known", f"Did you mean: {', '.join(near)}?")
    if metric == "tokens_per_second":
        return Target("tpot", 1.0 / _number(key, f"{value} 1/second", "1/second"), percentile)
    return Target(metric, _number(key, value, "second"), percentile)


def _number(key: str, value: Any, unit: str) -> float:
    """A positive quantity; the message names the target it belongs to."""
    try:
        number = parse_quantity(value, unit)
    except UnitError as error:
        raise InvalidQuestion(f"targets: {key}: {error.message}", error.hint) from None
    if not number > 0:
        raise InvalidQuestion(f"targets: {key} must be above zero")
    return number


def _unique(found: Iterable[Target]) -> tuple[Target, ...]:
    """Of several limits of one figure the tightest."""
    tightest: dict[str, Target] = {}
    for each in found:
        known = tightest.get(each.figure)
        if known is None or each.limit_seconds < known.limit_seconds:
            tightest[each.figure] = each
    return tuple(tightest.values())

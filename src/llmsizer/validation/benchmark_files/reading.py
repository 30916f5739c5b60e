"""One measured run as llmsizer speaks of it, and the helpers that read numbers from result files."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmsizer.core.errors import CatalogError
from llmsizer.schema.lengths import LengthPairs

# What an estimate needs and a result file may lack.
NEEDED = ("model", "hardware", "engine", "tensor_parallel_size", "input_tokens", "output_tokens")

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRun:
    """A measured run; None: the file does not say.

    ``metrics`` has the keys of an estimate: ``ttft_seconds`` (mean), ``ttft_p50_seconds`` …, the same
    for tpot, itl and e2e; ``requests_per_second``, ``output_tokens_per_second`` and so on.
    TPOT is (E2E − TTFT) / (output tokens − 1) of each request; where a tool's own figure means
    something else, ``notes`` says what was taken. Lengths are means in tokens; ``lengths`` are those
    of every request. ``request_rate`` None: not limited. ``settings`` has what else the file says.
    """

    tool: str
    source: str
    metrics: Mapping[str, float]
    model: str | None = None
    hardware: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    quantization: str | None = None
    tensor_parallel_size: int | None = None
    pipeline_parallel_size: int | None = None
    data_parallel_size: int | None = None
    devices: int | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    context_tokens: float | None = None
    lengths: LengthPairs | None = None
    num_prompts: int | None = None
    completed: int | None = None
    failed: int | None = None
    concurrency: int | None = None
    request_rate: float | None = None
    burstiness: float | None = None
    duration_seconds: float | None = None
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def missing(self) -> tuple[str, ...]:
        """What must be asked before this run can be compared with an estimate."""
        return tuple(name for name in NEEDED if getattr(self, name) is None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file a reader is, for its messages."""

    file: str
    line: int | None = None
    path: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where} {self.path}".strip()

    def at(self, key: str) -> Place:
        """A place further in."""
        return Place(self.file, self.line, f"{self.path}.{key}" if self.path else key)

    def error(self, message: str, hint: str = "") -> CatalogError:
        """An error that names this place."""
        return CatalogError(message, file=self.file, line=self.line, field=self.path, hint=hint)

    def mapping(self, value: Any) -> Fields:
        """The value, which must be an object."""
        if not isinstance(value, dict):
            raise self.error(f"expected an object, got {_shown(value)}")
        return value

    def list(self, value: Any) -> list[Any]:
        """The value, which must be a list."""
        if not isinstance(value, list):
            raise self.error(f"expected a list, got {_shown(value)}")
        return value


def number(fields: Fields, key: str, place: Place) -> float | None:
    """A number, or None where it is absent, null or not finite (a tool's way to say "no value").

    Raises CatalogError where something else stands there, or a negative number.
    """
    value = fields.get(key)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise place.at(key).error(f"expected a number, got {_shown(value)}") from None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise place.at(key).error(f"expected a number, got {_shown(value)}")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        return None
    if found < 0:
        raise place.at(key).error(f"expected a number that is not negative, got {found:g}")
    return found


def whole(fields: Fields, key: str, place: Place) -> int | None:
    """A whole number, or None."""
    found = number(fields, key, place)
    if found is not None and found != int(found):
        raise place.at(key).error(f"expected a whole number, got {found:g}")
    return None if found is None else int(found)


def text(fields: Fields, key: str) -> str | None:
    """A text that is not empty, or None."""
    found = fields.get(key)
    return str(found) if isinstance(found, (str, int, float)) and not isinstance(found, bool) and str(found) else None


def some(values: Mapping[str, float | None]) -> dict[str, float]:
    """The values that are there."""
    return {key: value for key, value in values.items() if value is not None}


def ratio(above: float | None, below: float | None) -> float | None:
    """A quotient, or None where either is unknown or the divisor 0."""
    return above / below if above is not None and below else None


STATISTIC = re.compile(r"mean|avg|median|p(?:\d+(?:\.\d+)?)")


def metric_key(metric: str, statistic: str) -> str:
    """The key of a latency: ``ttft_seconds`` for the mean, ``ttft_p50_seconds`` for the median …

    >>> metric_key("ttft", "median"), metric_key("tpot", "avg"), metric_key("itl", "p99")
    ('ttft_p50_seconds', 'tpot_seconds', 'itl_p99_seconds')
    """
    if statistic in ("mean", "avg"):
        return f"{metric}_seconds"
    return f"{metric}_{'p50' if statistic == 'median' else statistic}_seconds"


def named_statistics(
    fields: Fields, pattern: re.Pattern[str], names: Mapping[str, str], scale: float, place: Place
) -> dict[str, float]:
    """Latencies from flat keys such as ``p99_ttft_ms``; ``pattern`` has groups ``statistic`` and ``metric``."""
    found: dict[str, float] = {}
    for key in fields:
        match = pattern.fullmatch(key)
        if match and match["metric"] in names:
            value = number(fields, key, place)
            if value is not None:
                found[metric_key(names[match["metric"]], match["statistic"])] = value * scale
    return found


def rest(fields: Fields, taken: Iterable[str]) -> dict[str, Any]:
    """Plain further fields of a run, for its settings."""
    left = set(fields) - set(taken)
    return {key: fields[key] for key in fields if key in left and isinstance(fields[key], (str, int, float, bool))}


def _shown(value: Any) -> str:
    return repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:57]}…"

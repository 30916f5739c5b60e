"""Whether estimates order deployments as measurements do: what a planner rests on.

Rows of one model and one load, measured on several devices or splits, are compared in pairs by output
tokens per second. A pair counts where the measured rates differ by more than a tenth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.errors import LlmsizerError
from llmsizer.validation.measurements import measured_rows
from llmsizer.validation.speed_rows import answer_of, estimate_of, replicas

# Measured rates nearer than this are a tie.
TIE = 0.10


@dataclass(frozen=True, slots=True)
class RatedRow:
    """One measured deployment: what it is, what it is compared with, and both rates in tokens per second."""

    id: str
    group: tuple[Any, ...]
    place: tuple[Any, ...]
    measured: float
    estimate: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """How many ``pairs`` of deployments are ordered as measured (``agreeing``), over all ``groups``; ``wrong`` names
    those that are not, the clearest first."""

    groups: int
    pairs: int
    agreeing: int
    wrong: tuple[tuple[str, str, float], ...]

    @property
    def share(self) -> float:
        """The share of pairs in the measured order; 1 where there is none."""
        return self.agreeing / self.pairs if self.pairs else 1.0


def rated_rows(catalog: Catalog | None = None, role: str = "validate") -> Iterator[RatedRow]:
    """Every measured row with a rate that the catalog can answer."""
    nouns = catalog if catalog is not None else load_catalog()
    for row in measured_rows("speed.yaml"):
        rate = measured_rate(row)
        if row["role"] != role or rate is None:
            continue
        try:
            estimate = estimate_of(row, nouns)
        except LlmsizerError:
            continue
        if estimate.speed is not None:
            ours = answer_of(estimate).output_rate * replicas(row, estimate.case)
            yield RatedRow(row["id"], _group(row), _place(row), rate, ours)


def measured_rate(row: Mapping[str, Any]) -> float | None:
    """Output tokens per second of a row, measured or from its times at a fixed concurrency."""
    measured = row["measured"]
    if "output_tok_s" in measured:
        return float(measured["output_tok_s"])
    token, first = measured.get("tpot_ms") or measured.get("itl_ms"), measured.get("ttft_ms")
    if not token or row.get("concurrency") is None:
        return None
    tokens = float(row["words"]["output_tokens"])
    return float(1e3 * row["concurrency"] * tokens / ((first or 0.0) + (tokens - 1) * token))


def _group(row: Mapping[str, Any]) -> tuple[Any, ...]:
    words = row["words"]
    load = (row.get("concurrency"), row.get("batch"), words.get("input_tokens"), words.get("output_tokens"))
    return (row["model"], row["engine"], row["kind"], *load)


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    words = row["words"]
    split = tuple(words.get(name) for name in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"))
    return (row["hardware"], words.get("quantization"), *split)


def ranking(rows: Iterable[RatedRow]) -> Ranking:
    """How often estimates order two deployments of a group as they were measured."""
    groups: dict[tuple[Any, ...], list[RatedRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    wrong: list[tuple[str, str, float]] = []
    pairs = compared = 0
    for members in groups.values():
        found = [pair for pair in combinations(members, 2) if _counts(*pair)]
        pairs, compared = pairs + len(found), compared + bool(found)
        wrong += [(a.id, b.id, a.measured / b.measured) for a, b in found if not _agrees(a, b)]
    wrong.sort(key=lambda each: -max(each[2], 1 / each[2]))
    return Ranking(compared, pairs, pairs - len(wrong), tuple(wrong))


def _counts(first: RatedRow, second: RatedRow) -> bool:
    apart = max(first.measured, second.measured) / min(first.measured, second.measured)
    return first.place != second.place and apart > 1 + TIE


def _agrees(first: RatedRow, second: RatedRow) -> bool:
    return (first.measured > second.measured) == (first.estimate > second.estimate)

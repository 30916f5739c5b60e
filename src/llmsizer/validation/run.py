"""All comparisons of estimates with shipped measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.results import Result
from llmsizer.validation.causes import with_causes
from llmsizer.validation.file_rows import buffer_errors, checkpoint_errors
from llmsizer.validation.local_rows import local_errors
from llmsizer.validation.memory_rows import memory_errors
from llmsizer.validation.ranking import Ranking, ranking, rated_rows
from llmsizer.validation.regimes import Regime, regimes
from llmsizer.validation.run_rows import run_memory_errors, run_speed_errors
from llmsizer.validation.speed_rows import speed_errors
from llmsizer.validation.statistics import ErrorRow, Summary, summaries

PARTS: dict[str, tuple[Callable[[Catalog], list[ErrorRow]], ...]] = {
    "memory": (memory_errors, checkpoint_errors, buffer_errors, run_memory_errors),
    "speed": (speed_errors, local_errors, run_speed_errors),
}


@dataclass(frozen=True, slots=True, eq=False)
class Validation(Result):
    """The estimates of measured runs beside what was measured.

    ``errors``: every comparison. ``regimes``: those of rows that set no parameter by quantity, engine and class of
    device. ``ranking``: how often two deployments are ordered as they were measured (None where
    speed is left out).
    """

    errors: tuple[ErrorRow, ...]
    regimes: tuple[Regime, ...]
    ranking: Ranking | None

    def summaries(self, worst: int = 3) -> list[Summary]:
        """The errors of each quantity and role in few numbers, with the worst rows of each."""
        return summaries(self.errors, worst)

    def to_dict(self) -> dict[str, Any]:
        """The summaries and the ranking as plain data; errors are shares, not percent."""
        ranks = None if self.ranking is None else {**asdict(self.ranking), "share": self.ranking.share}
        if ranks is not None:
            ranks["wrong"] = [list(pair) for pair in ranks["wrong"]]
        short = [{**asdict(each), "worst": [asdict(row) for row in each.worst]} for each in self.summaries()]
        return {"summaries": short, "ranking": ranks}

    def to_rows(self) -> list[dict[str, Any]]:
        """One mapping a comparison."""
        return [asdict(error) for error in self.errors]

    def __repr__(self) -> str:
        return f"<Validation: {len(self.errors):,} comparisons of {len(self.summaries())} kinds>"


def validate(catalog: Catalog | None = None, part: str | None = None) -> Validation:
    """Recomputes the measured runs that ship with llmsizer; of one part (``memory`` or ``speed``) where it is named."""
    nouns = catalog if catalog is not None else load_catalog()
    ranks = ranking(rated_rows(nouns)) if part != "memory" else None
    errors = all_errors(nouns, part)
    return Validation(tuple(errors), tuple(regimes(errors, nouns)), ranks)


def all_errors(catalog: Catalog, part: str | None = None) -> list[ErrorRow]:
    """Every comparison, in the order of the report; of one part where it is named."""
    chosen = PARTS.values() if part is None else [PARTS[part]]
    return with_causes(error for functions in chosen for function in functions for error in function(catalog))

"""What rules of cause may look at: the log, the question, both sets of figures, and other estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import LlmsizerError
from llmsizer.doctor.asking import Asked, case_of
from llmsizer.doctor.figures import Estimated, Figures, case_is_split, estimated_figures, tolerance
from llmsizer.doctor.reading import LogReading
from llmsizer.sizing.memory import memory_estimate

# A change explains a difference when at most this share of it remains.
REMAINS = 0.25


@dataclass(slots=True)
class Evidence:
    """All that rules may look at: the log, the question, both sets of figures, and other estimates."""

    reading: LogReading
    asked: Asked
    catalog: Catalog
    estimated: Estimated
    logged: Figures
    figures: Figures
    _others: dict[str, Figures | None] = field(default_factory=dict)

    def named(self, word: str) -> bool:
        """Whether the log or the user names a setting."""
        return self.asked.origins.get(word) in {"log", "given"}

    def difference(self, name: str) -> float:
        """Estimate less log of a figure that both have."""
        return self.figures[name] - self.logged[name]

    def both(self, name: str) -> bool:
        """Whether log and estimate have a figure."""
        return name in self.logged and name in self.figures

    def more(self, name: str) -> float:
        """By how much the log has more than the estimate."""
        return -self.difference(name)

    def agrees(self, name: str) -> bool:
        """Whether a figure that both have agrees."""
        return abs(self.difference(name)) <= tolerance(name, self.logged[name], self.estimated, self.logged)

    def what_if(self, **changes: Any) -> Figures | None:
        """The estimate's figures with some words changed; None where that is no legal question."""
        key = repr(sorted(changes.items()))
        if key not in self._others:
            try:
                self._others[key] = estimated_figures(
                    self.reading, estimate_of(self.asked, self.reading, self.catalog, **changes)
                )
            except LlmsizerError:
                self._others[key] = None
        return self._others[key]

    def explained_by(self, name: str, **changes: Any) -> bool:
        """Whether a change of words makes a figure's difference go away."""
        other = self.what_if(**changes)
        if other is None or name not in other:
            return False
        remaining = abs(other[name] - self.logged[name])
        allowed = tolerance(name, self.logged[name], self.estimated, self.logged)
        return remaining <= max(allowed, REMAINS * abs(self.difference(name))) and remaining < abs(self.difference(name))


Rule = Callable[[Evidence, str], str]


def estimate_of(asked: Asked, reading: LogReading, catalog: Catalog, **changes: Any) -> Estimated:
    """The estimate of a question with some words changed. Raises an LlmsizerError for a mistake."""
    case = case_of(asked, reading, catalog, **changes)
    memory = memory_estimate(case)
    undivided = memory
    if case_is_split(case):
        undivided = memory_estimate(case_of(asked, reading, catalog, **(changes | {"offload": None})))
    return Estimated(case, memory, undivided)


def engine_values(evidence: Evidence, fact: str) -> list[Any]:
    """The values that an engine's fact has at any version or device."""
    entry = package_data("engines.yaml")["engines"].get(evidence.estimated.case.engine.id, {})
    items = (entry.get("facts") or {}).get(fact)
    values = [item["value"] if isinstance(item, dict) else item for item in (items if isinstance(items, list) else [items])]
    return [value for value in dict.fromkeys(values) if value]

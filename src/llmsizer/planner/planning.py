"""Several plans that are read together: the workloads of a plan file in each of its scenarios."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmsizer.core.results import Result
from llmsizer.planner.plan import Plan


@dataclass(frozen=True, slots=True)
class Answer:
    """The plan of one workload in one scenario; both names are empty for a plan of the command line."""

    scenario: str
    workload: str
    plan: Plan

    @property
    def name(self) -> str:
        """Scenario and workload, as far as they have names."""
        return ": ".join(part for part in (self.scenario, self.workload) if part)


@dataclass(frozen=True, slots=True)
class Planning(Result):
    """The ``answers`` of a plan file in its order, scenario by scenario, with its ``title`` and ``description``."""

    title: str
    description: str
    answers: tuple[Answer, ...]

    @property
    def scenarios(self) -> dict[str, list[Answer]]:
        """The answers of every scenario."""
        found: dict[str, list[Answer]] = {}
        for answer in self.answers:
            found.setdefault(answer.scenario, []).append(answer)
        return found

    @property
    def meets_targets(self) -> bool:
        """Whether every workload has a deployment in every scenario."""
        return all(answer.plan.meets_targets for answer in self.answers)

    def usd_per_hour(self, scenario: str) -> float | None:
        """What the best deployments of a scenario cost together; None where a workload has none."""
        costs = [answer.plan.usd_per_hour for answer in self.scenarios[scenario]]
        return sum(cost for cost in costs if cost is not None) if None not in costs else None

    def to_dict(self) -> dict[str, Any]:
        """The plans as plain data."""
        return {
            "title": self.title, "description": self.description, "meets_targets": self.meets_targets,
            "scenarios": [{"scenario": name, "usd_per_hour": self.usd_per_hour(name)} for name in self.scenarios],
            "plans": [
                {"scenario": each.scenario, "workload": each.workload, **each.plan.to_dict()} for each in self.answers
            ],
        }  # fmt: skip

    def to_rows(self) -> list[dict[str, Any]]:
        """The rows of every plan, with the names of its scenario and workload."""
        return [
            {"scenario": each.scenario, "workload": each.workload, **row}
            for each in self.answers
            for row in each.plan.to_rows()
        ]

    def __repr__(self) -> str:
        met = sum(bool(each.plan.picks) for each in self.answers)
        return f"<Planning {self.title!r}: {met} of {len(self.answers)} plans meet their targets>"

"""A plan: what to run, what it costs, what else would do, and why the rest does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.results import Result
from llmsizer.planner.choice import (
    HOUR,
    Rejection,
    best_of_each_device,
    deployable,
    front,
    nearest_misses,
    ranked,
    rejections,
    shortlists,
)
from llmsizer.planner.picks import Pick, cheapest_of, headroom_of, offer_name, pick_of
from llmsizer.planner.question import PlanQuestion
from llmsizer.planner.search import Candidates, search
from llmsizer.planner.sensitivity import Effect, sensitivity


@dataclass(frozen=True, slots=True, eq=False)
class Plan(Result):
    """The answer to a planning question.

    ``question``: demand, targets and choices. ``candidates``: all deployments that fit, as columns.
    ``picks``: the cheapest deployments, one a device, each asked again alone. ``alternatives``: the best
    row of every device that meets the targets; ``front``: the rows that nothing beats in cost, TTFT, TPOT
    and tokens per second and device at once. ``rejected``: every other device with its reason. ``sensitivity``:
    what moves the best pick, largest first. ``nearest``: where nothing meets the targets, what comes next to it.
    ``headroom``: the share of the capacity kept free.
    """

    question: PlanQuestion
    candidates: Candidates
    picks: tuple[Pick, ...]
    alternatives: tuple[Mapping[str, Any], ...]
    front: tuple[Mapping[str, Any], ...]
    rejected: tuple[Rejection, ...]
    nearest: tuple[str, ...]
    headroom: float
    sensitivity: tuple[Effect, ...] = ()

    @property
    def best(self) -> Pick | None:
        """The cheapest pick; None where nothing meets the targets."""
        return self.picks[0] if self.picks else None

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data, SI units in the keys."""
        question = self.question
        return {
            "question": {
                "model": str(question.words.model), "targets": {each.figure: each.limit_seconds for each in question.targets},
                "request_rate": question.request_rate, "concurrency": question.concurrency,
                "demand": list(question.demand.rates) if question.demand is not None else None,
                "headroom": self.headroom, "spare": question.spare,
            },
            "meets_targets": bool(self.picks), "tried": self.candidates.tried, "fitting": len(self.candidates),
            "picks": [pick.to_dict() for pick in self.picks], "alternatives": [dict(row) for row in self.alternatives],
            "front": [dict(row) for row in self.front],
            "rejected": [{"hardware": each.device, "reason": each.reason, "miss": each.miss} for each in self.rejected],
            "nearest": list(self.nearest), "sensitivity": [effect.to_dict() for effect in self.sensitivity],
        }  # fmt: skip

    def to_rows(self) -> list[dict[str, Any]]:
        """Every device that would do, the cheapest first, a row each; ``is_pick`` marks those asked again."""
        picked = {pick.estimate.case.accelerator.id for pick in self.picks}
        return [{"rank": rank, "is_pick": row["hardware"] in picked, **row} for rank, row in enumerate(self.alternatives, 1)]

    def __repr__(self) -> str:
        best = self.best
        if best is None:
            return "<Plan: nothing meets the targets>"
        case = best.estimate.case
        split = f"{best.replicas} × {case.parallel.devices} {case.accelerator.id}"
        return f"<Plan {case.model.id}: {split}, {case.scheme.id}, {best.usd_per_hour:.2f} USD/h>"


def plan_question(
    question: PlanQuestion, catalog: Catalog | None = None, progress: Callable[[int, int], None] | None = None
) -> Plan:
    """The plan of a question. Raises an LlmsizerError for a mistake in it."""
    nouns = catalog if catalog is not None else load_catalog()
    found = search(question, nouns, progress)
    good = deployable(found, question)
    order = ranked(found, good)
    rows, near = best_of_each_device(found, order), shortlists(found, order)[: question.picks]
    picks = [pick_of(cheapest_of(each, found, question), found, question, question.confirm) for each in near]
    picks.sort(key=lambda pick: (not pick.is_confirmed, round(pick.usd_per_hour, 4)))
    return Plan(
        question=question, candidates=found, picks=tuple(picks), alternatives=tuple(row_of(found, row) for row in rows),
        front=tuple(row_of(found, row) for row in front(found, good)), rejected=tuple(rejections(found, question)),
        nearest=tuple(nearest_misses(found, question)) if not picks else (), headroom=headroom_of(question, nouns),
        sensitivity=sensitivity(picks[0], question, nouns) if picks else (),
    )  # fmt: skip


def row_of(found: Candidates, row: int) -> dict[str, Any]:
    """A candidate as plain data."""
    words, columns = found.words(row), found.columns
    offer = found.prices.offers[int(columns["device"][row])][int(columns["offer"][row])]
    return {
        "hardware": words.hardware, "engine": words.engine, "quantization": words.quantization or "auto",
        "kv_cache_dtype": words.kv_cache_dtype, "tensor_parallel_size": words.tensor_parallel_size,
        "pipeline_parallel_size": words.pipeline_parallel_size, "data_parallel_size": words.data_parallel_size,
        "replicas": int(columns["replicas"][row]), "devices": int(columns["replicas"][row] * columns["devices"][row]),
        "offer": offer_name(offer), "usd_per_hour": float(columns["usd_per_second"][row]) * HOUR,
        "capacity_requests_per_second": float(columns["capacity"][row]),
        "ttft_seconds": float(columns["ttft_seconds"][row]), "tpot_seconds": float(columns["tpot_seconds"][row]),
        "output_tokens_per_second_per_gpu": float(columns["output_tokens_per_second_per_gpu"][row]),
    }  # fmt: skip

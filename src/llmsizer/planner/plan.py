"""A plan: what to run, what it costs, what else would do, and why the rest does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.explain import plain
from llmsizer.core.results import Result
from llmsizer.planner.aims import AIMS, HOUR
from llmsizer.planner.choice import (
    Rejection,
    best_of_each_device,
    deployable,
    front,
    nearest_misses,
    ranked,
    rejections,
    shortlists,
)
from llmsizer.planner.highest import highest_rate
from llmsizer.planner.picks import Pick, best_of, offer_name, pick_of
from llmsizer.planner.pool_picks import PoolPick, pool_picks
from llmsizer.planner.question import PlanQuestion, headroom_of
from llmsizer.planner.search import Candidates, search
from llmsizer.planner.sensitivity import Effect, effects
from llmsizer.planner.targets import Target
from llmsizer.question.traffic import answers_one_token
from llmsizer.schema.deployment import Case


@dataclass(frozen=True, slots=True, eq=False)
class Plan(Result):
    """The answer to a planning question.

    ``question``: demand, targets and choices. ``candidates``: all deployments that fit, as columns.
    ``picks``: the best deployments by what the question aims at, one a device, each asked again alone.
    ``alternatives``: the best row of every device that meets the targets; ``front``: the rows that nothing
    beats in cost, TTFT, TPOT and tokens per second and device at once. ``rejected``: every other device with its
    reason. ``sensitivity``: what moves the best pick, largest first. ``nearest``: where nothing meets the targets,
    what comes next to it. ``headroom``: the share of the capacity kept free. ``notes``: what of the question does not
    apply. ``pools``: separate pools for prefill and decode, where they were asked for.
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
    notes: tuple[str, ...] = ()
    pools: tuple[PoolPick, ...] = ()

    @property
    def best(self) -> Pick | None:
        """The best pick; None where nothing meets the targets."""
        return self.picks[0] if self.picks else None

    @property
    def meets_targets(self) -> bool:
        """Whether some deployment meets the targets."""
        return bool(self.picks or self.pools)

    @property
    def usd_per_hour(self) -> float | None:
        """What the best deployment costs; pools count where nothing else meets the targets."""
        if self.best is not None:
            return self.best.usd_per_hour
        return self.pools[0].usd_per_hour if self.pools else None

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data, SI units in the keys."""
        question = self.question
        return {
            "question": {
                "model": str(question.words.model), "targets": {each.figure: each.limit_seconds for each in question.targets},
                "request_rate": question.request_rate, "concurrency": question.concurrency,
                "demand": list(question.demand.rates) if question.demand is not None else None,
                "headroom": self.headroom, "spare": question.spare, "by": question.by,
            },
            "meets_targets": self.meets_targets, "tried": self.candidates.tried, "fitting": len(self.candidates),
            "picks": [pick.to_dict() for pick in self.picks], "alternatives": [dict(row) for row in self.alternatives],
            "front": [dict(row) for row in self.front],
            "rejected": [{"hardware": each.device, "reason": each.reason, "miss": each.miss} for each in self.rejected],
            "nearest": list(self.nearest), "sensitivity": [effect.to_dict() for effect in self.sensitivity],
            "notes": list(self.notes), "pools": [each.to_dict() for each in self.pools],
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
    question, notes = applicable(question)
    found = search(question, nouns, progress)
    good = deployable(found, question)
    order = ranked(found, good, question)
    rows, near = best_of_each_device(found, order), shortlists(found, order, question)[: question.picks]
    picks = [pick_of(best_of(each, found, question), found, question, question.confirm) for each in near]
    pools = pool_picks(question, found) if question.disaggregated else []
    picks.sort(key=lambda pick: (not pick.is_confirmed, *_figures(pick, question)))
    return Plan(
        question=question, candidates=found, picks=tuple(picks), alternatives=tuple(row_of(found, row) for row in rows),
        front=tuple(row_of(found, row) for row in front(found, good)), rejected=tuple(rejections(found, question)),
        nearest=tuple(nearest_misses(found, question)) if not picks else (), headroom=headroom_of(question, nouns),
        sensitivity=_sensitivity(picks[0], question.targets) if picks else (), notes=notes,
        pools=tuple(pools),
    )  # fmt: skip


def _sensitivity(pick: Pick, targets: Sequence[Target]) -> tuple[Effect, ...]:
    """What moves the rate that a replica of a pick bears: the inputs of its case, and the limits."""
    case = replace(pick.estimate.case, request_rate=None)

    def bears(case: Case, targets: Sequence[Target] = targets) -> dict[str, float]:
        rate = highest_rate(case, targets)
        return {} if rate is None else {"requests_per_second": rate}

    def with_limit(changed: Target) -> Callable[[float], dict[str, float]]:
        def figures(factor: float) -> dict[str, float]:
            other = replace(changed, limit_seconds=changed.limit_seconds * factor)
            return bears(case, [other if each is changed else each for each in targets])

        return figures

    return tuple(effects(case, bears, {f"limit of {target.title}": with_limit(target) for target in targets}))


def _figures(pick: Pick, question: PlanQuestion) -> tuple[float, ...]:
    """What picks are ordered by, least first."""
    cost, time = round(pick.usd_per_hour, 4), AIMS[question.by].time
    if time:
        return round(float(plain(getattr(pick.estimate.latency, time))), 5), cost
    if question.by == "throughput":
        return -pick.borne, cost
    return (
        (pick.devices, float(plain(pick.estimate.case.accelerator.memory_capacity)), cost)
        if question.by == "devices"
        else (cost,)
    )


def applicable(question: PlanQuestion) -> tuple[PlanQuestion, tuple[str, ...]]:
    """The question with the targets that its answers can be held to, and a note on those left out."""
    kept = tuple(target for target in question.targets if target.metric != "tpot")
    if kept == question.targets or not answers_one_token(question.words):
        return question, ()
    dropped = ", ".join(str(target) for target in question.targets if target not in kept)
    return replace(question, targets=kept), (f"{dropped} does not apply: answers of one token have no further token",)


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
        **{name: float(columns[name][row]) for name in ("ttft_seconds", "tpot_seconds", "e2e_seconds")},
        "output_tokens_per_second_per_gpu": float(columns["output_tokens_per_second_per_gpu"][row]),
    }  # fmt: skip

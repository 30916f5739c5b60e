"""The winners: asked again one by one, priced exactly, and run through the simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.core.explain import plain
from llmsizer.cost.ask import cost_case
from llmsizer.cost.demand import Scaling, case_over_demand, scale_up_lag
from llmsizer.cost.estimate import CostEstimate, cost_estimate
from llmsizer.formulas.demand import replicas_needed, with_spare
from llmsizer.planner.aims import AIMS, HOUR, rounded_cost
from llmsizer.planner.highest import highest_rate
from llmsizer.planner.question import PlanQuestion, headroom_of
from llmsizer.planner.search import Candidates
from llmsizer.planner.sizes import Sizes
from llmsizer.planner.targets import Target
from llmsizer.question.ask import ask
from llmsizer.question.resolve import resolve
from llmsizer.question.words import Words
from llmsizer.schema.price import OwnedHardware, Rental
from llmsizer.simulation.asked import Asked, simulate_question
from llmsizer.sizing.estimate import Estimate

SIMULATED_REQUESTS = 600
# Replicas that are added where the simulation misses a target that the closed form meets.
MOST_CORRECTIONS = 3
# Share of the load that is taken off instead, where the demand is what a deployment bears.
EASE = 0.1


@dataclass(frozen=True, slots=True)
class Margin:
    """A ``target``, the figure ``estimated`` for it, and the one ``simulated`` (None: not run), in seconds."""

    target: Target
    estimated: float
    simulated: float | None = None

    @property
    def room(self) -> float:
        """The share of the limit that the worse of both leaves; negative where it is missed."""
        worst = max(self.estimated, self.simulated if self.simulated is not None else 0.0)
        return 1.0 - worst / self.target.limit_seconds

    @property
    def is_met(self) -> bool:
        """Whether estimate and simulation both keep it."""
        return self.room >= -1e-9

    def to_dict(self) -> dict[str, Any]:
        """The margin as plain data."""
        return {
            "target": self.target.figure, "limit_seconds": self.target.limit_seconds,
            "estimated_seconds": self.estimated, "simulated_seconds": self.simulated, "met": self.is_met,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Pick:
    """A deployment that meets the targets: ``replicas`` of ``estimate`` at its share of the peak, rented at ``offer``.

    ``words``: the question of one replica. ``margins``: every target with what is left of it.
    ``capacity``: requests a second that one replica bears within the targets; ``borne``: that all bear, the spare
    ones and the headroom kept free. ``cost`` is of the whole
    deployment over the demand. ``growth``: the multiple of the peak it still bears with its headroom;
    ``grown`` the replicas and USD an hour at the growth asked for; ``one_less`` the times at the peak with
    one replica lost (None: it does not bear them, or there is only one).
    """

    words: Words
    estimate: Estimate
    offer: Rental | OwnedHardware
    replicas: int
    capacity: float
    borne: float
    cost: CostEstimate
    margins: tuple[Margin, ...]
    growth: float
    grown: Mapping[str, float]
    one_less: Mapping[str, float] | None
    notes: tuple[str, ...] = field(default=())

    @property
    def devices(self) -> int:
        """Devices of the whole deployment."""
        return self.replicas * self.estimate.case.parallel.devices

    @property
    def usd_per_hour(self) -> float:
        """What the deployment costs an hour, on average over its demand."""
        return float(plain(self.cost.usd_per_second)) * HOUR

    @property
    def is_confirmed(self) -> bool:
        """Whether every target is met, by the simulation too where it was run."""
        return all(margin.is_met for margin in self.margins)

    def to_dict(self) -> dict[str, Any]:
        """The pick as plain data; ``estimate`` is that of one replica."""
        return {
            "hardware": self.estimate.case.accelerator.id, "offer": offer_name(self.offer), "replicas": self.replicas,
            "devices": self.devices, "devices_per_replica": self.estimate.case.parallel.devices,
            "usd_per_hour": self.usd_per_hour, "capacity_requests_per_second": self.capacity,
            "borne_requests_per_second": self.borne,
            "confirmed": self.is_confirmed, "margins": [margin.to_dict() for margin in self.margins],
            "growth": self.growth, "grown": dict(self.grown),
            "one_less": dict(self.one_less) if self.one_less is not None else None,
            "cost": self.cost.to_dict(), "estimate": self.estimate.to_dict(), "notes": list(self.notes),
        }  # fmt: skip


def offer_name(offer: Rental | OwnedHardware) -> str:
    """What an offer is called."""
    return offer.name if isinstance(offer, Rental) else "owned"


@dataclass(frozen=True, slots=True)
class Sized:
    """A candidate's replicas and price by what one replica bears on a grid finer than the search's; ``rate``: requests
    a second that come to one replica. ``note``: how it was corrected."""

    row: int
    capacity: float
    replicas: int
    rate: float
    offer: Rental | OwnedHardware
    usd_per_second: float
    note: str = ""


def sized(row: int, found: Candidates, question: PlanQuestion) -> Sized:
    """A candidate, sized again."""
    import numpy as np

    columns, headroom = found.columns, headroom_of(question, found.catalog)
    finely = highest_rate(resolve(found.words(row), found.catalog).case, question.targets)
    capacity = float(columns["capacity"][row]) if finely is None else finely
    replicas, rate = int(columns["replicas"][row]), float(columns["rate"][row])
    if not question.has_demand:
        rate = capacity * (1 - headroom) * (replicas - question.spare) / replicas
    elif question.concurrency is None:
        needed = int(plain(with_spare(replicas_needed(question.peak, capacity, headroom, 1), question.spare)))
        replicas = max(needed, replicas) if AIMS[question.by].spends else needed
        rate = question.peak / replicas
    device = columns["device"][row : row + 1].astype(int)
    cost, offer = found.prices.cheapest(device, int(columns["devices"][row]), np.array([float(replicas)]))
    return Sized(
        row,
        capacity,
        replicas,
        rate,
        found.prices.offers[int(device[0])][int(offer[0])],
        float(cost[0]) + float(columns["storage"][row]),
    )


def best_of(rows: Sequence[int], found: Candidates, question: PlanQuestion) -> Sized:
    """Of some candidates the one that the question aims at once they are sized again; among equals the first."""
    if AIMS[question.by].time:
        return sized(rows[0], found, question)
    each_devices = found.columns["devices"]
    figure: dict[str, Callable[[Sized], float]] = {
        "cost": lambda each: float(rounded_cost(each.usd_per_second * HOUR)),
        "throughput": lambda each: -each.capacity * (each.replicas - question.spare),
        "devices": lambda each: each.replicas * float(each_devices[each.row]),
    }
    return min((sized(row, found, question) for row in rows), key=figure[question.by])


def pick_of(chosen: Sized, found: Candidates, question: PlanQuestion, confirm: bool) -> Pick:
    """A candidate, asked as a question of its own; with ``confirm`` it is eased until the simulation keeps the targets
    too, a few times at the most."""
    made = _made(chosen, found, question, confirm)
    most = Sizes(question, found.prices, found.devices, headroom_of(question, found.catalog)).most(
        found.columns["device"][chosen.row : chosen.row + 1].astype(int), int(found.columns["devices"][chosen.row])
    )
    for step in range(1, MOST_CORRECTIONS + 1):
        more = chosen.replicas + step
        if not confirm or made.is_confirmed or (question.has_demand and more > float(most[0])):
            break
        made = _made(_eased(chosen, step, question), found, question, confirm)
    return made


def _eased(chosen: Sized, step: int, question: PlanQuestion) -> Sized:
    """The candidate with more replicas for the same demand; without a demand, with less load."""
    if question.has_demand:
        replicas = chosen.replicas + step
        note = f"{step} replicas more than in closed form: with fewer the simulation misses a target"
        return replace(chosen, replicas=replicas, rate=chosen.rate * chosen.replicas / replicas, note=note)
    part = 1 - EASE * step
    note = f"{1 - part:.0%} less load than in closed form: with more the simulation misses a target"
    return replace(chosen, rate=chosen.rate * part, note=note)


def _made(chosen: Sized, found: Candidates, question: PlanQuestion, confirm: bool) -> Pick:
    replicas, capacity, rate, offer, catalog = chosen.replicas, chosen.capacity, chosen.rate, chosen.offer, found.catalog
    words = replace(found.words(chosen.row), request_rate=rate)
    estimate = ask(words, catalog)
    simulated = _simulated(words, question, catalog, estimate) if confirm else {}
    margins = tuple(Margin(target, _figure(estimate, target), simulated.get(target.figure)) for target in question.targets)
    kept = capacity * (replicas - question.spare) * (1 - headroom_of(question, catalog))
    return Pick(
        words=words, estimate=estimate, offer=offer, replicas=replicas, capacity=capacity,
        borne=kept if question.has_demand else rate * replicas,
        cost=cost_of(question, catalog, estimate, offer, replicas, capacity), margins=margins,
        growth=_growth(found, question, replicas, capacity, rate), grown=_grown(found, question, chosen, rate),
        one_less=_one_less(words, replicas, capacity, rate, catalog), notes=(chosen.note,) if chosen.note else (),
    )  # fmt: skip


def _figure(estimate: Estimate, target: Target) -> float:
    return float(plain(getattr(estimate.latency, target.figure)))


def _simulated(words: Words, question: PlanQuestion, catalog: Catalog, estimate: Estimate) -> dict[str, float]:
    """The figures of the targets in a simulation of one replica under its share of the peak."""
    if estimate.case.draft is not None or not question.targets:
        return {}
    result, _ = simulate_question(words, Asked(num_prompts=SIMULATED_REQUESTS), catalog)
    steady = result.steady()
    flat = steady.to_dict() if steady is not None else {}
    return {target.figure: flat[target.figure] for target in question.targets if flat.get(target.figure) is not None}


def cost_of(
    question: PlanQuestion, catalog: Catalog, estimate: Estimate, offer: Rental | OwnedHardware, replicas: int,
    capacity: float,
) -> CostEstimate:  # fmt: skip
    """What so many replicas of an estimate cost over the demand of a question."""
    words, case = question.words, estimate.case
    weights = float(plain(estimate.memory.per_gpu.weights_bytes)) * case.parallel.devices
    speed = estimate.speed
    assert speed is not None, "a pick has a speed"
    decode = float(plain(speed.latency.tpot_seconds)) * float(case.workload.output_tokens) / max(speed.decode_batch, 1.0)
    asked = cost_case(
        catalog, case.accelerator, price=offer, devices=case.parallel.devices, replicas=replicas, extras=words.extras,
        emissions=words.emissions, weights_bytes=weights, requests_per_second=_peak_rate(question, estimate, replicas),
        capacity=capacity * replicas, input_tokens=float(case.workload.input_tokens),
        output_tokens=float(case.workload.output_tokens), cached=float(case.workload.prefix_cache_hit_rate),
        prefill_seconds=float(plain(speed.prefill.step_seconds)), decode_seconds=decode,
    )  # fmt: skip
    if question.demand is not None:
        lag = scale_up_lag(catalog, weights)
        scaling = Scaling(capacity=capacity, headroom=headroom_of(question, catalog), spare=question.spare, lag=lag)
        asked = case_over_demand(asked, question.demand, scaling)
    return cost_estimate(asked)


def _peak_rate(question: PlanQuestion, estimate: Estimate, replicas: int) -> float:
    if question.has_demand and question.concurrency is None:
        return question.peak
    return float(plain(estimate.case.request_rate or 0.0)) * replicas


def _growth(found: Candidates, question: PlanQuestion, replicas: int, capacity: float, rate: float) -> float:
    kept = capacity * (1 - headroom_of(question, found.catalog))
    return (replicas - question.spare) * kept / (rate * replicas)


def _grown(found: Candidates, question: PlanQuestion, chosen: Sized, rate: float) -> dict[str, float]:
    """Replicas and their price at the demand to come."""
    import numpy as np

    peak = question.growth * rate * chosen.replicas
    needed = replicas_needed(peak, chosen.capacity, headroom_of(question, found.catalog), 1)
    replicas = float(plain(with_spare(needed, question.spare)))
    device = found.columns["device"][chosen.row : chosen.row + 1].astype(int)
    cost, _ = found.prices.cheapest(device, int(found.columns["devices"][chosen.row]), np.array([replicas]))
    return {"multiple": question.growth, "replicas": replicas, "usd_per_hour": float(cost[0]) * HOUR}


def _one_less(words: Words, replicas: int, capacity: float, rate: float, catalog: Catalog) -> dict[str, float] | None:
    """The times of a request at the peak while one replica is gone; None where the others do not bear it."""
    if replicas < 2 or rate * replicas / (replicas - 1) > capacity:
        return None
    latency = ask(replace(words, request_rate=rate * replicas / (replicas - 1)), catalog).latency
    assert latency is not None, "what fits has a latency"
    return {name: float(plain(getattr(latency, name))) for name in ("ttft_p95_seconds", "tpot_p95_seconds", "e2e_p95_seconds")}

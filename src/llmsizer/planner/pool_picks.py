"""The best pairs of pools: asked again pool by pool, priced, and run through the simulation of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.core.explain import plain
from llmsizer.cost.estimate import CostEstimate
from llmsizer.planner.aims import HOUR
from llmsizer.planner.picks import MOST_CORRECTIONS, SIMULATED_REQUESTS, Margin, cost_of, offer_name
from llmsizer.planner.pools import Pair, SizedHalf, front_end_beyond, pairs, with_replicas, within_limits
from llmsizer.planner.question import PlanQuestion
from llmsizer.planner.search import Candidates
from llmsizer.planner.targets import Target
from llmsizer.question.ask import ask
from llmsizer.question.words import Words
from llmsizer.schema.price import OwnedHardware, Rental
from llmsizer.simulation.asked import Asked, simulate_pools
from llmsizer.sizing.estimate import Estimate

# Pairs that are asked again; requests of a simulation at most.
PICKS, MOST_REQUESTS = 2, 3000


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """One of two pools: ``replicas`` of ``words``, each at its share of the peak; ``estimate`` is of one replica's own
    work (one-token answers, or prompts that are cached)."""

    words: Words
    estimate: Estimate
    offer: Rental | OwnedHardware
    replicas: int
    capacity: float
    cost: CostEstimate

    @property
    def devices(self) -> int:
        """Devices of the pool."""
        return self.replicas * self.estimate.case.parallel.devices

    @property
    def usd_per_hour(self) -> float:
        """What the pool costs an hour, on average over its demand."""
        return float(plain(self.cost.usd_per_second)) * HOUR

    def to_dict(self) -> dict[str, Any]:
        """The pool as plain data."""
        return {
            "hardware": self.estimate.case.accelerator.id, "offer": offer_name(self.offer), "replicas": self.replicas,
            "devices": self.devices, "devices_per_replica": self.estimate.case.parallel.devices,
            "quantization": self.words.quantization or "auto", "kv_cache_dtype": self.words.kv_cache_dtype,
            "usd_per_hour": self.usd_per_hour, "capacity_requests_per_second": self.capacity, "cost": self.cost.to_dict(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class PoolPick:
    """Two pools that meet the targets together; a prompt's cache takes ``transfer_seconds`` from one to the other."""

    prefill: Pool
    decode: Pool
    transfer_seconds: float
    margins: tuple[Margin, ...]
    notes: tuple[str, ...] = ()

    @property
    def devices(self) -> int:
        """Devices of both pools."""
        return self.prefill.devices + self.decode.devices

    @property
    def usd_per_hour(self) -> float:
        """What both pools cost an hour."""
        return self.prefill.usd_per_hour + self.decode.usd_per_hour

    @property
    def is_confirmed(self) -> bool:
        """Whether every target is met, by the simulation too where it was run."""
        return all(margin.is_met for margin in self.margins)

    def to_dict(self) -> dict[str, Any]:
        """The pools as plain data."""
        return {
            "prefill": self.prefill.to_dict(), "decode": self.decode.to_dict(), "devices": self.devices,
            "usd_per_hour": self.usd_per_hour, "transfer_seconds": self.transfer_seconds, "confirmed": self.is_confirmed,
            "margins": [margin.to_dict() for margin in self.margins], "notes": list(self.notes),
        }  # fmt: skip


def pool_picks(question: PlanQuestion, found: Candidates) -> list[PoolPick]:
    """The best pairs of pools, cheapest first. Raises InvalidQuestion where pools cannot be sized."""
    picks = [_confirmed(pair, question, found) for pair in pairs(question, found)[:PICKS]]
    return sorted(picks, key=lambda pick: (not pick.is_confirmed, round(pick.usd_per_hour, 4)))


def _confirmed(pair: Pair, question: PlanQuestion, found: Candidates) -> PoolPick:
    """A pair, asked again; the pool whose target the simulation misses gets further replicas, a few at the most."""
    made = _made(pair, question, found.catalog)
    for added in range(1, MOST_CORRECTIONS + 1):
        missed = {margin.target.metric for margin in made.margins if not margin.is_met}
        if not question.confirm or not missed:
            break
        grown = _grown(pair, missed, found)
        if grown is None or not within_limits(grown, question):
            break
        pair = grown
        note = f"{added} replicas more than in closed form: with fewer the simulation misses a target"
        made = replace(_made(pair, question, found.catalog), notes=(note,))
    return made


def _grown(pair: Pair, missed: set[str], found: Candidates) -> Pair | None:
    name = "prefill" if "ttft" in missed else "decode"
    side: SizedHalf = getattr(pair, name)
    more = with_replicas(side.half, side.replicas + 1, side.capacity, found)
    if more is None:
        return None
    return replace(pair, prefill=more) if name == "prefill" else replace(pair, decode=more)


def _made(pair: Pair, question: PlanQuestion, catalog: Catalog) -> PoolPick:
    prefill, decode = (_pool(side, question, catalog) for side in (pair.prefill, pair.decode))
    simulated = _simulated(pair, question, catalog) if question.confirm else {}
    margins = tuple(
        Margin(target, _estimated(target, prefill, decode, pair.transfer_seconds), simulated.get(target.figure))
        for target in question.targets
    )
    return PoolPick(prefill, decode, pair.transfer_seconds, margins)


def _pool(side: SizedHalf, question: PlanQuestion, catalog: Catalog) -> Pool:
    estimate = ask(replace(side.half.own, request_rate=question.peak / side.replicas), catalog)
    cost = cost_of(question, catalog, estimate, side.offer, side.replicas, side.capacity)
    return Pool(side.half.words, estimate, side.offer, side.replicas, side.capacity, cost)


def _estimated(target: Target, prefill: Pool, decode: Pool, transfer: float) -> float:
    """A target's figure over both pools: the first pool's time to the token it makes, the cache's way, and what the second
    pool's decoding takes."""
    reading, decoding = prefill.estimate.speed, decode.estimate.speed
    assert reading is not None, "a pool has a speed"
    assert decoding is not None, "a pool has a speed"
    if target.metric == "tpot":
        return float(plain(getattr(decoding.latency, target.figure)))
    streamed = front_end_beyond(decode.estimate.case, float(decoding.others))
    first = float(plain(getattr(reading.latency, replace(target, metric="ttft").figure))) + transfer + streamed
    if target.metric == "ttft":
        return first
    return first + float(plain(getattr(decoding.latency, target.figure))) - float(plain(decoding.latency.ttft_seconds))


def _simulated(pair: Pair, question: PlanQuestion, catalog: Catalog) -> dict[str, float]:
    """The figures of the targets in a simulation of both pools under the peak."""
    if pair.decode.half.case.draft is not None or not question.targets:
        return {}
    asked = Asked(
        num_prompts=min(SIMULATED_REQUESTS * pair.decode.replicas, MOST_REQUESTS),
        prefill_replicas=pair.prefill.replicas, decode_replicas=pair.decode.replicas,
    )  # fmt: skip
    words = [replace(side.half.words, request_rate=question.peak) for side in (pair.prefill, pair.decode)]
    steady = simulate_pools(words[0], words[1], asked, catalog).steady()
    flat = steady.to_dict() if steady is not None else {}
    return {target.figure: flat[target.figure] for target in question.targets if flat.get(target.figure) is not None}

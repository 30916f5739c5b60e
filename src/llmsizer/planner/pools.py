"""Two pools as candidates: replicas that read prompts hand their caches to replicas that decode, on devices of their own.

Each pool is a plan of its own: one-token answers within the limits of TTFT, and prompts that are cached within those of
TPOT. The cheapest of both are paired; the ratio is that of the rates they bear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from llmsizer.core.errors import InvalidQuestion, UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.formulas.demand import replicas_needed, with_spare
from llmsizer.formulas.latency import front_end_seconds
from llmsizer.planner.choice import best_of_each_device, deployable, ranked
from llmsizer.planner.highest import rising
from llmsizer.planner.question import Choices, PlanQuestion, headroom_of
from llmsizer.planner.screen import Loads, at, capacity, column_of
from llmsizer.planner.search import Candidates, search
from llmsizer.planner.targets import Target
from llmsizer.question.resolve import resolve
from llmsizer.question.traffic import answers_one_token
from llmsizer.question.words import Words
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.deployment import Case
from llmsizer.schema.lengths import Fixed
from llmsizer.schema.price import OwnedHardware, Rental
from llmsizer.sizing.memory import MemoryEstimate, memory_estimate
from llmsizer.sizing.pools import transfer_seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# Devices that pools are tried on: the cheapest in one pool, and those that come nearest to the targets.
MOST_DEVICES, MOST_NEAR = 6, 4
# Candidates of each pool that are paired, each with another device or number of devices.
SHORTLIST = 8


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """A candidate of one pool: ``words`` run it, ``own`` ask for the pool's own work, ``loads`` are its times."""

    words: Words
    own: Words
    case: Case
    memory: MemoryEstimate
    loads: Loads
    place: int
    device: Accelerator


@dataclass(frozen=True, slots=True)
class SizedHalf:
    """A pool with its replicas, what one bears within the targets, and its offer."""

    half: Half
    replicas: int
    capacity: float
    offer: Rental | OwnedHardware
    usd_per_second: float

    @property
    def devices(self) -> int:
        """Devices of the pool."""
        return self.replicas * self.half.case.parallel.devices


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pools that serve the demand together."""

    prefill: SizedHalf
    decode: SizedHalf
    transfer_seconds: float

    @property
    def usd_per_second(self) -> float:
        """What both pools cost at the peak."""
        return self.prefill.usd_per_second + self.decode.usd_per_second


def prefill_words(words: Words) -> Words:
    """The question of a pool that reads prompts: every answer is the one token that reading a prompt makes."""
    if words.workload is None:
        return replace(words, output_tokens=1)
    classes = tuple(replace(kind, output_tokens=Fixed(1)) for kind in words.workload.classes)
    return replace(words, workload=replace(words.workload, classes=classes))


def decode_words(words: Words) -> Words:
    """The question of a pool that decodes: the whole prompt is in its cache."""
    return replace(words, prefix_cache_hit_rate=1.0)


def pairs(question: PlanQuestion, found: Candidates) -> list[Pair]:
    """Pairs of pools within the targets and limits, cheapest first. Raises InvalidQuestion where pools cannot be sized."""
    if answers_one_token(question.words):
        raise InvalidQuestion("--disaggregated: answers of one token leave nothing to decode", "leave it out")
    if question.concurrency is not None or not question.has_demand or question.by != "cost":
        raise InvalidQuestion("--disaggregated sizes pools by a rate and ranks them by cost", "for example: --rate 10")
    asked = replace(question, choices=_tried(found, question))
    prefill = _halves(asked, found, prefill_words, ("ttft", "e2e"))
    decode = _halves(asked, found, decode_words, ("tpot", "e2e"))
    made = (_paired(first, second, question, found) for first, second in product(prefill, decode))
    return sorted(
        (each for each in made if each is not None),
        key=lambda pair: (round(pair.usd_per_second, 9), pair.prefill.devices + pair.decode.devices),
    )


def _tried(found: Candidates, question: PlanQuestion) -> Choices:
    """What pools are made of: the devices that are cheapest in one pool and those that come nearest to the targets, in
    the formats that they take there."""
    import numpy as np

    priced = np.isfinite(found.columns["usd_per_second"]) & ~found.meets()
    order = np.argsort(found.columns["miss"], kind="stable")
    cheapest = best_of_each_device(found, ranked(found, deployable(found, question), question))[:MOST_DEVICES]
    rows = [*cheapest, *best_of_each_device(found, order[priced[order]])[:MOST_NEAR]]
    names = dict.fromkeys(found.device(row).id for row in rows)
    formats = dict.fromkeys(found.words(row).quantization or "auto" for row in rows)
    return replace(question.choices, hardware=tuple(names), formats=tuple(formats))


def _halves(question: PlanQuestion, found: Candidates, own: Callable[[Words], Words], metrics: Sequence[str]) -> list[Half]:
    """The cheapest candidates of a pool; none where no device runs its work."""
    targets = tuple(target for target in question.targets if target.metric in metrics)
    asked = replace(question, words=own(question.words), targets=targets)
    try:
        pool = search(asked, found.catalog, None) if question.choices.hardware else None
    except UnsupportedCombination:
        pool = None
    if pool is None:
        return []
    rows = ranked(pool, deployable(pool, replace(asked, choices=_without_limits(asked))), asked)
    return [_half(question.words, pool, row, found) for row in _first_of_each(pool, rows)]


def _without_limits(question: PlanQuestion) -> Choices:
    return replace(question.choices, most_devices_in_all=None, most_usd_per_hour=None, most_watts=None)


def _first_of_each(pool: Candidates, rows: Array) -> list[int]:
    """The first rows of each device, number of devices, engine and cache; without pipeline stages, between which engines
    do not hand caches over."""
    first: dict[Any, int] = {}
    for row in rows.tolist():
        words = pool.words(row)
        if words.pipeline_parallel_size == 1:
            first.setdefault((words.hardware, pool.columns["devices"][row], words.engine, words.kv_cache_dtype), row)
    return list(first.values())[:SHORTLIST]


def _half(words: Words, pool: Candidates, row: int, found: Candidates) -> Half:
    own, device = pool.words(row), pool.device(row)
    lengths = {name: getattr(words, name) for name in ("output_tokens", "workload", "prefix_cache_hit_rate")}
    case = resolve(own, pool.catalog).case
    loads = rising(case)
    assert loads is not None, "what was found fits"
    place = next(place for place, each in enumerate(found.devices) if each.id == device.id)
    return Half(replace(own, **lengths), own, case, memory_estimate(case), loads, place, device)


def _paired(first: Half, second: Half, question: PlanQuestion, found: Candidates) -> Pair | None:
    """The pair of two candidates, where their caches fit each other and both keep the targets within the limits."""
    if (first.words.engine, first.words.kv_cache_dtype) != (second.words.engine, second.words.kv_cache_dtype):
        return None
    try:
        receiver = (second.case, second.memory)
        transfer = float(plain(transfer_seconds(first.case, first.memory, first.case.workload.input_tokens, receiver)))
    except UnsupportedCombination:  # nothing is known of the network between them
        return None
    read = float(first.loads.figures["ttft_seconds"][0, 0]) + transfer
    decoding = _sized(second, question, found, lambda target: {"tpot": 0.0, "e2e": read}.get(target.metric))
    if decoding is None:
        return None
    spent = _spent(decoding, question)
    reading = _sized(first, question, found, lambda target: None if target.metric == "tpot" else transfer + spent(target))
    pair = Pair(reading, decoding, transfer) if reading is not None else None
    return pair if pair is not None and within_limits(pair, question) else None


def _spent(decoding: SizedHalf, question: PlanQuestion) -> Callable[[Target], float]:
    """What a decode pool takes at the peak of a target of TTFT (its front end streams to those in flight) or E2E."""
    import numpy as np

    half = decoding.half
    column = column_of(half.loads.rate, np.array([question.peak / decoding.replicas]))
    streamed = front_end_beyond(half.case, max(float(at(half.loads.running, column)[0]) - 1.0, 0.0))

    def time(target: Target) -> float:
        if target.metric == "ttft":
            return streamed
        whole, first = (float(at(half.loads.figures[name], column)[0]) for name in (target.figure, "ttft_seconds"))
        return streamed + whole - first

    return time


def front_end_beyond(case: Case, others: float) -> float:
    """The front end's time for a first token beside so many sequences that it streams, beyond that of an idle one."""
    engine = case.engine
    return float(plain(front_end_seconds(0.0, engine.front_end_sequence_seconds, others)))


def _sized(half: Half, question: PlanQuestion, found: Candidates, taken: Callable[[Target], float | None]) -> SizedHalf | None:
    """A pool large enough for the targets less the time that is ``taken`` elsewhere (None: not this pool's); None where it
    cannot keep them."""
    import numpy as np

    times = [(target, taken(target)) for target in question.targets]
    targets = [replace(each, limit_seconds=each.limit_seconds - time) for each, time in times if time is not None]
    if any(target.limit_seconds <= 0 for target in targets):
        return None
    borne = float(capacity(half.loads, targets).rate[0])
    if not np.isfinite(borne) or borne <= 0:
        return None
    needed = with_spare(replicas_needed(question.peak, borne, headroom_of(question, found.catalog), 1), question.spare)
    return with_replicas(half, int(plain(needed)), borne, found)


def with_replicas(half: Half, replicas: int, borne: float, found: Candidates) -> SizedHalf | None:
    """A pool of so many replicas on its cheapest offer; None where no price is known."""
    import numpy as np

    cost, offer = found.prices.cheapest(np.array([half.place]), half.case.parallel.devices, np.array([float(replicas)]))
    if not np.isfinite(cost[0]):
        return None
    return SizedHalf(half, replicas, borne, found.prices.offers[half.place][int(offer[0])], float(cost[0]))


def within_limits(pair: Pair, question: PlanQuestion) -> bool:
    """Whether both pools together keep the limits of the deployment."""
    choices, both = question.choices, (pair.prefill, pair.decode)
    watts = sum(each.devices * (each.half.device.board_power or float("inf")) for each in both)
    amounts = [
        (sum(each.devices for each in both), choices.most_devices_in_all),
        (pair.usd_per_second * 3600.0, choices.most_usd_per_hour), (watts, choices.most_watts),
    ]  # fmt: skip
    return all(most is None or amount <= most for amount, most in amounts)

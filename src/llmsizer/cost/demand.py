"""A demand that changes over the day or week: replicas that follow it, and the cheapest mix of prices.

The rates of a demand hold for one step each. Replicas are ordered a scale-up lag before the step that
needs them, and are paid from then on; so the demand is met when it is foreseen. What would come late if
replicas were ordered only once it has risen is counted apart (``late_share``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.prices import assumption
from llmsizer.core.errors import InvalidQuestion
from llmsizer.core.explain import plain
from llmsizer.cost.case import CostCase, Line
from llmsizer.formulas.cost import instances_needed, interruption_overhead, surcharge
from llmsizer.formulas.demand import (
    beyond_base,
    cold_start,
    late_requests,
    mix_cost,
    paid_replicas,
    replicas_needed,
    with_spare,
)
from llmsizer.schema.price import Rental

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Demand:
    """Requests per second, one number for each step of so many seconds.

    ``repeats``: the profile starts anew after its end (a day, a week); a trace does not.
    """

    rates: tuple[float, ...]
    step: float = HOUR
    repeats: bool = True

    def __post_init__(self) -> None:
        bad = [rate for rate in self.rates if not 0 <= rate < float("inf")]
        if bad or not self.rates or not max(self.rates) > 0 or not self.step > 0:
            raise InvalidQuestion(f"demand: expected rates of which one is positive, got {bad[0] if bad else 'none':.20}")

    @property
    def mean(self) -> float:
        """The mean rate."""
        return sum(self.rates) / len(self.rates)


def demand_of(given: Any, step: float | None = None) -> Demand:
    """A demand from a rate (constant), 24 or 168 numbers (hours of a day or week), or a trace.

    ``step``: seconds for which each number of a trace holds. Raises InvalidQuestion.
    """
    if isinstance(given, Demand):
        return given
    numbers = [given] if isinstance(given, (int, float)) and not isinstance(given, bool) else given
    if not isinstance(numbers, Sequence) or isinstance(numbers, str) or not all(_is_number(each) for each in numbers):
        raise InvalidQuestion("demand: expected a rate or a list of rates in requests per second")
    rates = tuple(float(each) for each in numbers)
    if step is not None:
        return Demand(rates, step, repeats=False)
    if len(rates) not in (1, 24, 168):
        raise InvalidQuestion(
            f"demand: got {len(rates)} numbers", "24 are the hours of a day, 168 of a week; a trace needs the step it is in."
        )
    return Demand(rates)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How the replicas follow the demand.

    ``capacity``: requests per second that one replica serves within its targets; ``headroom``: share of
    it kept free; ``least``: the floor (zero: scale to nothing); ``spare``: replicas beyond the need (1 is
    N+1); ``lag``: seconds from an order to the first answer (see ``cold_start``). ``fixed``: no
    autoscaling, the peak's replicas run all the time.
    """

    capacity: float
    headroom: float = 0.0
    least: int = 1
    spare: int = 0
    lag: float = 0.0
    fixed: bool = False

    def __post_init__(self) -> None:
        if not self.capacity > 0 or not 0 <= self.headroom < 1 or self.least < 0 or self.spare < 0 or not self.lag >= 0:
            raise InvalidQuestion(
                "scaling: expected capacity > 0, 0 <= headroom < 1, and floor, spare and lag that are not negative"
            )


@dataclass(frozen=True, slots=True)
class Schedule:
    """Replicas over a demand. ``running``: in each step. ``levels`` and ``shares``: how many are paid, and
    for which share of the time. ``late_share``: requests that would find no capacity, were replicas
    ordered only once the demand has risen."""

    running: tuple[int, ...]
    levels: tuple[int, ...]
    shares: tuple[float, ...]
    mean_paid: float
    utilization: float
    late_share: float

    @property
    def peak(self) -> int:
        """The most replicas that are paid at once."""
        return max(self.levels)


def schedule(demand: Demand, scaling: Scaling) -> Schedule:
    """The replicas that a demand takes, and for how long each number of them is paid."""
    import numpy as np

    rates = np.asarray(demand.rates)
    needed: Any = with_spare(replicas_needed(rates, scaling.capacity, scaling.headroom, scaling.least), scaling.spare)
    if scaling.fixed:
        needed = np.full(len(rates), needed.max())
    early, late, share = _ahead(needed, scaling.lag / demand.step, demand.repeats)
    levels, weights = _distribution(early, late, share)
    paid = float(np.mean(paid_replicas(early, late, share)))
    late_requests_ = _late(rates, needed, scaling, demand)
    return Schedule(
        tuple(int(each) for each in needed), tuple(levels), tuple(weights), paid,
        demand.mean / (paid * scaling.capacity) if paid else 0.0, late_requests_ / float(rates.sum() * demand.step),
    )  # fmt: skip


def _ahead(needed: Floats, lag: float, repeats: bool) -> tuple[Floats, Floats, float]:
    """The most that is needed within the lag after the early and the late part of each step; and the
    share of the late part, from which the lag reaches one step further."""
    import numpy as np

    whole, share = int(lag), lag - int(lag)
    early = needed
    for steps in range(1, min(whole, len(needed)) + 1):
        early = np.maximum(early, _shifted(needed, steps, repeats))
    return early, np.maximum(early, _shifted(needed, whole + 1, repeats)), share


def _shifted(needed: Floats, steps: int, repeats: bool) -> Floats:
    import numpy as np

    if repeats:
        return np.roll(needed, -steps)
    steps = min(steps, len(needed))
    return np.concatenate([needed[steps:], np.zeros(steps)])


def _distribution(early: Floats, late: Floats, share: float) -> tuple[list[int], list[float]]:
    import numpy as np

    levels, where = np.unique(np.concatenate([early, late]), return_inverse=True)
    weights = np.concatenate([np.full(len(early), 1 - share), np.full(len(late), share)]) / len(early)
    summed = np.bincount(where.ravel(), weights=weights, minlength=len(levels))
    kept = [(int(level), float(weight)) for level, weight in zip(levels, summed, strict=True) if weight > 0]
    return [level for level, _ in kept], [weight for _, weight in kept]


def _late(rates: Floats, needed: Floats, scaling: Scaling, demand: Demand) -> float:
    """Requests without capacity while replicas start: the lag is counted within one step."""
    import numpy as np

    before = np.roll(needed, 1) if demand.repeats else np.concatenate([needed[:1], needed[:-1]])
    running = np.minimum(before, needed)
    return float(np.sum(late_requests(rates, running, scaling.capacity, min(scaling.lag, demand.step))))


@dataclass(frozen=True, slots=True)
class Mix:
    """The cheapest mix: ``base`` instances always paid, the rest by the hour, part of it on spot."""

    base: int
    lines: tuple[Line, ...]
    usd_per_second: float


def instance_levels(found: Schedule, devices: int, rental: Rental) -> tuple[list[int], list[float]]:
    """The levels of a schedule in whole instances."""
    levels = [int(plain(instances_needed(devices, level, rental.accelerators))) if level else 0 for level in found.levels]
    return levels, list(found.shares)


def cheapest_mix(
    levels: Sequence[int],
    shares: Sequence[float],
    flexible: Rental,
    *,
    reserved: Rental | None = None,
    spot: Rental | None = None,
    spot_share: float = 0.0,
) -> Mix:
    """How many instances to reserve, and what the rest costs: every base from none to the peak is tried.

    ``levels`` and ``shares``: instances paid, and the share of the time for each. ``spot_share``: the
    share of what is beyond the base that may run on spot; it does where that is cheaper, interruptions
    counted.
    """
    import numpy as np

    if not 0 <= spot_share <= 1:
        raise InvalidQuestion(f"spot_share: expected a share from 0 to 1, got {spot_share:g}")
    hourly = float(flexible.price)
    spot_hourly = hourly if spot is None else _spot_price(spot)
    part = spot_share if spot_hourly < hourly else 0.0
    bases = np.arange(0, (max(levels) if reserved is not None else 0) + 1, dtype=float)
    above = np.asarray([float(np.dot(beyond_base(np.asarray(levels, dtype=float), base), shares)) for base in bases])
    paid = float(reserved.price) if reserved is not None else 0.0
    costs = np.asarray(mix_cost(bases, above, part, paid, hourly, spot_hourly))
    best = int(np.argmin(costs))
    lines = [Line(rental=reserved, instances=float(best))] if reserved is not None and best else []
    if above[best] * (1 - part) > 0:
        lines.append(Line(rental=flexible, instances=float(above[best] * (1 - part))))
    if spot is not None and above[best] * part > 0:
        lines.append(Line(rental=spot, instances=float(above[best] * part)))
    return Mix(best, tuple(lines), float(costs[best]))


def _spot_price(spot: Rental) -> float:
    """The price of a spot instance with what its interruptions cost."""
    share = interruption_overhead(spot.interruption_rate, spot.restart_time)
    return float(spot.price) + float(plain(surcharge(share, spot.price)))


def scale_up_lag(catalog: Catalog, weights_bytes: float, network_bandwidth: float | None = None) -> float:
    """Seconds from the order of a replica to its first answer, by the catalog's defaults: the instance
    starts, reads its weights from storage through the network (bytes a second), and warms up."""
    names = ("provisioning_time", "storage_bandwidth", "engine_start_time")
    provisioning, storage, start = (assumption(catalog, name).number for name in names)
    network = storage if network_bandwidth is None else network_bandwidth
    return float(cold_start(provisioning, weights_bytes, storage, network, start))


def case_over_demand(
    case: CostCase,
    demand: Demand,
    scaling: Scaling,
    *,
    reserved: Rental | None = None,
    spot: Rental | None = None,
    spot_share: float = 0.0,
) -> CostCase:
    """The cost case of a deployment that follows a demand: mean rate, mean capacity paid, instances in
    the cheapest mix of prices. Owned hardware and fixed fleets stand at their peak all the time.

    Raises InvalidQuestion where the case has no price.
    """
    if not isinstance(case.price, Rental):
        if case.price is None:
            raise InvalidQuestion("a demand needs the price of the hardware", "for example: --price '2.50 USD/h'")
        scaling = replace(scaling, fixed=True)
    found = schedule(demand, scaling)
    changed = replace(
        case, replicas=found.mean_paid, requests_per_second=demand.mean, capacity=found.mean_paid * scaling.capacity
    )
    if not isinstance(case.price, Rental):
        return changed
    devices = int(plain(case.devices))
    levels, shares = instance_levels(found, devices, case.price)
    mix = cheapest_mix(levels, shares, case.price, reserved=reserved, spot=spot, spot_share=spot_share)
    return replace(changed, lines=mix.lines)

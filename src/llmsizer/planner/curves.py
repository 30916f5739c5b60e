"""What a pick does at other loads: its times over the load, and its price over the demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmsizer.core.explain import plain
from llmsizer.formulas.demand import replicas_needed, with_spare
from llmsizer.planner.highest import rising
from llmsizer.planner.picks import Pick
from llmsizer.planner.plan import Plan
from llmsizer.planner.question import headroom_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# The multiples of the peak at which prices are asked.
STEPS = 120
LEAST_REACH = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class LoadCurve:
    """The times of a pick over the load of all its replicas in requests per second, by their name in
    ``Latency``, up to where the engine no longer keeps up."""

    rate: Array
    figures: Mapping[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class PriceCurve:
    """Replicas and USD an hour of a pick's kind over the peak demand in requests per second."""

    peak: Array
    replicas: Array
    usd_per_hour: Array


def load_curve(pick: Pick, figures: Sequence[str]) -> LoadCurve:
    """The times of a pick as its load rises."""
    import numpy as np

    found = rising(pick.estimate.case)
    assert found is not None, "a pick fits"
    last = int(np.argmin(found.holds[0])) if not found.holds[0].all() else found.rate.shape[1]
    return LoadCurve(found.rate[0, :last] * pick.replicas, {name: found.figures[name][0, :last] for name in figures})


def price_curve(pick: Pick, plan: Plan) -> PriceCurve:
    """What a pick's kind costs as the peak grows, each number of replicas on its cheapest offer."""
    import numpy as np

    found, question = plan.candidates, plan.question
    now = float(plain(pick.estimate.case.request_rate or 0.0)) * pick.replicas
    peak = np.linspace(0.0, max(question.growth, LEAST_REACH), STEPS + 1)[1:] * now
    needed: Any = replicas_needed(peak, pick.capacity, headroom_of(question, found.catalog), 1)
    replicas = np.asarray(with_spare(needed, question.spare), dtype=float)
    place = [device.id for device in found.devices].index(pick.estimate.case.accelerator.id)
    cost, _ = found.prices.cheapest(np.full(len(peak), place), pick.estimate.case.parallel.devices, replicas)
    return PriceCurve(peak, replicas, cost * 3600.0)

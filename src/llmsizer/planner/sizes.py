"""How many replicas a candidate gets: as many as the demand needs, or as the limits allow where more is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmsizer.formulas.demand import replicas_needed, with_spare
from llmsizer.planner.aims import AIMS
from llmsizer.planner.prices import DevicePrices
from llmsizer.planner.question import PlanQuestion
from llmsizer.planner.screen import Capacity, Loads, at, column_of
from llmsizer.schema.accelerator import Accelerator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# Shares of what the limits allow beyond the need that are tried; a share is taken where all of it gains less than this.
PARTS = (0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.0)
NOTICEABLE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """The replicas of candidates under a question; rows are places in ``devices``."""

    question: PlanQuestion
    prices: DevicePrices
    devices: Sequence[Accelerator]
    headroom: float

    def of(self, rows: Array, each: int, borne: Capacity, found: Loads) -> tuple[Array, Array]:
        """Replicas of ``each`` devices on every row's device, and the requests a second that come to one at the peak."""
        import numpy as np

        needed = self.needed(borne)
        if not AIMS[self.question.by].spends:
            return needed, self.rate(found, borne, needed)
        most = np.maximum(self.most(rows, each), needed)
        replicas = self._fewest(found, borne, needed, most) if AIMS[self.question.by].time else most
        return replicas, self.rate(found, borne, replicas)

    def needed(self, borne: Capacity) -> Array:
        """As many as the demand needs, with the spare ones."""
        import numpy as np

        question = self.question
        bears = borne.running if question.concurrency is not None else borne.rate
        needed: Any = with_spare(replicas_needed(question.peak, bears, self.headroom, 1), question.spare)
        return np.asarray(needed)

    def most(self, rows: Array, each: int) -> Array:
        """As many as the limits of the whole deployment allow; without end where there are none."""
        import numpy as np

        choices = self.question.choices
        most = np.full(len(rows), np.inf)
        if choices.most_devices_in_all is not None:
            most = np.minimum(most, choices.most_devices_in_all // each)
        if choices.most_watts is not None:
            watts = np.array([self.devices[row].board_power or np.inf for row in rows.tolist()], dtype=float)
            most = np.minimum(most, choices.most_watts // (each * watts))
        if choices.most_usd_per_hour is not None:
            most = np.minimum(most, self.prices.within(rows, each, choices.most_usd_per_hour / 3600.0))
        return most

    def rate(self, found: Loads, borne: Capacity, replicas: Array) -> Array:
        """Requests a second that come to one replica at the peak; without a demand what it bears with its headroom."""
        import numpy as np

        question = self.question
        if not question.has_demand:
            kept: Array = borne.rate * (1.0 - self.headroom) * (replicas - question.spare) / replicas
            return kept
        share: Array = np.asarray(question.peak / replicas)
        if question.concurrency is not None:
            share = np.where(np.isnan(share), np.nan, at(found.rate, column_of(found.running, np.nan_to_num(share))))
        return share

    def _fewest(self, found: Loads, borne: Capacity, needed: Array, most: Array) -> Array:
        """The fewest replicas that are as good as the most, but for what nobody notices."""
        import numpy as np

        def time(replicas: Array) -> Array:
            rate = np.nan_to_num(self.rate(found, borne, replicas))
            return at(found.figures[AIMS[self.question.by].time], column_of(found.rate, rate))

        best: Array = time(most)
        chosen = most
        for part in PARTS:
            fewer = np.ceil(needed + part * (most - needed))
            chosen = np.where(time(fewer) <= (1 + NOTICEABLE) * best, fewer, chosen)
        return chosen

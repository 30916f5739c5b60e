"""How much load each device of a fleet bears within the targets: one wiring, all devices at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmsizer.core.explain import plain
from llmsizer.planner.targets import Target
from llmsizer.schema.deployment import Case
from llmsizer.sizing.moment import Steady
from llmsizer.sizing.percentiles import percentiles
from llmsizer.sizing.serving import Serving
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.turns import rising_loads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# Other sequences that a request meets, as shares of the most it can meet: the load of each column. Where requests are
# served in turns, shares of the highest rate.
SHARES = (0.0, 0.01, 0.03, 0.08, 0.18, 0.33, 0.5, 0.7, 0.85, 1.0)
# Beyond this share of the steps' prompt budget prompts pile up faster than they are read.
FULL_OF_PROMPTS = 0.98
MEANS = ("ttft_seconds", "tpot_seconds", "e2e_seconds")


@dataclass(frozen=True, slots=True, eq=False)
class Loads:
    """A case on several devices (rows) at rising loads (columns), of one replica.

    ``rate`` in requests per second, ``running`` sequences, ``figures`` by their name in ``Latency``;
    ``holds``: whether the engine keeps up.
    """

    rate: Array
    running: Array
    figures: Mapping[str, Array]
    holds: Array


def loads(case: Case, most: Array, shares: Sequence[float] = SHARES, wanted: Collection[str] | None = None) -> Loads:
    """The times of a case on every device of its fleet from an idle engine to a full one.

    ``most``: sequences that one attention rank runs at a time, a column; ``shares`` as ``SHARES``;
    ``wanted`` percentiles are made (None: all), means always. Raises ``Refused`` for devices without calibration.
    """
    import numpy as np

    ranks = case.parallel.data_parallel_size
    asked = replace(case, request_rate=1.0, concurrency=None)
    serving = Serving(asked, StepClock(asked))
    steady = rising_loads(serving, most, np.array(shares))
    figures = dict(percentiles(asked, serving, steady, wanted)) | {name: getattr(steady, name) for name in MEANS}
    shape = (len(most), len(shares))
    return Loads(
        rate=np.broadcast_to(plain(steady.rate), shape) * ranks,
        running=np.broadcast_to(plain(steady.running), shape) * ranks,
        figures={name: np.broadcast_to(plain(value), shape) for name, value in figures.items()},
        holds=_holds(steady, shape),
    )


def _holds(steady: Steady, shape: tuple[int, ...]) -> Array:
    import numpy as np

    free: Array = np.broadcast_to(plain(steady.moment.prefill_load) < FULL_OF_PROMPTS, shape)
    rate = np.broadcast_to(plain(steady.rate), shape)
    rising = np.concatenate([np.ones((shape[0], 1), dtype=bool), np.diff(rate, axis=1) >= 0], axis=1)
    holds: Array = free & rising
    return holds


@dataclass(frozen=True, slots=True, eq=False)
class Capacity:
    """The highest load of one replica within the targets, a number for each device: ``column`` counts
    loads in the table, with a fraction; NaN where even an idle engine misses a target. ``miss`` is by how
    much the worst target is exceeded there (below 1: met), ``missed`` which."""

    column: Array
    rate: Array
    running: Array
    miss: Array
    missed: Array


def capacity(found: Loads, targets: Sequence[Target]) -> Capacity:
    """The highest load at which every target is met, between two columns by linear interpolation."""
    import numpy as np

    excess = _excess(found, targets)
    ok = found.holds & (excess.max(axis=0) <= 1.0)
    first = np.where(ok.all(axis=1), ok.shape[1], (~ok).argmax(axis=1))
    last = np.maximum(first - 1, 0)
    column = last + _part(found, excess, last)
    rate = at(found.rate, np.where(first == 0, np.nan, column))
    column = np.where(rate > 0, column, np.nan)  # an idle engine that meets its targets bears no rate yet
    idle = excess[:, :, 0]
    return Capacity(column, at(found.rate, column), at(found.running, column), idle.max(axis=0), idle.argmax(axis=0))


def _excess(found: Loads, targets: Sequence[Target]) -> Array:
    """Each target's figure over its limit, by target, device and load."""
    import numpy as np

    if not targets:
        return np.zeros((1, *found.rate.shape))
    return np.stack([found.figures[target.figure] / target.limit_seconds for target in targets])


def _part(found: Loads, excess: Array, last: Array) -> Array:
    """How far into the next column every target still holds; zero where the engine does not keep up there."""
    import numpy as np

    rows, ahead = np.arange(len(last)), np.minimum(last + 1, found.rate.shape[1] - 1)
    low, high = excess[:, rows, last], excess[:, rows, ahead]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(high > 1.0, (1.0 - low) / (high - low), 1.0).min(axis=0)
    return np.where(found.holds[rows, ahead] & (ahead > last), np.clip(part, 0.0, 1.0), 0.0)


def at(table: Array, column: Array) -> Array:
    """A table's values at a broken column of each row; NaN where the column is."""
    import numpy as np

    known = np.nan_to_num(column)
    low = np.minimum(known.astype(int), table.shape[1] - 1)
    high = np.minimum(low + 1, table.shape[1] - 1)
    rows = np.arange(len(table))
    values = table[rows, low] + (known - low) * (table[rows, high] - table[rows, low])
    return np.where(np.isnan(column), np.nan, values)


def column_of(table: Array, value: Array) -> Array:
    """The broken column at which a rising table reaches a value, the first or last where it does not."""
    import numpy as np

    below = np.clip((table <= value[:, None]).sum(axis=1) - 1, 0, table.shape[1] - 2)
    rows = np.arange(len(table))
    low, high = table[rows, below], table[rows, below + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(high > low, (value - low) / (high - low), 0.0)
    column: Array = below + np.clip(part, 0.0, 1.0)
    return column

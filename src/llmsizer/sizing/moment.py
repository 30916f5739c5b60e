"""What a request meets in a steady state: the steps, the others, and its times."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from llmsizer.core.explain import Source, Value
from llmsizer.core.numerics import where
from llmsizer.core.quantities import Count, Fraction, PerSecond, Seconds
from llmsizer.sizing.fixed_point import pick
from llmsizer.sizing.steps import Step

# Seconds that are as good as none, and still something to divide by.
NO_WAIT = 1e-12


@dataclass(frozen=True, slots=True)
class Moment:
    """One pass of the fixed point: what a request meets when ``others`` decode with it.

    ``step_seconds`` is the mean over requests of the mean of their decode steps; deviations are standard
    deviations between requests of like lengths. ``fill_seconds`` of the time to first token pass in further
    pipeline stages. Where whole batches or single requests are served in turns, ``wait_seconds`` of it are spent at the
    door, by a share ``wait_chance`` of the requests.
    """

    others: Count
    batch: Count
    pure_step: Step
    pure_seconds: Seconds
    prompt_step: Step
    prompt_seconds: Seconds
    step_seconds: Seconds
    steps: Count
    decode_seconds: Seconds
    ttft_seconds: Seconds
    prefill_load: Fraction
    ttft_deviation: Seconds = 0.0
    decode_deviation: Seconds = 0.0
    e2e_deviation: Seconds = 0.0
    fill_seconds: Seconds = 0.0
    wait_chance: Fraction = 1.0
    wait_seconds: Seconds = NO_WAIT
    wait_deviation: Seconds = 0.0


@dataclass(frozen=True, slots=True)
class Steady:
    """The steady state of one attention rank: means. ``waiting`` sequences find no place in the batch;
    ``settled_ttft_seconds`` leaves out the burst at the start of a finite run."""

    moment: Moment
    running: Count
    waiting: Count
    rate: PerSecond
    ttft_seconds: Seconds
    tpot_seconds: Seconds
    e2e_seconds: Seconds
    settled_ttft_seconds: Seconds


def merged(mask: Any, yes: Any, no: Any) -> Any:
    """Two results of arrays joined, entry by entry."""
    if is_dataclass(no) and not isinstance(no, (type, Value)):
        return type(no)(**{f.name: merged(mask, getattr(yes, f.name), getattr(no, f.name)) for f in fields(no)})
    return where(mask, yes, no)


def spread(found: Any, places: Any) -> Any:
    """A result of arrays with the entry of some place at each of its places."""
    if is_dataclass(found) and not isinstance(found, (type, Value)):
        return type(found)(**{f.name: spread(getattr(found, f.name), places) for f in fields(found)})
    return pick(found, places)


def settled_leaf(others: float) -> Value:
    """The number the iteration settled on, as a leaf of a derivation."""
    return Value(others, "1", "others", Source("fixed point of the steady state (found by iteration)"))

"""A recorded trace as the demand and the lengths of a plan."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from llmsizer.catalog.traces import read_trace
from llmsizer.core.quantities import parse_quantity
from llmsizer.cost.demand import Demand
from llmsizer.schema.lengths import Histogram

STEP = "1 min"
# A step so short that the trace has more of them than this is widened.
MOST_STEPS = 100_000


def demand_and_lengths(path: Path, step: str | None = None) -> dict[str, Any]:
    """The words ``demand``, ``input_tokens`` and ``output_tokens`` of a trace; arrivals are counted over
    each ``step`` of time."""
    import numpy as np

    trace = read_trace(path)
    arrivals = np.asarray(trace.arrival_seconds, dtype=float)
    arrivals = arrivals - arrivals[0]
    seconds = max(parse_quantity(step or STEP, "second"), float(arrivals[-1]) / MOST_STEPS)
    counts = np.bincount((arrivals // seconds).astype(int))
    demand = Demand(tuple((counts / seconds).tolist()), seconds, repeats=False)
    return {"demand": demand, "input_tokens": _law(trace.input_tokens), "output_tokens": _law(trace.output_tokens)}


def _law(tokens: Any) -> Histogram:
    seen = sorted(Counter(tokens).items())
    return Histogram(tuple(int(length) for length, _ in seen), tuple(float(count) for _, count in seen))

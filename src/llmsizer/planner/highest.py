"""What one deployment bears, from an idle engine to a full one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from llmsizer.core.errors import LlmsizerError
from llmsizer.planner.screen import SHARES, Loads, capacity, loads
from llmsizer.planner.targets import Target
from llmsizer.schema.deployment import Case
from llmsizer.sizing.memory import memory_estimate
from llmsizer.sizing.speed import rank_demand

# Loads between two of the search's.
STEPS = 8
FINE = (*(low + (high - low) * step / STEPS for low, high in pairwise(SHARES) for step in range(STEPS)), 1.0)


def rising(case: Case) -> Loads | None:
    """The times of a case at rising loads; None where it does not fit."""
    import numpy as np

    memory = memory_estimate(case)
    if not memory.fits or float(memory.running_sequences) < 1:
        return None
    return loads(case, np.array([[float(rank_demand(case, memory)[1])]]), FINE)


def highest_rate(case: Case, targets: Sequence[Target]) -> float | None:
    """Requests a second that a replica bears within the targets; None where it bears none or does not fit."""
    import numpy as np

    try:
        found = rising(case)
    except LlmsizerError:
        return None
    rate = float(capacity(found, targets).rate[0]) if found is not None else 0.0
    return rate if np.isfinite(rate) and rate > 0 else None
